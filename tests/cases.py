"""Small models on which a kernel may go wrong, as a table: every kernel test runs over all of them.

The second half are the pitfalls of hook-based engines: each is computed right or refused with a typed error.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Case:
    """A model and its inputs, built anew from a fixed seed."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (6,)
    vocabulary: int = 0  # > 0: integer inputs below it
    path: str = "vmap"

    def model(self) -> nn.Module:
        torch.manual_seed(1)
        return self.build().eval()

    def inputs(self, n: int, seed: int = 2) -> torch.Tensor:
        g = torch.Generator().manual_seed(seed)
        if self.vocabulary:
            return torch.randint(0, self.vocabulary, (n, *self.shape), generator=g)
        return torch.randn(n, *self.shape, generator=g)


class Twice(nn.Module):
    """One module called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.out(torch.relu(self.inner(torch.relu(self.inner(x)))))


class TiedText(nn.Module):
    """Embedding and readout share one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.out = nn.Embedding(9, 5), nn.Linear(5, 5), nn.Linear(5, 9, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids):
        return self.out(torch.tanh(self.mix(self.embed(ids))).mean(1))


class Functional(nn.Module):
    """F.linear on a raw Parameter, and a scale of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale, self.out = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.ones(5)), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.relu(F.linear(x, self.weight)) * self.scale)


class Attention(nn.Module):
    """nn.MultiheadAttention: its in_proj is functional and its out_proj hook never fires."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Encoder(nn.Module):
    """nn.TransformerEncoder with a padding mask: nested tensors and a fused path without gradients."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.embed, self.encoder, self.out = nn.Embedding(11, 8, padding_idx=0), nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, ids):
        return self.out(self.encoder(self.embed(ids), src_key_padding_mask=ids == 0)[:, 0])


class Recurrent(nn.Module):
    """LSTM: three-gate weights in one matrix, time inside, and only a slow batching rule under vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


class Branching(nn.Module):
    """A branch on the data of one sample."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.stack([torch.relu(self.a(row) if row.sum().item() > 0 else self.b(row)) for row in x]))


class InPlaceAfterNorm(nn.Module):
    """An in-place operation on the output of BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 9, 3)
        self.norm.running_mean = torch.randn(4)
        self.norm.running_var = torch.rand(4) + 0.5

    def forward(self, x):
        return self.out(F.relu_(self.norm(self.conv(x)).mul_(1.5)).flatten(1))


class Counting(nn.Module):
    """A forward that writes to its own buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.out(x)


class WithLogits(nn.Module):
    """An object with .logits, as Hugging Face models return."""

    @dataclass
    class Output:
        logits: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.Output(self.out(x))


class OneLogit(nn.Module):
    """[n] instead of [n, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


class Residual(nn.Module):
    """A residual block with BatchNorm and a strided shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.shortcut, self.out = nn.Conv2d(2, 4, 1, stride=2), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.relu(self.norm1(self.conv1(x)))
        return self.out(torch.relu(self.norm2(self.conv2(h)) + self.shortcut(x)).mean((2, 3)))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


CASES = [
    Case("linear", lambda: nn.Linear(6, 3)),
    Case("linear without bias", lambda: nn.Linear(6, 3, bias=False)),
    Case("mlp", _mlp),
    Case("mlp with ten classes", lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 10))),
    Case("two classes", lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))),
    Case("one logit", OneLogit),
    Case("conv", lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)), (2, 5, 5)),
    Case(
        "conv with circular padding",
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), nn.SiLU(), nn.Flatten(), nn.Linear(75, 3)),
        (2, 5, 5),
    ),
    Case("conv1d", lambda: nn.Sequential(nn.Conv1d(2, 4, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)), (2, 7)),
    Case("residual with BatchNorm", Residual, (2, 6, 6)),
    Case(
        "layer and group norm",
        lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.GroupNorm(2, 8), nn.Linear(8, 3)),
    ),
    Case("embedding", lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3)), (5,), 9),
    Case("object with logits", WithLogits),
    Case("forward that counts", Counting),
    # the pitfalls of PyTorch models for engines that use hooks
    Case("in-place ReLU after the first layer", lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))),
    Case("in-place operation after BatchNorm", InPlaceAfterNorm, (2, 5, 5)),
    Case("module called twice", Twice),
    Case("tied embedding and readout", TiedText, (4,), 9),
    Case("functional linear on a raw parameter", Functional),
    Case("multi-head attention", Attention, (4, 8)),
    Case("transformer encoder with padding mask", Encoder, (5,), 11),
    Case("LSTM", Recurrent, (4, 4)),
    Case("branch on data", Branching, path="loop"),
    Case(
        "depthwise conv, padding same, reflect",
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2, padding="same", padding_mode="reflect"), nn.ReLU(), nn.Flatten(), nn.Linear(100, 3)
        ),
        (2, 5, 5),
    ),
]


class AlwaysDropout(nn.Module):
    """F.dropout that eval() does not switch off."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out(F.dropout(x, 0.5))


class BatchMean(nn.Module):
    """Subtracts the mean of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out(x - x.mean(0))


class Detached(nn.Module):
    """Runs without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        with torch.no_grad():
            return self.out(x)
