"""What a kernel is asked for; one argument for every kernel's ``gram`` function."""

from dataclasses import dataclass

import torch
from torch import nn

from ntkviz.gradients.differentiable import Differentiable
from ntkviz.types import ProgressFn, silent


@dataclass(frozen=True)
class KernelRequest:
    """A model in eval mode with checked inputs.

    Attributes:
        model: the module.
        train: ``[N, ...]`` tensor.
        rows: ``[M, ...]`` tensor of further points, or None.
        train_labels: int64 ``[N]`` or None.
        rows_labels: int64 ``[M]`` or None.
        square: whether the N x N part is wanted.
        seed: of random projections.
        memory_mb: bound on everything that grows with N, in MiB.
        on_progress: may raise ``JobCancelled``.
    """

    model: nn.Module
    train: torch.Tensor
    rows: torch.Tensor | None = None
    train_labels: torch.Tensor | None = None
    rows_labels: torch.Tensor | None = None
    square: bool = True
    seed: int = 0
    memory_mb: int = 4096
    on_progress: ProgressFn = silent

    @property
    def everything(self) -> torch.Tensor:
        """Training points, then the further points, ``[N + M, ...]``."""
        return self.train if self.rows is None else torch.cat([self.train, self.rows])

    def differentiable(self) -> Differentiable:
        """The model as a function of one sample and its parameters."""
        return Differentiable(self.model, self.train)
