"""Attention and recurrence."""

import torch
from torch import nn
from torch.nn import functional as F


class OneHead(nn.Module):
    """Single-head attention built of linear layers, with a causal mask and one of padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.q, self.k = nn.Embedding(9, 4, padding_idx=0), nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.v, self.merge, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, ids):
        h = self.embed(ids)
        scores = self.q(h) @ self.k(h).transpose(1, 2) / 2
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=ids.device).triu(1)
        scores = scores.masked_fill(later | (ids == 0)[:, None], -1e4)
        return self.out(h + self.merge(torch.softmax(scores, -1) @ self.v(h)))[:, -1]


class JointHeads(nn.Module):
    """Queries, keys and values of one linear layer, split into heads, with scaled_dot_product_attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.merge, self.out = nn.Linear(4, 12, bias=False), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, d)
        return self.out((x + self.merge(h)).mean(1))


class TimeFirst(nn.Module):
    """A transformer with the time axis first inside."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, norm_first=True)
        self.inner, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.layer(self.inner(x.transpose(0, 1))).mean(0))


class Decoder(nn.Module):
    """Learnt queries, expanded over the batch, look at a sample through a decoder layer, as in DETR."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.out = nn.Parameter(torch.randn(2, 4)), nn.Linear(8, 3)
        self.layer = nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.out(self.layer(self.queries.expand(len(x), -1, -1), x).flatten(1))


class CrossAttention(nn.Module):
    """nn.MultiheadAttention with keys of another width and parameters that are added to keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = (
            nn.MultiheadAttention(4, 2, kdim=3, vdim=3, add_bias_kv=True, batch_first=True),
            nn.Linear(4, 3),
        )

    def forward(self, x):
        return self.out(self.attention(x, x[..., :3], x[..., 1:])[0].mean(1))


class LastState(nn.Module):
    """A recurrent layer; the readout sees the final states of all its layers and directions."""

    def __init__(self, kind: type[nn.RNNBase], width: int, **options) -> None:
        super().__init__()
        self.recurrent, self.out = kind(3, 4, batch_first=True, **options), nn.Linear(width, 3)

    def forward(self, x):
        states = self.recurrent(x)[1]
        states = states[0] if isinstance(states, tuple) else states
        return self.out(states.transpose(0, 1).flatten(1))


class Cell(nn.Module):
    """A recurrent cell in a loop over time, from a learnt first state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.first, self.out = nn.GRUCell(3, 4), nn.Parameter(torch.randn(4)), nn.Linear(4, 3)

    def forward(self, x):
        h = self.first.expand(len(x), 4)
        for step in x.unbind(1):
            h = self.cell(step, h)
        return self.out(h)


class Packed(nn.Module):
    """A recurrent layer on packed sequences of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gru, self.out = nn.Embedding(9, 3), nn.GRU(3, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, ids):
        lengths = (ids > 2).sum(1).clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        return self.out(self.gru(packed)[1][0])
