"""Small pictures of the building blocks of today's networks."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Gated(nn.Module):
    """x times a sigmoid of a layer, and a gated linear unit."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.inner, self.out = nn.Linear(6, 6), nn.Linear(6, 8), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(F.glu(self.inner(x * torch.sigmoid(self.gate(x)))))


class SqueezeExcite(nn.Module):
    """Channels are weighed by a small network on their means."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze, self.excite = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        h = torch.relu(self.conv(x))
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(h.mean((2, 3), keepdim=True)))))
        return self.out((h * weights).mean((2, 3)))


class Dense(nn.Module):
    """Every layer sees all that came before it, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(5), nn.Conv2d(5, 3, 3, padding=1, bias=False)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.cat([x, torch.relu(self.a(x))], 1)
        x = torch.cat([x, self.b(torch.relu(self.norm(x)))], 1)
        return self.out(F.adaptive_avg_pool2d(x, 1).flatten(1))


class SharedOverScales(nn.Module):
    """One convolution and one norm on maps of two sizes, as in feature pyramids, with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Linear(2, 3)

    def forward(self, x):
        x = x + torch.relu(self.norm(self.conv(x)))
        x = F.avg_pool2d(x, 2)
        return self.out((x + torch.relu(self.norm(self.conv(x)))).mean((2, 3)))


class ThreeLengths(nn.Module):
    """One layer on five tokens, on two of them, and on their mean without a token axis."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.out = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.norm(self.inner(x)))
        h = torch.tanh(self.norm(self.inner(h[:, 1:3])))
        return self.out(torch.tanh(self.norm(self.inner(h.mean(1)))))


class TwoHeads(nn.Module):
    """Logits are the sum of two readouts of different depth."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.deep, self.shallow = nn.Linear(6, 5), nn.Linear(5, 3), nn.Linear(6, 3, bias=False)

    def forward(self, x):
        return self.deep(torch.relu(self.inner(x))) + 0.5 * self.shallow(x)


class PastTheNonlinearity(nn.Module):
    """The last hidden layer reaches the logits through a ReLU and past it: a unit has no single direction in the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out, self.skip = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, x):
        h = self.inner(x)
        return self.out(torch.relu(h)) + self.skip(h)


class SoftmaxFeatures(nn.Module):
    """A softmax before the readout, which is no nonlinearity of one unit alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x):
        return self.out(torch.softmax(self.inner(x), -1))


class Maxout(nn.Module):
    """The larger of two units goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 10), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.inner(x).view(-1, 5, 2).amax(-1))


class Cut(nn.Module):
    """Only some outputs of the last layer are logits, in another order and times a constant scale."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 5), nn.Linear(5, 6)
        self.register_buffer("scale", torch.tensor([0.5, 1.0, 3.0]))

    def forward(self, x):
        return self.out(torch.relu(self.inner(x)))[:, [4, 0, 2]] * self.scale


class Sparse(nn.Module):
    """Units behind a strongly negative bias: they are dead on small inputs, as the first samples are, and alive on others."""

    def __init__(self, c: int = 3) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 8), nn.Linear(8, c)
        nn.init.constant_(self.inner.bias, -1.0)

    def forward(self, x):
        return self.out(torch.relu(self.inner(x)))


class SparseConv(nn.Module):
    """The same with maps: a channel is dead everywhere on small inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.out = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 5, 3), nn.Linear(5, 4)
        nn.init.constant_(self.last.bias, -0.6)

    def forward(self, x):
        return self.out(torch.relu(self.last(torch.tanh(self.first(x)))).mean((2, 3)))


class Checkpointed(nn.Module):
    """A block whose forward runs again in backward."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.out = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 5)), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.relu(checkpoint(self.block, x, use_reentrant=False)))


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a joined skip."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.last, self.out = nn.Conv2d(4, 3, 1), nn.Linear(3, 3)

    def forward(self, x):
        h = torch.cat([x, torch.relu(self.up(torch.relu(self.down(x))))], 1)
        return self.out(torch.relu(self.last(h)).mean((2, 3)))


class Twofold(nn.Module):
    """Two inputs to one bilinear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bilinear, self.out = nn.Linear(6, 3), nn.Bilinear(3, 6, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.bilinear(torch.relu(self.a(x)), x)))
