"""The registry of architectures: what a picker shows, what a specification may name, what the tests walk through."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from torch import nn

from ntkviz.models.architectures.cnn import CNN, CNNOptions
from ntkviz.models.architectures.mlp import MLP, MLPOptions
from ntkviz.models.architectures.options import OptionInfo, Options, faults, option_table
from ntkviz.models.architectures.resnet import ResNet, ResNetOptions
from ntkviz.models.architectures.tabular import TabularMLP, TabularOptions
from ntkviz.models.architectures.transformer import TextTransformer, TransformerOptions
from ntkviz.types import DataKind


@dataclass(frozen=True)
class ArchitectureInfo:
    """One row of the registry.

    Attributes:
        key: the ``name`` in a specification.
        title: for headings and pickers.
        summary: one sentence for the picker.
        kinds: the layouts of data that it reads.
        source: paper the definition comes from, or where it is usual.
        options_model: the pydantic model of its options.
        module: options -> network.
        options: name of an option -> :class:`OptionInfo` (type, default, help, bounds).
    """

    key: str
    title: str
    summary: str
    kinds: tuple[DataKind, ...]
    source: str
    options_model: type[Options]
    module: Callable[[Any], nn.Module]
    options: dict[str, OptionInfo] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the table of options."""
        object.__setattr__(self, "options", option_table(self.options_model))

    def check(self, options: dict[str, Any]) -> Options:
        """The options with defaults filled in.

        Args:
            options: name -> value, for any of ``self.options``.

        Returns:
            An instance of ``self.options_model``.

        Raises:
            ValueError: when a name is unknown or a value is of the wrong type, out of bounds or does not fit the others;
                the message names each.
        """
        try:
            return self.options_model.model_validate(options)
        except ValidationError as error:
            raise ValueError(faults(error, self.options_model, prefix="options.")) from error

    def build(self, **options: Any) -> nn.Module:
        """A network with fresh parameters, on torch's default device.

        Parameters are drawn from torch's global generator: call ``torch.manual_seed`` first for the same ones again. The
        size is not limited here; :func:`ntkviz.models.spec.build_model` does that.

        Args:
            **options: any of ``self.options``.

        Returns:
            A module in training mode.

        Raises:
            ValueError: as :meth:`check` does.
        """
        checked = self.check(options)
        return self.module(checked)


_ROWS = (
    ArchitectureInfo(
        key="mlp",
        title="Multilayer perceptron",
        summary="Dense layers on the flattened input; the cheapest exact kernel.",
        kinds=("image", "tabular"),
        source="Rosenblatt 1958; Rumelhart, Hinton & Williams 1986",
        options_model=MLPOptions,
        module=MLP,
    ),
    ArchitectureInfo(
        key="cnn",
        title="Convolutional network",
        summary="Convolutions with pooling and optional BatchNorm, then dense layers.",
        kinds=("image",),
        source="LeCun et al., Proc. IEEE 86(11), 1998",
        options_model=CNNOptions,
        module=CNN,
    ),
    ArchitectureInfo(
        key="resnet",
        title="Residual network",
        summary="CIFAR-style residual blocks with BatchNorm, averaged over positions.",
        kinds=("image",),
        source="He et al., CVPR 2016 (arXiv 1512.03385)",
        options_model=ResNetOptions,
        module=ResNet,
    ),
    ArchitectureInfo(
        key="transformer",
        title="Transformer text encoder",
        summary="Token and position embeddings, self-attention with a padding mask, mean over the words.",
        kinds=("text",),
        source="Vaswani et al., NeurIPS 2017 (arXiv 1706.03762)",
        options_model=TransformerOptions,
        module=TextTransformer,
    ),
    ArchitectureInfo(
        key="tabular",
        title="Perceptron for tables",
        summary="Dense blocks with optional normalisation, dropout and residual connections.",
        kinds=("tabular",),
        source="Gorishniy et al., NeurIPS 2021 (arXiv 2106.11959)",
        options_model=TabularOptions,
        module=TabularMLP,
    ),
)


def architectures() -> dict[str, ArchitectureInfo]:
    """The architectures that a specification may name, by key."""
    return {row.key: row for row in _ROWS}
