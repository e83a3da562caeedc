"""Small models on which a kernel may go wrong, as a table: every kernel test runs over all of them.

The models are in ``tests/case_models``; those of which no kernel can be made are named at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrizations

from tests.case_models import axes, batchless, blocks, parameters, pitfalls, sequences
from tests.case_models.refused import AlwaysDropout, BatchMean, Detached, Overwritten, ReentrantCheckpoint

__all__ = ["CASES", "AlwaysDropout", "BatchMean", "Case", "Detached", "Overwritten", "ReentrantCheckpoint"]


@dataclass(frozen=True)
class Case:
    """A model and its inputs, built anew from a fixed seed."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (6,)
    vocabulary: int = 0  # > 0: integer inputs below it
    path: str = "vmap"
    quiet: int = 0  # so many of the first samples are small, and the others large
    ragged: bool = False  # a module puts out more for some samples than for others: no embedding kernel

    def model(self) -> nn.Module:
        torch.manual_seed(1)
        return _as_if_trained(self.build()).eval()

    def inputs(self, n: int, seed: int = 2) -> torch.Tensor:
        g = torch.Generator().manual_seed(seed)
        if self.vocabulary:
            return torch.randint(0, self.vocabulary, (n, *self.shape), generator=g)
        x = torch.randn(n, *self.shape, generator=g)
        if self.quiet:
            x[: self.quiet] *= 0.02
            x[self.quiet :] *= 5
        return x


@torch.no_grad()
def _as_if_trained(model: nn.Module) -> nn.Module:
    """Constants that training would move, such as the weights and statistics of norms, so that no error hides behind 1 or 0."""
    for p in model.parameters():
        if p.numel() > 1 and bool((p == p.flatten()[0]).all()):
            p.add_(0.2 * torch.randn_like(p))
    for module in model.modules():
        if getattr(module, "running_var", None) is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    return model


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def _between(*layers: nn.Module, width: int, pool: bool = True) -> nn.Module:
    """Layers on maps or sequences, then ReLU, the mean over all places and a readout."""
    end: list[nn.Module] = [nn.ReLU(), nn.Flatten(2), nn.AdaptiveAvgPool1d(1)] if pool else [nn.ReLU()]
    return nn.Sequential(*layers, *end, nn.Flatten(), nn.Linear(width, 3))


def _normed_weight() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 3))


def _spectral() -> nn.Module:
    conv = parametrizations.spectral_norm(nn.Conv1d(2, 4, 3))
    return _between(conv, width=4)


CASES = [
    Case("linear", lambda: nn.Linear(6, 3)),
    Case("linear without bias", lambda: nn.Linear(6, 3, bias=False)),
    Case("mlp", _mlp),
    Case("mlp with ten classes", lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 10))),
    Case("two classes", lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))),
    Case("one logit", pitfalls.OneLogit),
    Case("conv", lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)), (2, 5, 5)),
    Case(
        "conv with circular padding",
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), nn.SiLU(), nn.Flatten(), nn.Linear(75, 3)),
        (2, 5, 5),
    ),
    Case("conv1d", lambda: nn.Sequential(nn.Conv1d(2, 4, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)), (2, 7)),
    Case("residual with BatchNorm", pitfalls.Residual, (2, 6, 6)),
    Case(
        "layer and group norm",
        lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.GroupNorm(2, 8), nn.Linear(8, 3)),
    ),
    Case("embedding", lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3)), (5,), 9),
    Case("object with logits", pitfalls.WithLogits),
    Case("forward that counts", pitfalls.Counting),
    # the pitfalls of PyTorch models for engines that use hooks
    Case("in-place ReLU after the first layer", lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))),
    Case("in-place operation after BatchNorm", pitfalls.InPlaceAfterNorm, (2, 5, 5)),
    Case("module called twice", pitfalls.Twice),
    Case("tied embedding and readout", pitfalls.TiedText, (4,), 9),
    Case("functional linear on a raw parameter", pitfalls.Functional),
    Case("multi-head attention", pitfalls.Attention, (4, 8)),
    Case("transformer encoder with padding mask", pitfalls.Encoder, (5,), 11),
    Case("LSTM", pitfalls.Recurrent, (4, 4)),
    Case("branch on data", pitfalls.Branching, path="loop"),
    Case(
        "depthwise conv, padding same, reflect",
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, groups=2, padding="same", padding_mode="reflect"), nn.ReLU(), nn.Flatten(), nn.Linear(100, 3)
        ),
        (2, 5, 5),
    ),
    # convolutions
    Case("conv with stride and dilation", lambda: _between(nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 2), (2, 1)), width=4), (2, 7, 5)),
    Case("grouped conv", lambda: _between(nn.Conv2d(4, 6, 3, groups=2), nn.SiLU(), nn.Conv2d(6, 4, 2), width=4), (4, 5, 5)),
    Case("depthwise conv with multiplier", lambda: _between(nn.Conv2d(3, 6, 3, groups=3, bias=False), width=6), (3, 5, 5)),
    Case("even kernel, padding same", lambda: _between(nn.Conv2d(2, 4, (4, 2), padding="same"), width=4), (2, 5, 4)),
    Case("same even kernel, dilated", lambda: _between(nn.Conv2d(2, 3, 2, padding="same", dilation=3), width=3), (2, 5, 5)),
    Case("padding as large as the kernel", lambda: _between(nn.Conv2d(2, 3, 3, padding=3, stride=2), width=3), (2, 4, 4)),
    Case(
        "grouped conv1d", lambda: _between(nn.Conv1d(4, 4, 3, groups=2, stride=2), nn.Tanh(), nn.Conv1d(4, 3, 1), width=3), (4, 8)
    ),
    Case(
        "causal conv1d, replicated",
        lambda: _between(nn.Conv1d(2, 4, 4, padding="same", padding_mode="replicate"), width=4),
        (2, 6),
    ),
    Case(
        "transposed conv",
        lambda: _between(
            nn.ConvTranspose2d(2, 4, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 4, 2, groups=2), width=4
        ),
        (2, 3, 3),
    ),
    Case("transposed conv1d", lambda: _between(nn.ConvTranspose1d(2, 3, 3, dilation=2, bias=False), width=3), (2, 4)),
    Case("conv3d", lambda: _between(nn.Conv3d(2, 3, (1, 2, 3)), width=3), (2, 3, 3, 4)),
    Case(
        "channels last in memory", lambda: _between(nn.Conv2d(2, 4, 3), width=4).to(memory_format=torch.channels_last), (2, 5, 5)
    ),
    Case("conv on one pixel", lambda: _between(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.Conv2d(5, 4, 3, padding=1), width=4), (3, 1, 1)),
    Case("conv as readout", lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten()), (2, 5, 5)),
    Case("conv, pooled, as readout", lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (2, 5, 5)),
    Case("shuffled pixels", lambda: _between(nn.Conv2d(2, 8, 3), nn.PixelShuffle(2), nn.Conv2d(2, 4, 2), width=4), (2, 4, 4)),
    Case(
        "upsampled maps",
        lambda: _between(nn.Conv2d(2, 3, 2), nn.Upsample(scale_factor=2), nn.Conv2d(3, 3, 3), width=3),
        (2, 4, 4),
    ),
    # norms
    Case("BatchNorm on features", lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))),
    Case("BatchNorm first", lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))),
    Case("BatchNorm on sequences", lambda: _between(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), width=4), (2, 6)),
    Case(
        "BatchNorm without parameters", lambda: _between(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, affine=False), width=4), (2, 5, 5)
    ),
    Case("BatchNorm on volumes", lambda: _between(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), width=2), (1, 3, 3, 3)),
    Case("InstanceNorm", lambda: _between(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), width=4), (2, 5, 5)),
    Case(
        "InstanceNorm with statistics",
        lambda: _between(nn.Conv1d(2, 4, 3), nn.InstanceNorm1d(4, affine=True, track_running_stats=True), width=4),
        (2, 7),
    ),
    Case(
        "LayerNorm over two axes",
        lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm((3, 4)), nn.Flatten(), nn.Linear(12, 3)),
        (3, 4),
    ),
    Case("LayerNorm over maps", lambda: _between(nn.Conv2d(2, 3, 2), nn.LayerNorm((3, 4, 4)), width=3), (2, 5, 5)),
    Case(
        "LayerNorm without parameters",
        lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5, elementwise_affine=False), nn.Linear(5, 3)),
    ),
    Case("LayerNorm without bias", lambda: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5, bias=False), nn.Linear(5, 3))),
    Case("LayerNorm at the end", lambda: nn.Sequential(nn.Linear(6, 3), nn.LayerNorm(3))),
    Case("GroupNorm on maps", lambda: _between(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), width=4), (2, 5, 5)),
    Case("RMSNorm", lambda: nn.Sequential(nn.Linear(6, 5), nn.RMSNorm(5), nn.GELU(), nn.Linear(5, 3))),
    Case("RMSNorm on tokens", lambda: nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4), nn.Flatten(), nn.Linear(12, 3)), (3, 4)),
    Case("weight norm", _normed_weight),
    Case("spectral norm", _spectral, (2, 6)),
    Case("PReLU", lambda: nn.Sequential(nn.Linear(6, 5), nn.PReLU(), nn.Linear(5, 5), nn.PReLU(5), nn.Linear(5, 3))),
    Case("PReLU on maps", lambda: _between(nn.Conv2d(2, 4, 3), nn.PReLU(4), nn.Conv2d(4, 4, 2), width=4), (2, 5, 5)),
    # embeddings
    Case(
        "embedding with padding",
        lambda: nn.Sequential(nn.Embedding(6, 4, padding_idx=0), nn.Flatten(), nn.Linear(20, 3)),
        (5,),
        6,
    ),
    Case("bag of embeddings", lambda: nn.Sequential(nn.EmbeddingBag(9, 4), nn.ReLU(), nn.Linear(4, 3)), (5,), 9),
    Case(
        "sum of embeddings, padded",
        lambda: nn.Sequential(nn.EmbeddingBag(9, 4, mode="sum", padding_idx=1), nn.Linear(4, 3)),
        (5,),
        9,
    ),
    Case("embedding as readout", lambda: nn.Sequential(nn.Embedding(9, 3), nn.Flatten()), (1,), 9),
    # linear layers on tokens
    Case(
        "linear on tokens",
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2), nn.Flatten(), nn.Linear(6, 3)),
        (3, 4),
    ),
    Case(
        "linear on tokens without bias",
        lambda: nn.Sequential(
            nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False), nn.Flatten(), nn.Linear(12, 3)
        ),
        (6, 4),
    ),
    Case("linear on four axes", lambda: nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Flatten(), nn.Linear(24, 3)), (2, 3, 3)),
    Case("patches by hand", axes.PatchesByHand, (2, 4, 4)),
    Case("mean of the tokens' logits", axes.MeanOfTokenLogits, (5, 4)),
    Case("mixer", axes.Mixer, (5, 4)),
    Case("matrix to the left of tokens", parameters.LeftOfTokens, (3, 5)),
    # the batch axis moves
    Case("samples and tokens in one axis", axes.TokensMerged, (5, 4)),
    Case("tokens and samples in one axis", axes.TimeMajorMerged, (5, 4)),
    Case("as many tokens as samples", axes.TimeMajorMerged, (6, 4)),
    Case("frames and samples in one axis", axes.FramesMerged, (3, 4, 4)),
    Case("samples as columns", parameters.FeaturesFirst),
    Case("mirror images in the batch", axes.Flipped, (2, 5)),
    Case("samples repeated", axes.Repeated),
    Case("two halves, one encoder", axes.Siamese),
    Case("hard mixture of experts", axes.Routed, path="loop", ragged=True),
    Case("batch in the groups of a conv", parameters.DynamicConv, (2, 4, 4)),
    # parameters outside layers
    Case("tied and transposed", parameters.TiedTransposed),
    Case("weight in two slices", parameters.Sliced),
    Case("low-rank update", parameters.LowRank),
    Case("positions [1, T, d]", lambda: batchless.Positions(1), (5,), 9),
    Case("positions [T, d]", batchless.Positions, (5,), 9),
    Case("class token", batchless.ClassToken, (3, 4)),
    Case("layer scale", parameters.LayerScale),
    Case("temperature", parameters.Temperature),
    Case("cosine classifier", parameters.CosineClassifier),
    Case("one bias twice", parameters.SharedBias),
    Case("addmm with factors", parameters.ScaledAddmm),
    Case("weights and biases times constants", parameters.Equalised),
    Case("one weight in two kinds of layer", parameters.OneWeightTwoLayers, (4, 3)),
    Case("parameter stored transposed", parameters.StoredTransposed),
    Case("double precision", lambda: _mlp().double()),
    Case("vectors", parameters.Vectors),
    Case("einsum", parameters.Einsum, (3, 4)),
    Case("expanded bmm", parameters.ExpandedBmm, (3, 4)),
    Case("joined weights", parameters.JoinedWeights),
    Case("weight standardisation", parameters.StandardisedConv, (2, 5, 5)),
    Case("one kernel, two dilations", parameters.TwoDilations, (2, 5, 5)),
    Case("prototypes", parameters.Prototypes),
    Case("latent queries", lambda: batchless.LatentQueries(2), (3, 4)),
    Case("as many latents as samples", lambda: batchless.LatentQueries(6), (3, 4)),
    Case("embedded positions", batchless.EmbeddedPositions, (5,), 9),
    Case("as many embedded positions as samples", batchless.EmbeddedPositions, (6,), 9),
    Case("learnt map through a conv", batchless.LearntMap, (2, 4, 4)),
    Case("one number a sample", batchless.OneNumber, ()),
    Case("weights made of parameters", batchless.WeightsFromParameters),
    Case("weights made of samples", parameters.WeightsFromSamples),
    Case("relative bias", batchless.RelativeBias, (4, 4)),
    Case("mix of layers", parameters.LayerMix),
    Case("own function", lambda: parameters.OwnFunction(modern=False), path="loop"),
    Case("own function for torch.func", lambda: parameters.OwnFunction(modern=True)),
    Case("detached and unused", parameters.HalfDetached),
    Case("Fourier filter", parameters.FourierFilter),
    # blocks
    Case("gates", blocks.Gated),
    Case("squeeze and excitation", blocks.SqueezeExcite, (2, 5, 5)),
    Case("dense block", blocks.Dense, (2, 4, 4)),
    Case("one conv on two scales", blocks.SharedOverScales, (2, 4, 4)),
    Case("one layer on three lengths", blocks.ThreeLengths, (5, 4)),
    Case("ConvNeXt block", axes.ConvNeXt, (2, 6, 6)),
    Case("U-Net", blocks.UNet, (2, 4, 4)),
    Case("bilinear", blocks.Twofold),
    Case("residual in place", axes.InPlaceResidual, (2, 4, 4)),
    Case("written in place", axes.Assigned),
    Case("max over time", axes.MaxOverTime, (5,), 9),
    # readouts
    Case("more classes than features", lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 12))),
    Case("linear bottleneck", lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2), nn.Linear(2, 7, bias=False))),
    Case("two readouts", blocks.TwoHeads),
    Case("past the nonlinearity", blocks.PastTheNonlinearity),
    Case("softmax before the readout", blocks.SoftmaxFeatures),
    Case("norm before the readout", lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.LayerNorm(5), nn.Linear(5, 8))),
    Case("maxout", blocks.Maxout),
    Case("some outputs are logits", blocks.Cut),
    Case("log_softmax at the end", lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), nn.LogSoftmax(-1))),
    Case("units dead on the first samples", blocks.Sparse, quiet=3),
    Case("units dead but on one sample", lambda: blocks.Sparse(12), quiet=5),
    Case("channels dead on the first samples", blocks.SparseConv, (2, 5, 5), quiet=3),
    # attention and recurrence
    Case("one head with masks", sequences.OneHead, (5,), 9),
    Case("heads of one projection", sequences.JointHeads, (4, 4)),
    Case("transformer, time first", sequences.TimeFirst, (5, 4)),
    Case("decoder with learnt queries", sequences.Decoder, (3, 4)),
    Case("cross-attention with bias_kv", sequences.CrossAttention, (3, 4)),
    Case("RNN", lambda: sequences.LastState(nn.RNN, 4), (4, 3), path="loop"),
    Case("GRU of two layers", lambda: sequences.LastState(nn.GRU, 8, num_layers=2), (4, 3), path="loop"),
    Case("LSTM both ways", lambda: sequences.LastState(nn.LSTM, 8, bidirectional=True), (4, 3)),
    Case("LSTM with projection", lambda: sequences.LastState(nn.LSTM, 2, proj_size=2, bias=False), (4, 3), path="loop"),
    Case("GRU cell over time", sequences.Cell, (4, 3), path="loop"),
    Case("packed sequences", sequences.Packed, (5,), 9, path="loop", ragged=True),
    # what runs a module another time, or under another name
    Case("one layer under two names", parameters.TwoNames),
    Case("checkpoint", blocks.Checkpointed, path="loop"),
]
