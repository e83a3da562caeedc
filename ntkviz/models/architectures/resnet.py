"""A residual network for small images, in the manner of the CIFAR networks.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv 1512.03385), section 4.2, with 1x1
convolutions on the shortcuts where the shape changes (option B).
"""

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from ntkviz.models.architectures.cnn import Channels
from ntkviz.models.architectures.options import ACTIVATIONS, MAX_CLASSES, Activation, Options


class ResNetOptions(Options):
    """Options of :class:`ResNet`; the defaults are ResNet-20 for CIFAR-10."""

    in_channels: int = Field(3, ge=1, le=64, description="Channels of the image: 1 grey, 3 colour.")
    n_classes: int = Field(10, ge=1, le=MAX_CLASSES, description="Logits C; 1 for two classes by one logit.")
    widths: Channels = Field([16, 32, 64], min_length=1, max_length=6, description="Channels of each stage.")
    blocks: list[Annotated[int, Field(ge=1, le=32)]] = Field(
        [3, 3, 3], min_length=1, max_length=6, description="Residual blocks of each stage; as many entries as widths."
    )
    activation: Activation = Field("relu", description="Nonlinearity.")

    @model_validator(mode="after")
    def _matched(self) -> Self:
        """Refuse lists of different lengths.

        Raises:
            ValueError: in that case.
        """
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"`widths` has {len(self.widths)} entries and `blocks` {len(self.blocks)}; expected one of each for every stage"
            )
        return self


class _Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to a shortcut."""

    def __init__(self, depth: int, width: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(depth, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.act1 = ACTIVATIONS[activation]()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or depth != width:
            self.shortcut = nn.Sequential(nn.Conv2d(depth, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))
        self.act2 = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.act1(self.norm1(self.conv1(x)))
        return self.act2(self.norm2(self.conv2(hidden)) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, stages of residual blocks, average over positions, ``readout``: ``[n, channels, H, W]`` to logits ``[n, C]``."""

    def __init__(self, options: ResNetOptions) -> None:
        """Make the layers, initialised by torch from its global generator."""
        super().__init__()
        depth = options.widths[0]
        self.stem = nn.Conv2d(options.in_channels, depth, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(depth)
        self.stem_act = ACTIVATIONS[options.activation]()
        self.stages = nn.ModuleList()
        for stage, (width, blocks) in enumerate(zip(options.widths, options.blocks, strict=True)):
            made = nn.Sequential()
            for place in range(blocks):
                # Each stage but the first halves the map in its first block.
                made.append(_Block(depth, width, 2 if stage and not place else 1, options.activation))
                depth = width
            self.stages.append(made)
        self.readout = nn.Linear(depth, options.n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[n, C]`` of ``x`` ``[n, channels, H, W]``."""
        hidden = self.stem_act(self.stem_norm(self.stem(x)))
        for stage in self.stages:
            hidden = stage(hidden)
        return self.readout(hidden.mean(dim=(-2, -1)))
