"""The networks of the benchmarks: seeded and untrained, but for the bundled sample, with inputs to go with them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ntkviz import load_sample


@dataclass(frozen=True)
class Network:
    """A network of the benchmarks.

    Attributes:
        build: makes it, in eval mode, the same weights every time.
        inputs: ``inputs(n)`` gives n inputs, the same every time.
        samples: N at which exact kernels are compared.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[int], torch.Tensor]
    samples: int


def mlp(widths: tuple[int, ...]) -> nn.Module:
    """Linear layers with ReLU between."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def cnn_98k() -> nn.Module:
    """Three 3x3 convolutions (16, 32, 64), each with pooling, and two linear layers: P = 98,442, C = 10, 28x28 pictures."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 9, 128), nn.ReLU(), nn.Linear(128, 10)).eval()


def conv_maps(channels: int = 16) -> nn.Module:
    """Two 3x3 convolutions and a mean over the map: takes pictures of any side."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)).eval()


class _Residual(nn.Module):
    """Two 3x3 convolutions with BatchNorm, and a shortcut; 1x1 convolution with BatchNorm where the shape changes."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(fan_out)
        self.second = nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(fan_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or fan_in != fan_out:
            self.shortcut = nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, fan_in, H, W]`` -> ``[n, fan_out, H / stride, W / stride]``."""
        inner = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(inner + self.shortcut(x))


def resnet(channels: tuple[int, ...], blocks: int) -> nn.Module:
    """A residual network of the CIFAR variety, 3x32x32 -> 10; its BatchNorm statistics are those of one random batch."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 3, 1, 1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()]
    fan_in = channels[0]
    for stage, width in enumerate(channels):
        for block in range(blocks):
            layers.append(_Residual(fan_in, width, 2 if stage and not block else 1))
            fan_in = width
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(fan_in, 10))
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None  # averages from the first batch on
    with torch.no_grad():
        model.train()(torch.randn(32, 3, 32, 32))
    return model.eval()


class _Encoder(nn.Module):
    """A Transformer encoder layer (norm after the sum), its attention written out so that every method can transform it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.mix = (nn.Linear(width, width) for _ in range(4))
        self.attended, self.done = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[n, T, width]`` -> ``[n, T, width]``."""
        n, length, width = x.shape
        q, k, v = (part(x).reshape(n, length, self.heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)
        x = self.attended(x + self.mix((weights @ v).transpose(1, 2).reshape(n, length, width)))
        return self.done(x + self.feed(x))


class Text(nn.Module):
    """Two encoder layers over token ids, mean over positions: P = 657,156 with T = 32, V = 2000, C = 4."""

    def __init__(self, length: int = 32, vocabulary: int = 2000, width: int = 128, n_classes: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers = nn.Sequential(_Encoder(width, 4), _Encoder(width, 4))
        self.readout = nn.Linear(width, n_classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """``[n, T]`` token ids -> ``[n, C]``."""
        return self.readout(self.layers(self.tokens(ids) + self.positions).mean(1))


def text(length: int = 32) -> nn.Module:
    """:class:`Text`, seeded."""
    torch.manual_seed(0)
    return Text(length).eval()


def noise(*shape: int) -> Callable[[int], torch.Tensor]:
    """Inputs of standard normal numbers."""
    return lambda n: torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def tokens(length: int = 32, vocabulary: int = 2000) -> Callable[[int], torch.Tensor]:
    """Sequences of token ids, common ones more often than rare ones (Zipf)."""
    weights = 1.0 / np.arange(1, vocabulary + 1)
    return lambda n: torch.from_numpy(
        np.random.default_rng(1).choice(vocabulary, size=(n, length), p=weights / weights.sum()).astype(np.int64)
    )


def digits(n: int) -> torch.Tensor:
    """The first n training pictures of the bundled digits, ``[n, 1, 28, 28]``."""
    return torch.as_tensor(load_sample("mnist-cnn").data.x_train[:n])


NETWORKS = {
    "mlp_s": Network(lambda: mlp((784, 100, 100, 10)), noise(784), 512),
    "mlp_l": Network(lambda: mlp((784, 1024, 1024, 10)), noise(784), 64),
    "cnn": Network(lambda: load_sample("mnist-cnn").model, digits, 500),
    "cnn_98k": Network(cnn_98k, noise(1, 28, 28), 500),
    "text2": Network(text, tokens(), 250),
    "resnet20": Network(lambda: resnet((16, 32, 64), 3), noise(3, 32, 32), 128),
    "resnet18": Network(lambda: resnet((64, 128, 256, 512), 2), noise(3, 32, 32), 16),
}


def size(model: nn.Module) -> int:
    """P, the number of floating point parameters."""
    return sum(p.numel() for p in model.parameters() if p.is_floating_point())
