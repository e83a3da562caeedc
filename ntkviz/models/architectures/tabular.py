"""A perceptron for tables: normalisation inside, dropout, optional residual blocks.

Source: the MLP and the ResNet-like model of Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data",
NeurIPS 2021 (arXiv 2106.11959), for numerical features.
"""

from collections import OrderedDict
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from ntkviz.models.architectures.options import ACTIVATIONS, MAX_CLASSES, MAX_WIDTH, Activation, Options


class TabularOptions(Options):
    """Options of :class:`TabularMLP`."""

    features: int = Field(30, ge=1, le=MAX_WIDTH, description="Columns of the table that the model reads.")
    n_classes: int = Field(2, ge=1, le=MAX_CLASSES, description="Logits C; 1 for two classes by one logit.")
    width: int = Field(64, ge=1, le=MAX_WIDTH, description="Width of the hidden layers.")
    blocks: int = Field(2, ge=1, le=32, description="Number of hidden layers.")
    residual: bool = Field(False, description="Add each block's input to its output; the table is first brought to the width.")
    norm: Literal["none", "layer", "batch"] = Field("none", description="Normalisation inside each block.")
    activation: Activation = Field("relu", description="Nonlinearity of each block.")
    dropout: float = Field(0.0, ge=0, le=0.95, description="Share of hidden units left out while training; none in eval mode.")


class TabularMLP(nn.Module):
    """``[n, features]`` to logits ``[n, C]``."""

    def __init__(self, options: TabularOptions) -> None:
        """Make the layers, initialised by torch from its global generator."""
        super().__init__()
        self.residual = options.residual
        width = options.features
        self.stem: nn.Module = nn.Identity()
        if options.residual:
            self.stem = nn.Linear(options.features, options.width)
            width = options.width
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for place in range(1, options.blocks + 1):
            blocks[f"block{place}"] = _block(width, options)
            width = options.width
        self.blocks = nn.Sequential(blocks)
        self.readout = nn.Linear(width, options.n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[n, C]`` of ``x`` ``[n, features]``."""
        hidden = self.stem(x)
        for block in self.blocks:
            hidden = hidden + block(hidden) if self.residual else block(hidden)
        return self.readout(hidden)


def _block(width: int, options: TabularOptions) -> nn.Sequential:
    """Linear, normalisation, nonlinearity, dropout."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(width, options.width))
    if options.norm == "layer":
        layers["norm"] = nn.LayerNorm(options.width)
    elif options.norm == "batch":
        layers["norm"] = nn.BatchNorm1d(options.width)
    layers["act"] = ACTIVATIONS[options.activation]()
    if options.dropout:
        layers["dropout"] = nn.Dropout(options.dropout)
    return nn.Sequential(layers)
