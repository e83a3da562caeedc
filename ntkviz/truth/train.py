"""Train one network by a recipe: what made the samples, and what a retraining repeats.

Everything random comes from one generator in a fixed order (initial parameters, then for each epoch the order of the points, then for
each minibatch its augmentation), so that :mod:`ntkviz.truth.together` can give each of many networks the stream it would have alone.

A last minibatch of a single point is joined to the one before it when the network has BatchNorm: one point has no spread to divide by.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ntkviz.errors import UnsupportedModel
from ntkviz.models.spec import ArchitectureSpec, build_model
from ntkviz.truth.recipe import OPTIMISERS, Training
from ntkviz.types import ProgressFn, silent

_UNKNOWN_WORD = 1


def train(
    spec: ArchitectureSpec | dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    training: Training,
    *,
    channels_last: bool = False,
    on_progress: ProgressFn = silent,
) -> nn.Module:
    """A trained network in eval mode.

    Args:
        spec: the specification.
        x: inputs ``[N, ...]``.
        y: labels ``[N]``.
        training: how.
        channels_last: keep images and kernels of convolutions in torch's channels-last layout: the same training, rounded otherwise
            and twice as fast. The samples were made without.
        on_progress: called with ("train", fraction) after each epoch; may raise ``JobCancelled``.

    Returns:
        The network after a fixed number of epochs.

    Raises:
        UnsupportedModel: when the network has BatchNorm and some minibatch would have one point all the same.
    """
    torch.manual_seed(training.seed)
    model = build_model(spec).train()
    optimiser = make_optimiser(list(model.parameters()), training)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    if channels_last and inputs.ndim == 4:
        model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing from the stubs
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    sizes = batch_sizes(len(y), training.batch_size, normed=has_batch_norm(model))
    schedule = make_schedule(optimiser, len(sizes), training)
    for epoch in range(training.epochs):
        for batch in torch.randperm(len(y)).split(sizes):
            changed = augmented(inputs[batch], draw_augmentation(inputs[batch], training))
            loss = loss_of(model(changed), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        on_progress("train", (epoch + 1) / training.epochs)
    return model.eval()


def has_batch_norm(model: nn.Module) -> bool:
    """Whether the network divides by the spread of its minibatch while it is trained."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def batch_sizes(n_points: int, batch_size: int, *, normed: bool = False) -> list[int]:
    """How many points the minibatches of an epoch have: ``batch_size`` each, and the rest.

    Args:
        n_points: training points of one network.
        batch_size: of the recipe.
        normed: whether the network has BatchNorm; then a rest of one point is joined to the minibatch before it.

    Raises:
        UnsupportedModel: when a minibatch would have one point all the same.
    """
    full, rest = divmod(n_points, batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0)
    if normed and len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    if normed and 1 in sizes:
        raise UnsupportedModel(
            f"BatchNorm takes mean and spread of a minibatch, which takes two points or more; with {n_points:,} training points and `batch_size` "
            f"{batch_size} some would have one. Set `batch_size` to 2 or more, and train on two points or more."
        )
    return sizes


def loss_of(logits: torch.Tensor, labels: torch.Tensor, *, reduction: str = "mean") -> torch.Tensor:
    """Cross-entropy of logits ``[n, C]``; C = 1 is the logit of class 1 against class 0."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype), reduction=reduction)
    return functional.cross_entropy(logits, labels, reduction=reduction)


def make_optimiser(parameters: list[torch.Tensor], training: Training, *, fused: bool | None = None) -> torch.optim.Optimizer:
    """The optimiser that a recipe names.

    Args:
        parameters: what it changes.
        training: the recipe.
        fused: one pass over the numbers a step instead of several; None leaves torch's default.

    Raises:
        ValueError: when the recipe names another optimiser.
    """
    lr, decay = training.learning_rate, training.weight_decay
    if training.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=decay, fused=fused)
    if training.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=fused)
    raise ValueError(f"`optimiser` is {training.optimiser!r}; expected {' or '.join(map(repr, OPTIMISERS))}.")


def make_schedule(optimiser: torch.optim.Optimizer, n_batches: int, training: Training) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate along a cosine to 0, a step a minibatch.

    Args:
        optimiser: whose.
        n_batches: minibatches in an epoch.
        training: the recipe.
    """
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.epochs * n_batches)


def draw_augmentation(x: torch.Tensor, training: Training, generator: torch.Generator | None = None) -> torch.Tensor | None:
    """What is random in the augmentation of a minibatch, drawn in a fixed order.

    Args:
        x: the minibatch ``[n, ...]``.
        training: the recipe.
        generator: where numbers are drawn from; None is torch's global generator.

    Returns:
        For texts bool ``[n, T]``, the words to replace; for images ``[n, 2, 3]``, an affine map each; None when the recipe asks for
        nothing. :func:`augmented` applies it.
    """
    if training.forget:
        return (torch.rand(x.shape, generator=generator) < training.forget) & (x != 0)
    if not training.augments:
        return None
    n, _, height, width = x.shape
    angle = (torch.rand(n, generator=generator) * 2 - 1) * training.rotate * torch.pi / 180
    side = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1 if training.mirror else torch.ones(n)
    # Whole pixels: a shift by a fraction would blur. Grid coordinates run from -1 to 1, hence the factor 2.
    across, down = (
        ((torch.rand(n, generator=generator) * 2 - 1) * (training.shift + 0.5)).round().clamp(-training.shift, training.shift)
        for _ in range(2)
    )
    rows = (
        torch.stack([angle.cos() * side, -angle.sin(), 2 * across / width], dim=1),
        torch.stack([angle.sin() * side, angle.cos(), 2 * down / height], dim=1),
    )
    return torch.stack(rows, dim=1)


def augmented(x: torch.Tensor, drawn: torch.Tensor | None) -> torch.Tensor:
    """A minibatch changed in ways that leave its labels right.

    Args:
        x: ``[n, ...]``.
        drawn: what :func:`draw_augmentation` gave for it.

    Returns:
        Tensor like ``x``.
    """
    if drawn is None:
        return x
    if drawn.dtype == torch.bool:
        return x.masked_fill(drawn, _UNKNOWN_WORD)
    grid = functional.affine_grid(drawn, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)
