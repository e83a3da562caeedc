"""Models of which no kernel can be made: each is refused with a typed error."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


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


class ReentrantCheckpoint(nn.Module):
    """A reentrant checkpoint, which PyTorch lets nobody differentiate with autograd.grad.

    ``first=False`` puts it on the inputs: autograd.grad then says nothing and leaves the block's own parameters out.
    """

    def __init__(self, first: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6) if first else nn.Identity()
        self.inner, self.out = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(checkpoint(lambda h: torch.relu(self.inner(h)), self.first(x), use_reentrant=True))


class Overwritten(nn.Module):
    """A layer's input is changed in place after the layer has used it: the forward pass runs, and nothing can go back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.branch, self.out = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        h = self.inner(x)
        h += torch.tanh(self.branch(h))
        return self.out(h)
