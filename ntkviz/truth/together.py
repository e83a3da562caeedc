"""Train many small networks of one architecture at once: their parameters stacked, one forward and one backward pass for all.

The loss of all networks is the sum of theirs, so each network's gradient is its own; the optimisers of the recipes work number by
number, so torch's own, given the stacked parameters, does for each network what it would do alone.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from ntkviz.models.spec import ArchitectureSpec, build_model
from ntkviz.truth.recipe import Training
from ntkviz.truth.train import augmented, batch_sizes, draw_augmentation, loss_of, make_optimiser, make_schedule


def train_together(
    spec: ArchitectureSpec | dict[str, Any],
    x: torch.Tensor,
    y: torch.Tensor,
    rows: torch.Tensor,
    seeds: np.ndarray,
    training: Training,
    *,
    on_epoch: Callable[[float], None],
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Train E networks, each on its own points and with its own seed.

    Args:
        spec: the specification; without BatchNorm and dropout, whose state and draws would not be those of a network alone.
        x: inputs ``[N, ...]``.
        y: labels int64 ``[N]``.
        rows: int64 ``[E, n]``, the training points of each network, ascending as a mask would pick them.
        seeds: int64 ``[E]``; takes the place of the recipe's seed.
        training: the recipe.
        on_epoch: called with the fraction that is done after each epoch; may raise.

    Returns:
        A function from inputs ``[m, ...]`` to logits ``[E, m, C]``.
    """
    models, generators = _start(spec, seeds)
    values, buffers = stack_module_state(models)
    shell = copy.deepcopy(models[0]).to("meta")
    optimiser = make_optimiser(list(values.values()), training, fused=True)
    sizes = batch_sizes(rows.shape[1], training.batch_size)
    schedule = make_schedule(optimiser, len(sizes), training)

    def forward(parameters: dict[str, torch.Tensor], state: dict[str, torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
        return functional_call(shell, (parameters, state), (batch,))

    each, read = vmap(forward), _reader(x, training, generators)
    for epoch in range(training.epochs):
        order = torch.stack([torch.randperm(rows.shape[1], generator=generator) for generator in generators])
        for batch in rows.gather(1, order).split(sizes, dim=1):
            logits = each(values, buffers, read(batch))
            loss = loss_of(logits.flatten(0, 1), y[batch].flatten(), reduction="sum") / batch.shape[1]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        on_epoch((epoch + 1) / training.epochs)
    shell.eval()
    final = {name: value.detach() for name, value in values.items()}
    return lambda inputs: vmap(forward, in_dims=(0, 0, None))(final, buffers, inputs)


def can_train_together(model: nn.Module) -> bool:
    """Whether a network trained among others is the network trained alone: no dropout, no BatchNorm."""
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
    return not any(isinstance(module, kinds) and getattr(module, "p", 1) for module in model.modules())


def _start(spec: ArchitectureSpec | dict[str, Any], seeds: np.ndarray) -> tuple[list[nn.Module], list[torch.Generator]]:
    """Networks with their initial parameters, and generators that stand where those left torch's global one."""
    models, generators = [], []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds.tolist():
            torch.manual_seed(seed)
            models.append(build_model(spec).train())
            generators.append(torch.Generator().set_state(torch.get_rng_state()))
    return models, generators


def _reader(x: torch.Tensor, training: Training, generators: list[torch.Generator]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from the points of a minibatch ``[E, n]`` to its inputs ``[E, n, ...]``, each network's changed by its own draws."""
    if not training.augments:
        return lambda batch: x[batch]
    if x.ndim == 4 and not (training.rotate or training.mirror) and float(training.shift).is_integer():
        return _shifter(x, training, generators)

    def read(batch: torch.Tensor) -> torch.Tensor:
        inputs = x[batch]
        drawn = [draw_augmentation(part, training, generator) for part, generator in zip(inputs, generators, strict=True)]
        together = torch.cat([part for part in drawn if part is not None])
        return augmented(inputs.flatten(0, 1), together).reshape(inputs.shape)

    return read


def _shifter(x: torch.Tensor, training: Training, generators: list[torch.Generator]) -> Callable[[torch.Tensor], torch.Tensor]:
    """:func:`_reader` for images that are moved by whole pixels only: a window of the padded image is what interpolation would give.

    Interpolating takes as long as all the rest of a perceptron's training.
    """
    most, (height, width) = int(training.shift), x.shape[2:]
    padded = nn.functional.pad(x, (most, most, most, most))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [N, channels, 2 most + 1, 2 most + 1, H, W], a view

    def read(batch: torch.Tensor) -> torch.Tensor:
        like = x[:1].expand(batch.shape[1], *x.shape[1:])
        maps = [draw_augmentation(like, training, generator) for generator in generators]
        # The last column of an affine map is the move, in half widths and half heights.
        moves = torch.cat([one for one in maps if one is not None])[:, :, 2]
        across, down = (moves * torch.tensor([width, height]) / 2).round().long().T
        return windows[batch.flatten(), :, down + most, across + most].reshape(*batch.shape, *x.shape[1:])

    return read
