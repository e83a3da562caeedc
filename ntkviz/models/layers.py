"""The layers that a specification may list, each with its arguments and their bounds.

A layer that is not in :data:`LAYERS` does not exist here, whatever torch.nn has: specifications come from strangers, and a
name is looked up in a dict, never in a module. Arguments are called as torch calls them and have its defaults.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import torch
from pydantic import AfterValidator, BeforeValidator, Field, create_model
from torch import nn

from ntkviz.models.architectures.options import MAX_CHANNELS, MAX_WIDTH, Options


class Mean(nn.Module):
    """Mean over one axis, such as over the positions of a text: ``[n, T, d]`` to ``[n, d]`` with ``dim`` 1."""

    def __init__(self, dim: int) -> None:
        """Keep the axis; 0 is the batch and is not meant."""
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` with axis ``dim`` averaged away."""
        return x.mean(dim=self.dim)


def _listed(value: object) -> object:
    """A lone number as a list of one."""
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _doubled(values: list[int]) -> list[int]:
    """Rows and columns, equal when only one was given."""
    return [values[0], values[-1]]


def _pair(low: int, high: int) -> Any:
    """Field of an argument that is one whole number or two (rows, columns)."""
    expected = f"a whole number from {low} to {high}, or a list of two (rows, columns)"
    return Field(min_length=1, max_length=2, json_schema_extra={"expected": expected})


Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Depth = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Epsilon = Annotated[float, Field(gt=0, le=1)]
Axis = Annotated[int, Field(ge=1, le=8)]
Size = Annotated[int, Field(ge=1, le=64)]
Stride = Annotated[int, Field(ge=1, le=32)]
Padding = Annotated[int, Field(ge=0, le=32)]
Sizes = Annotated[list[Size], BeforeValidator(_listed), _pair(1, 64), AfterValidator(_doubled)]
Strides = Annotated[list[Stride], BeforeValidator(_listed), _pair(1, 32), AfterValidator(_doubled)]
Paddings = Annotated[list[Padding], BeforeValidator(_listed), _pair(0, 32), AfterValidator(_doubled)]
LastAxes = Annotated[
    list[Width],
    BeforeValidator(_listed),
    Field(
        min_length=1,
        max_length=4,
        json_schema_extra={"expected": f"a whole number from 1 to {MAX_WIDTH}, or a list of up to four (the last axes)"},
    ),
]


class Nothing(Options):
    """Arguments of a layer that takes none."""


class LinearArguments(Options):
    """Arguments of Linear: ``[..., in_features]`` to ``[..., out_features]``."""

    in_features: Width
    out_features: Width
    bias: bool = True


class Conv1dArguments(Options):
    """Arguments of Conv1d, over ``[n, channels, T]``."""

    in_channels: Depth
    out_channels: Depth
    kernel_size: Size
    stride: Stride = 1
    padding: Padding = 0
    dilation: Stride = 1
    groups: Depth = 1
    bias: bool = True


class Conv2dArguments(Options):
    """Arguments of Conv2d, over ``[n, channels, H, W]``."""

    in_channels: Depth
    out_channels: Depth
    kernel_size: Sizes
    stride: Strides = Field([1, 1])
    padding: Paddings = Field([0, 0])
    dilation: Strides = Field([1, 1])
    groups: Depth = 1
    bias: bool = True


class BatchNormArguments(Options):
    """Arguments of BatchNorm; its running statistics are always used, since those of a batch would mix samples."""

    num_features: Width
    eps: Epsilon = 1e-5
    momentum: float = Field(0.1, ge=0, le=1)
    affine: bool = True


class LayerNormArguments(Options):
    """Arguments of LayerNorm."""

    normalized_shape: LastAxes
    eps: Epsilon = 1e-5
    elementwise_affine: bool = True
    bias: bool = True


class GroupNormArguments(Options):
    """Arguments of GroupNorm."""

    num_groups: Depth
    num_channels: Depth
    eps: Epsilon = 1e-5
    affine: bool = True


class EmbeddingArguments(Options):
    """Arguments of Embedding: token ids ``[n, T]`` to vectors ``[n, T, d]``."""

    num_embeddings: int = Field(ge=1, le=1_000_000)
    embedding_dim: Depth
    padding_idx: int | None = Field(None, ge=0, le=1_000_000)


class GELUArguments(Options):
    """Arguments of GELU."""

    approximate: Literal["none", "tanh"] = "none"


class LeakyReLUArguments(Options):
    """Arguments of LeakyReLU."""

    negative_slope: float = Field(0.01, ge=0, le=1)


class ELUArguments(Options):
    """Arguments of ELU."""

    alpha: float = Field(1.0, ge=0, le=100)


class SoftplusArguments(Options):
    """Arguments of Softplus."""

    beta: float = Field(1.0, ge=0.001, le=1000)
    threshold: float = Field(20.0, ge=0, le=1000)


class PoolArguments(Options):
    """Arguments of pooling over ``[n, channels, H, W]``; without a stride the windows touch."""

    kernel_size: Sizes
    stride: Strides | None = Field(None, json_schema_extra={"expected": "a whole number from 1 to 32, a list of two, or null"})
    padding: Paddings = Field([0, 0])


class AdaptivePoolArguments(Options):
    """Arguments of AdaptiveAvgPool2d; 1 averages over all positions."""

    output_size: Sizes


class FlattenArguments(Options):
    """Arguments of Flatten; the batch stays."""

    start_dim: Axis = 1
    end_dim: int = Field(-1, ge=-1, le=8)


class UnflattenArguments(Options):
    """Arguments of Unflatten; the batch stays."""

    dim: Axis
    unflattened_size: list[Width] = Field(min_length=1, max_length=4)


class DropoutArguments(Options):
    """Arguments of Dropout."""

    p: float = Field(0.5, ge=0, le=1)


class MeanArguments(Options):
    """Arguments of Mean; never over the batch. Padding counts like any other position."""

    dim: Axis = 1


@dataclass(frozen=True)
class LayerInfo:
    """One layer that a specification may list.

    Attributes:
        arguments: the pydantic model of its arguments.
        make: the arguments by name -> the layer.
    """

    arguments: type[Options]
    make: Callable[..., nn.Module]


#: Every layer that a specification may list, by the ``type`` it is called by.
LAYERS: dict[str, LayerInfo] = {
    "Linear": LayerInfo(LinearArguments, nn.Linear),
    "Conv1d": LayerInfo(Conv1dArguments, nn.Conv1d),
    "Conv2d": LayerInfo(Conv2dArguments, nn.Conv2d),
    "BatchNorm1d": LayerInfo(BatchNormArguments, nn.BatchNorm1d),
    "BatchNorm2d": LayerInfo(BatchNormArguments, nn.BatchNorm2d),
    "LayerNorm": LayerInfo(LayerNormArguments, nn.LayerNorm),
    "GroupNorm": LayerInfo(GroupNormArguments, nn.GroupNorm),
    "Embedding": LayerInfo(EmbeddingArguments, nn.Embedding),
    "ReLU": LayerInfo(Nothing, nn.ReLU),
    "GELU": LayerInfo(GELUArguments, nn.GELU),
    "Tanh": LayerInfo(Nothing, nn.Tanh),
    "Sigmoid": LayerInfo(Nothing, nn.Sigmoid),
    "SiLU": LayerInfo(Nothing, nn.SiLU),
    "LeakyReLU": LayerInfo(LeakyReLUArguments, nn.LeakyReLU),
    "ELU": LayerInfo(ELUArguments, nn.ELU),
    "Softplus": LayerInfo(SoftplusArguments, nn.Softplus),
    "MaxPool2d": LayerInfo(PoolArguments, nn.MaxPool2d),
    "AvgPool2d": LayerInfo(PoolArguments, nn.AvgPool2d),
    "AdaptiveAvgPool2d": LayerInfo(AdaptivePoolArguments, nn.AdaptiveAvgPool2d),
    "Flatten": LayerInfo(FlattenArguments, nn.Flatten),
    "Unflatten": LayerInfo(UnflattenArguments, nn.Unflatten),
    "Dropout": LayerInfo(DropoutArguments, nn.Dropout),
    "Identity": LayerInfo(Nothing, nn.Identity),
    "Mean": LayerInfo(MeanArguments, Mean),
}


class Layer(Options):
    """One layer of a specification: its ``type``, its arguments, and what the weights file calls it (its place in the list otherwise)."""

    type: str
    called: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    def module(self) -> nn.Module:
        """The layer, with fresh parameters on torch's default device; torch's own errors pass."""
        return LAYERS[self.type].make(**self.model_dump(exclude={"type", "called"}))


def _tagged(name: str, row: LayerInfo) -> type[Options]:
    """The arguments of a layer together with its ``type``."""
    # Built at run time from the dict, so that a layer cannot be in the one and not in the other.
    fields: dict[str, Any] = {"type": (Literal[name], ...)}
    return create_model(name, __base__=(row.arguments, Layer), **fields)


if TYPE_CHECKING:
    AnyLayer = Layer
else:
    #: Any layer, told apart by ``type``.
    _TAGGED = tuple(_tagged(name, row) for name, row in LAYERS.items())
    AnyLayer = Annotated[Union[_TAGGED], Field(discriminator="type")]  # noqa: UP007 - members come from the dict
