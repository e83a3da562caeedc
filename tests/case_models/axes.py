"""Models that move, merge or split the batch axis inside, or run a layer on other rows than one a sample."""

import torch
from torch import nn


class TokensMerged(nn.Module):
    """Batch and time in one axis, samples first, through layers that then see no tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.out = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, x):
        n, t, d = x.shape
        return self.out(torch.relu(self.norm(self.inner(x.reshape(n * t, d)))).view(n, t, 5).mean(1))


class TimeMajorMerged(nn.Module):
    """Batch and time in one axis, time first: the rows of a sample lie n apart."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.out = nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3)

    def forward(self, x):
        n, t, d = x.shape
        h = torch.relu(self.norm(self.inner(x.transpose(0, 1).reshape(t * n, d))))
        return self.out(h).view(t, n, 3).mean(0)


class FramesMerged(nn.Module):
    """A convolution over frames [n T, C, H, W], as in video models."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x.flatten(0, 1)[:, None])))
        return self.out(h.mean((2, 3)).unflatten(0, x.shape[:2]).amax(1))


class Mixer(nn.Module):
    """MLP-Mixer: a linear layer over the transposed token axis, then one over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.tokens = nn.LayerNorm(4), nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 5, bias=False))
        self.norm2, self.channels = nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return self.out((x + self.channels(self.norm2(x))).mean(1))


class ConvNeXt(nn.Module):
    """Depthwise convolution, LayerNorm and linear layers on channels-last maps, permuted forth and back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(2, 4, 2, stride=2), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 8), nn.Linear(8, 4)
        self.gamma, self.out = nn.Parameter(torch.full((4, 1, 1), 0.3)), nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        h = self.down(nn.functional.gelu(self.up(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))))
        return self.out((x + self.gamma * h.permute(0, 3, 1, 2)).mean((2, 3)))


class Flipped(nn.Module):
    """Each sample and its mirror image go through in one batch of 2 n, as in test-time augmentation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv1d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        a, b = self.out(torch.relu(self.conv(torch.cat([x, x.flip(2)]))).mean(2)).chunk(2)
        return (a + 2 * b) / 3


class Repeated(nn.Module):
    """Each sample is repeated, samples first, with another shift for each copy."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.inner, self.out = nn.Parameter(torch.randn(3, 6)), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        h = x.repeat_interleave(3, 0) + self.shift.repeat(len(x), 1)
        return self.out(torch.relu(self.inner(h))).view(-1, 3, 3).logsumexp(1)


class Siamese(nn.Module):
    """One encoder on both halves of a sample."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.out = nn.Sequential(nn.Linear(3, 5), nn.Tanh()), nn.Linear(5, 3)

    def forward(self, x):
        a, b = self.encoder(x[:, :3]), self.encoder(x[:, 3:])
        return self.out((a - b).abs())


class Routed(nn.Module):
    """Hard mixture of experts: each expert runs on the rows that are sent to it, none, some or all."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.out = nn.ModuleList(nn.Linear(6, 4) for _ in range(2)), nn.Linear(4, 3)

    def forward(self, x):
        sent = (x[:, 0] > 0).long()
        h = x.new_zeros(len(x), 4)
        for i, expert in enumerate(self.experts):
            h = h.index_put(((sent == i).nonzero()[:, 0],), torch.tanh(expert(x[sent == i])))
        return self.out(h)


class Assigned(nn.Module):
    """Results are written in place into parts of an empty tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.shift, self.out = nn.Linear(6, 3), nn.Linear(6, 2), nn.Parameter(torch.randn(2)), nn.Linear(5, 3)

    def forward(self, x):
        h = x.new_zeros(len(x), 5)
        h[:, :3] = self.a(x)
        h[:, 3:] = self.b(x)
        h[:, 1:3] += self.shift
        return self.out(torch.tanh(h))


class InPlaceResidual(nn.Module):
    """The identity is added in place to what a norm put out, as in ResNets, and a parameter to that."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.shift = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Parameter(torch.randn(2, 1, 1))
        self.b, self.out = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2, 3)

    def forward(self, x):
        h = self.norm(self.a(x))
        h += x
        h = torch.relu_(h)
        y = self.b(h)
        y += h
        y += self.shift
        return self.out(y.relu_().mean((2, 3)))


class MaxOverTime(nn.Module):
    """Each feature comes from another position."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.conv, self.out = nn.Embedding(9, 4), nn.Conv1d(4, 6, 3, padding=1), nn.Linear(6, 3)

    def forward(self, ids):
        return self.out(torch.relu(self.conv(self.embed(ids).transpose(1, 2))).amax(2))


class MeanOfTokenLogits(nn.Module):
    """The last layer runs on every token, and the mean over tokens comes after it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.relu(self.inner(x))).mean(1)


class PatchesByHand(nn.Module):
    """Patches are cut out with view and permute and embedded by a linear layer on four axes, without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.shift, self.out = nn.Linear(8, 4, bias=False), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        n, c, h, w = x.shape
        patches = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).flatten(3)
        return self.out(torch.relu(self.shift(torch.tanh(self.embed(patches)))).mean((1, 2)))
