"""A multilayer perceptron on flattened inputs."""

from collections import OrderedDict
from typing import Annotated

from pydantic import Field
from torch import nn

from ntkviz.models.architectures.options import ACTIVATIONS, MAX_CLASSES, MAX_WIDTH, Activation, Options

#: Widths of hidden layers, as every architecture with dense layers takes them.
Widths = list[Annotated[int, Field(ge=1, le=MAX_WIDTH)]]


class MLPOptions(Options):
    """Options of :class:`MLP`."""

    inputs: int = Field(784, ge=1, le=MAX_WIDTH, description="Values in one input after flattening; 784 for a 28x28 image.")
    n_classes: int = Field(10, ge=1, le=MAX_CLASSES, description="Logits C; 1 for two classes by one logit.")
    hidden: Widths = Field([100, 100], max_length=32, description="Width of each hidden layer; empty for a linear model.")
    activation: Activation = Field("relu", description="Nonlinearity after each hidden layer.")
    bias: bool = Field(True, description="Whether the layers add a bias.")
    dropout: float = Field(0.0, ge=0, le=0.95, description="Share of hidden units left out while training; none in eval mode.")


class MLP(nn.Sequential):
    """Flatten, then hidden layers ``hidden1``, ``hidden2``, ..., then ``readout``: ``[n, ...]`` to logits ``[n, C]``."""

    def __init__(self, options: MLPOptions) -> None:
        """Make the layers, initialised by torch from its global generator."""
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        width = options.inputs
        for place, wanted in enumerate(options.hidden, start=1):
            layers[f"hidden{place}"] = nn.Linear(width, wanted, bias=options.bias)
            layers[f"act{place}"] = ACTIVATIONS[options.activation]()
            if options.dropout:
                layers[f"dropout{place}"] = nn.Dropout(options.dropout)
            width = wanted
        layers["readout"] = nn.Linear(width, options.n_classes, bias=options.bias)
        super().__init__(layers)
