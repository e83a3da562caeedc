"""Layers and parameters that meet the samples late: what they compute first has no batch axis, or one of another length."""

import torch
from torch import nn
from torch.nn import functional as F


def _raw(*shape: int) -> nn.Parameter:
    return nn.Parameter(0.5 * torch.randn(*shape))


class Positions(nn.Module):
    """Positional embeddings that are broadcast over the batch, as [1, T, d] or [T, d]."""

    def __init__(self, *lead: int) -> None:
        super().__init__()
        self.embed, self.positions, self.out = nn.Embedding(9, 4, padding_idx=0), _raw(*lead, 5, 4), nn.Linear(4, 3)

    def forward(self, ids):
        return self.out(torch.tanh(self.embed(ids) + self.positions).mean(1))


class ClassToken(nn.Module):
    """A token that is expanded over the batch and put before the others; the readout sees it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.mix, self.out = _raw(1, 1, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        h = h + torch.softmax(self.mix(h) @ h.transpose(1, 2), -1) @ h
        return self.out(h[:, 0])


class LatentQueries(nn.Module):
    """Layers that run on parameters alone, without a batch axis, as in Perceiver; their result meets the samples later."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.latents, self.query, self.norm = _raw(n, 4), nn.Linear(4, 4), nn.LayerNorm(4)
        self.key, self.out = nn.Linear(4, 4, bias=False), nn.Linear(4 * n, 3)

    def forward(self, x):
        weights = torch.softmax(self.norm(self.query(self.latents)) @ self.key(x).transpose(1, 2), -1)
        return self.out((weights @ x).flatten(1))


class WeightsFromParameters(nn.Module):
    """A layer that makes the weight of another one out of a parameter, without any sample."""

    def __init__(self) -> None:
        super().__init__()
        self.codes, self.maker, self.out = _raw(5, 2), nn.Linear(2, 6), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(F.linear(x, self.maker(self.codes))))


class RelativeBias(nn.Module):
    """A table that is read at fixed places and added to attention scores, as in Swin and T5."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix, self.out = _raw(7), nn.Linear(4, 4), nn.Linear(4, 3)
        self.register_buffer("places", torch.arange(4)[:, None] - torch.arange(4) + 3)

    def forward(self, x):
        return self.out((torch.softmax(self.mix(x) @ x.transpose(1, 2) + self.table[self.places], -1) @ x).amax(1))


class EmbeddedPositions(nn.Module):
    """Positions are embedded once for the whole batch, and so is the type of all tokens, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions, self.types = nn.Embedding(9, 4), nn.Embedding(8, 4), nn.Embedding(2, 4)
        self.norm, self.out = nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, ids):
        n, t = ids.shape
        places = torch.arange(t, device=ids.device)
        h = self.tokens(ids) + self.positions(places) + self.types(torch.zeros_like(ids))
        return self.out(torch.tanh(self.norm(h + 0.5 * self.positions(places.expand(n, t)))).mean(1))


class LearntMap(nn.Module):
    """A convolution of a learnt map, a batch of one, which modulates those of the samples."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.conv, self.out = _raw(1, 2, 4, 4), nn.Conv2d(2, 3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.out((self.conv(x) * torch.tanh(self.conv(self.map))).amax((2, 3)))


class OneNumber(nn.Module):
    """A sample is one number without axes."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 3))

    def forward(self, x):
        return self.net(x[:, None])
