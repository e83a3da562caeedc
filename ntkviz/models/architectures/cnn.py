"""A plain convolutional network for small images."""

from collections import OrderedDict
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from ntkviz.models.architectures.mlp import Widths
from ntkviz.models.architectures.options import ACTIVATIONS, MAX_CHANNELS, MAX_CLASSES, Activation, Options

#: Channels of successive convolutions.
Channels = list[Annotated[int, Field(ge=1, le=MAX_CHANNELS)]]


class CNNOptions(Options):
    """Options of :class:`CNN`."""

    in_channels: int = Field(1, ge=1, le=64, description="Channels of the image: 1 grey, 3 colour.")
    height: int = Field(28, ge=1, le=1024, description="Rows of the image.")
    width: int = Field(28, ge=1, le=1024, description="Columns of the image.")
    n_classes: int = Field(10, ge=1, le=MAX_CLASSES, description="Logits C; 1 for two classes by one logit.")
    channels: Channels = Field([16, 32, 32], min_length=1, max_length=16, description="Channels of each convolution.")
    kernel: int = Field(3, ge=1, le=15, description="Side of each convolution's window; odd, padded to keep the size.")
    pooling: Literal["max", "avg", "none"] = Field("max", description="2x2 pooling after each convolution.")
    readout: Literal["flatten", "gap"] = Field(
        "flatten", description="Read the last map out flattened, or averaged over positions (gap)."
    )
    hidden: Widths = Field([], max_length=8, description="Width of each dense layer between the map and the logits.")
    batch_norm: bool = Field(False, description="BatchNorm after each convolution.")
    activation: Activation = Field("relu", description="Nonlinearity after each layer.")
    dropout: float = Field(0.0, ge=0, le=0.95, description="Share left out before each dense layer while training.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse an even window, and more poolings than the image has rows or columns for.

        Raises:
            ValueError: in these two cases.
        """
        if self.kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd, so that padding keeps the size; got {self.kernel}")
        if min(self._map_size()) < 1:
            raise ValueError(
                f"{len(self.channels)} poolings by 2 leave nothing of an image of {self.height} x {self.width}; "
                "expected fewer `channels`, or `pooling` none"
            )
        return self

    def _map_size(self) -> tuple[int, int]:
        """Rows and columns of the last map."""
        halvings = 0 if self.pooling == "none" else len(self.channels)
        return self.height >> halvings, self.width >> halvings

    def readout_width(self) -> int:
        """How many values the dense part reads."""
        rows, columns = self._map_size()
        return self.channels[-1] * (1 if self.readout == "gap" else rows * columns)


class CNN(nn.Sequential):
    """Convolutions ``conv1``, ..., dense layers ``hidden1``, ..., and ``readout``: ``[n, channels, H, W]`` to ``[n, C]``."""

    def __init__(self, options: CNNOptions) -> None:
        """Make the layers, initialised by torch from its global generator."""
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        depth = options.in_channels
        for place, wanted in enumerate(options.channels, start=1):
            # A bias before BatchNorm has no effect: BatchNorm takes the mean out again.
            layers[f"conv{place}"] = nn.Conv2d(
                depth, wanted, options.kernel, padding=options.kernel // 2, bias=not options.batch_norm
            )
            if options.batch_norm:
                layers[f"norm{place}"] = nn.BatchNorm2d(wanted)
            layers[f"act{place}"] = ACTIVATIONS[options.activation]()
            if options.pooling != "none":
                layers[f"pool{place}"] = nn.MaxPool2d(2) if options.pooling == "max" else nn.AvgPool2d(2)
            depth = wanted
        if options.readout == "gap":
            layers["gap"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        _add_dense(layers, options)
        super().__init__(layers)


def _add_dense(layers: OrderedDict[str, nn.Module], options: CNNOptions) -> None:
    """Append the dense layers and the readout."""
    width = options.readout_width()
    for place, wanted in enumerate(options.hidden, start=1):
        if options.dropout:
            layers[f"dropout{place}"] = nn.Dropout(options.dropout)
        layers[f"hidden{place}"] = nn.Linear(width, wanted)
        layers[f"dense_act{place}"] = ACTIVATIONS[options.activation]()
        width = wanted
    if options.dropout:
        layers["dropout_readout"] = nn.Dropout(options.dropout)
    layers["readout"] = nn.Linear(width, options.n_classes)
