"""Parameters that are used otherwise than as the weight of one layer: raw, computed, shared, cut, broadcast, or not at all."""

import torch
from torch import nn
from torch.nn import functional as F


def _raw(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.5 * torch.randn(*shape))


class TiedTransposed(nn.Module):
    """One matrix, as it is and transposed: x @ W and then h @ W.T."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = _raw(6, 4), nn.Linear(6, 3)

    def forward(self, x):
        return self.out(torch.tanh(torch.tanh(x @ self.weight) @ self.weight.T))


class Sliced(nn.Module):
    """The first rows of a weight in one place, the others in another, where the first input is added."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = _raw(7, 6), nn.Linear(7, 3)

    def forward(self, x):
        a = torch.tanh(F.linear(x, self.weight[:3]))
        return self.out(torch.cat([a, F.linear(x.flip(1), self.weight[3:])], 1))


class LowRank(nn.Module):
    """A weight that is a frozen one plus the product of two others, as in LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.a, self.b = nn.Linear(6, 5).requires_grad_(False), _raw(5, 2), _raw(2, 6)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(F.linear(x, self.base.weight + self.a @ self.b, self.base.bias)))


class LayerScale(nn.Module):
    """A residual branch times a vector, as in CaiT and ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.branch, self.gamma, self.out = nn.Linear(6, 6), nn.Parameter(torch.full((6,), 0.1)), nn.Linear(6, 3)

    def forward(self, x):
        return self.out(x + self.gamma * torch.tanh(self.branch(x)))


class Temperature(nn.Module):
    """A scalar parameter without axes that divides the logits, and one that is their offset."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.temperature = nn.Linear(6, 3), nn.Parameter(torch.tensor(1.7))
        self.offset = nn.Parameter(torch.tensor([0.3]))

    def forward(self, x):
        return self.net(x) / self.temperature + self.offset


class CosineClassifier(nn.Module):
    """Normalised features against normalised class vectors, times an exponentiated scale, as in CLIP."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.classes, self.scale = nn.Linear(6, 5), _raw(3, 5), nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return self.scale.exp() * F.normalize(self.inner(x), dim=-1) @ F.normalize(self.classes, dim=-1).T


class SharedBias(nn.Module):
    """One bias in two places, of which one is inside a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(6, 5), nn.Linear(5, 5, bias=False), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.b(torch.tanh(self.a(x))) + self.a.bias))


class ScaledAddmm(nn.Module):
    """torch.addmm with factors of its own, and a bias that is a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.out = _raw(6, 5), _raw(1, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(torch.addmm(self.bias, x, self.weight, beta=0.5, alpha=2.0)))


class FeaturesFirst(nn.Module):
    """Products with the parameter to the left: the samples are columns."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.last = _raw(5, 6), _raw(5, 1), _raw(3, 5)

    def forward(self, x):
        return (self.last @ torch.tanh(self.weight @ x.T + self.bias)).T


class LeftOfTokens(nn.Module):
    """A matrix to the left of tokens [n, d, T]: matmul expands it over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.right, self.out = _raw(4, 3), _raw(5, 2), nn.Linear(8, 3)

    def forward(self, x):
        h = torch.tanh(self.weight @ x)
        return self.out((h.transpose(1, 2).contiguous().transpose(1, 2) @ self.right).flatten(1))


class Vectors(nn.Module):
    """Matrix times vector, and the outer product with another vector."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write, self.out = _raw(6), _raw(5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.outer(torch.tanh(x @ self.read), self.write))


class Einsum(nn.Module):
    """Heads by einsum with a parameter of three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.merge, self.out = _raw(2, 4, 3), _raw(2, 3, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(torch.einsum("ntd,hde->nhte", x, self.heads))
        return self.out(torch.einsum("nhte,hed->nd", h, self.merge))


class ExpandedBmm(nn.Module):
    """torch.baddbmm and bmm with parameters that are expanded over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.last = _raw(4, 5), _raw(5), _raw(5, 3)

    def forward(self, x):
        n = len(x)
        h = torch.baddbmm(self.bias.expand(n, 1, 5), x, self.weight.expand(n, 4, 5), alpha=0.7)
        return torch.bmm(torch.tanh(h), self.last.expand(n, 5, 3)).mean(1)


class JoinedWeights(nn.Module):
    """Two weights joined for one product, one of them also used alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = _raw(3, 6), _raw(2, 6), nn.Linear(8, 3)

    def forward(self, x):
        h = F.linear(x, torch.cat([self.a, self.b]))
        return self.out(torch.cat([torch.tanh(h), F.linear(x.abs(), self.a)], 1))


class StandardisedConv(nn.Module):
    """Weight standardisation: the kernel is normalised before it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        w = self.conv.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-3)
        return self.out(F.silu(F.conv2d(x, w, self.conv.bias)).mean((2, 3)))


class TwoDilations(nn.Module):
    """One kernel at two dilations, once with its bias and once without."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.out = _raw(3, 2, 3, 3), _raw(3), nn.Linear(6, 3)

    def forward(self, x):
        a = F.conv2d(x, self.weight, self.bias, padding=1)
        b = F.conv2d(x, self.weight, padding=2, dilation=2)
        return self.out(torch.relu(torch.cat([a, b], 1)).mean((2, 3)))


class Prototypes(nn.Module):
    """Logits are distances to prototypes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.prototypes = nn.Linear(6, 4), _raw(3, 4)

    def forward(self, x):
        return -(self.inner(x)[:, None] - self.prototypes).pow(2).sum(-1)


class WeightsFromSamples(nn.Module):
    """A weight of each sample's own, made by a layer: a product of two things that depend on parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.maker, self.inner, self.out = nn.Linear(6, 12), nn.Linear(6, 4), nn.Linear(3, 3)

    def forward(self, x):
        made = self.maker(x).view(-1, 3, 4)
        return self.out(torch.tanh(torch.bmm(made, torch.tanh(self.inner(x))[:, :, None])).squeeze(-1))


class DynamicConv(nn.Module):
    """A kernel of each sample's own by attention over two, with the batch in the groups of one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.gate, self.out = _raw(2, 3, 2, 3, 3), nn.Linear(2, 2), nn.Linear(3, 3)

    def forward(self, x):
        n, c, height, width = x.shape
        mix = torch.softmax(self.gate(x.mean((2, 3))), 1)
        kernels = torch.einsum("nk,koihw->noihw", mix, self.kernels).reshape(n * 3, c, 3, 3)
        h = F.conv2d(x.reshape(1, n * c, height, width), kernels, padding=1, groups=n)
        return self.out(torch.relu(h.view(n, 3, height, width)).mean((2, 3)))


class LayerMix(nn.Module):
    """A softmax over parameters weighs the layers, as in ELMo."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.mix = nn.ModuleList(nn.Linear(6, 6) for _ in range(2)), _raw(3)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        states = [x]
        for layer in self.layers:
            states.append(torch.tanh(layer(states[-1])))
        return self.out(sum(w * h for w, h in zip(torch.softmax(self.mix, 0), states, strict=True)))


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g @ weight.T, x.T @ g


class _TransformedProduct(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, weight):
        return x @ weight

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return g @ weight.T, x.T @ g


class OwnFunction(nn.Module):
    """A parameter inside a torch.autograd.Function of the model's own; ``modern`` ones know torch.func."""

    def __init__(self, modern: bool) -> None:
        super().__init__()
        self.weight, self.out = _raw(6, 5), nn.Linear(5, 3)
        self.product = _TransformedProduct if modern else _Product

    def forward(self, x):
        return self.out(torch.tanh(self.product.apply(x, self.weight)))


class HalfDetached(nn.Module):
    """Parameters without gradient: one behind detach, one never used, a layer under no_grad, and one detached in one of two uses."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed, self.spare, self.back = _raw(6), _raw(4), nn.Linear(6, 6)
        self.twice, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        with torch.no_grad():
            x = torch.tanh(self.back(x))
        h = torch.tanh(self.twice(x * self.fixed.detach()))
        return self.out(h + F.linear(h, self.twice.weight.detach()))


class FourierFilter(nn.Module):
    """A complex filter, kept as real parameters, between two Fourier transforms."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.out = _raw(4, 2), nn.Linear(6, 3)

    def forward(self, x):
        return self.out(torch.relu(torch.fft.irfft(torch.fft.rfft(x) * torch.view_as_complex(self.filter), n=6)))


class OneWeightTwoLayers(nn.Module):
    """The weight of a pointwise convolution is, squeezed, that of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv1d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.relu(self.conv(x)).mean(2)
        return self.out(torch.tanh(F.linear(h, self.conv.weight.squeeze(-1))))


class TwoNames(nn.Module):
    """One layer under two names, and in a list three times."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second, self.norm = self.first, nn.LayerNorm(6)
        self.rest, self.out = nn.ModuleList([self.norm] * 2), nn.Linear(6, 3)

    def forward(self, x):
        h = self.rest[0](torch.tanh(self.first(x)))
        return self.out(self.rest[1](torch.tanh(self.second(h))))


class StoredTransposed(nn.Module):
    """A parameter whose entries do not lie in memory in the order of its axes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(6, 5).t()), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(F.linear(x, self.weight)))


class Equalised(nn.Module):
    """Weights and biases times constants at run time, as in StyleGAN; one layer with its own weight and a scaled bias."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        h = torch.tanh(F.linear(x, self.a.weight * 0.7, self.a.bias * 3))
        return self.out(torch.tanh(F.linear(h, self.b.weight, self.b.bias * 0.1)))
