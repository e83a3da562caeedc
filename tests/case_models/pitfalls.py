"""Models on which hook-based engines are known to go wrong."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


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
