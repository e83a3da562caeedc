"""What an exported graph may do: each operation by its name in the file, and the function that stands for it.

SECURITY: a name that is not in these tables is refused; nothing is looked up in torch by a text from a file. Operations that
read or write files, draw random numbers, show memory that nobody wrote, take apart storages or look at values are not listed.
Fused normalisations and attention go through the public functions, which check shapes before they touch memory.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

_a = torch.ops.aten

#: Views, and what only copies or names: they count as no layer.
_VIEWS = (
    _a.alias.default, _a.chunk.default, _a.contiguous.default, _a.detach.default, _a.expand.default, _a.expand_as.default,
    _a.flatten.using_ints, _a.movedim.int, _a.narrow.default, _a.numpy_T.default, _a.permute.default, _a.reshape.default, _a.select.int,
    _a.slice.Tensor, _a.split.Tensor, _a.split_with_sizes.default, _a.squeeze.default, _a.squeeze.dim, _a.squeeze.dims, _a.t.default,
    _a.to.device, _a.to.dtype, _a.to.dtype_layout, _a.transpose.int, _a.type_as.default, _a.unbind.int, _a.unflatten.int,
    _a.unsqueeze.default, _a.view.default, _a.view_as.default,
)  # fmt: skip
#: What a layer of torch.nn does: activations of these enter the embedding kernel.
_LAYERS = (
    _a.linear.default, _a.conv1d.default, _a.conv1d.padding, _a.conv2d.default, _a.conv2d.padding, _a.conv3d.default,
    _a.conv_transpose1d.default, _a.conv_transpose2d.input, _a.convolution.default, _a.embedding.default,
    _a.batch_norm.default, _a.instance_norm.default, _a.layer_norm.default, _a.group_norm.default, _a.rms_norm.default,
    _a.relu.default, _a.relu6.default, _a.gelu.default, _a.silu.default, _a.mish.default, _a.elu.default, _a.selu.default,
    _a.celu.default, _a.leaky_relu.default, _a.prelu.default, _a.hardtanh.default, _a.hardswish.default, _a.hardsigmoid.default,
    _a.hardshrink.default, _a.softshrink.default, _a.sigmoid.default, _a.tanh.default, _a.softplus.default, _a.log_sigmoid.default,
    _a.threshold.default, _a.glu.default, _a.softmax.int, _a.log_softmax.int,
    _a.max_pool1d.default, _a.max_pool2d.default, _a.max_pool3d.default, _a.avg_pool1d.default, _a.avg_pool2d.default,
    _a.avg_pool3d.default, _a.adaptive_avg_pool1d.default, _a.adaptive_avg_pool2d.default, _a.adaptive_avg_pool3d.default,
    _a.upsample_nearest2d.vec, _a.upsample_bilinear2d.vec, _a.pixel_shuffle.default,
)  # fmt: skip
_ARITHMETIC = (
    _a.matmul.default, _a.mm.default, _a.bmm.default, _a.mv.default, _a.dot.default, _a.addmm.default, _a.baddbmm.default,
    _a.einsum.default, _a.scaled_dot_product_attention.default,
    _a.add.Tensor, _a.add.Scalar, _a.sub.Tensor, _a.sub.Scalar, _a.rsub.Scalar, _a.mul.Tensor, _a.mul.Scalar, _a.div.Tensor,
    _a.div.Scalar, _a.neg.default, _a.abs.default, _a.exp.default, _a.expm1.default, _a.log.default, _a.log1p.default,
    _a.sqrt.default, _a.rsqrt.default, _a.square.default, _a.reciprocal.default, _a.sin.default, _a.cos.default, _a.erf.default,
    _a.pow.Tensor_Scalar, _a.pow.Tensor_Tensor, _a.clamp.default, _a.clamp_min.default, _a.clamp_max.default, _a.maximum.default,
    _a.minimum.default, _a.sign.default, _a.addcmul.default, _a.lerp.Scalar,
    _a.mean.default, _a.mean.dim, _a.sum.default, _a.sum.dim_IntList, _a.amax.default, _a.amin.default, _a.max.dim, _a.max.default,
    _a.min.dim, _a.min.default, _a.var.correction, _a.std.correction, _a.var_mean.correction, _a.logsumexp.default,
    _a.linalg_vector_norm.default, _a.cumsum.default, _a.argmax.default,
    _a.cat.default, _a.stack.default, _a.repeat.default, _a.flip.default, _a.roll.default, _a.clone.default, _a.pad.default,
    _a.constant_pad_nd.default, _a.reflection_pad1d.default, _a.reflection_pad2d.default, _a.replication_pad2d.default,
    _a.index_select.default, _a.index.Tensor, _a.gather.default, _a.tril.default, _a.triu.default,
    _a.eq.Scalar, _a.eq.Tensor, _a.ne.Scalar, _a.ne.Tensor, _a.lt.Scalar, _a.lt.Tensor, _a.le.Scalar, _a.le.Tensor, _a.gt.Scalar,
    _a.gt.Tensor, _a.ge.Scalar, _a.ge.Tensor, _a.logical_not.default, _a.logical_and.default, _a.logical_or.default,
    _a.bitwise_not.default, _a.bitwise_and.Tensor, _a.bitwise_or.Tensor, _a.any.default, _a.any.dim, _a.all.default,
    _a.all.dim, _a.where.self, _a.where.ScalarOther, _a.where.ScalarSelf,
    _a.masked_fill.Scalar, _a.masked_fill.Tensor, _a._to_copy.default, _a.zeros_like.default, _a.ones_like.default,
    _a.full_like.default, _a.new_zeros.default, _a.new_ones.default, _a.new_full.default, _a.lift_fresh_copy.default,
    _a.sym_size.int,
)  # fmt: skip
_MAKE = (
    _a.zeros.default, _a.ones.default, _a.full.default, _a.arange.default, _a.arange.start, _a.arange.start_step,
    _a.scalar_tensor.default,
)  # fmt: skip


def _identity(x: torch.Tensor, *_unused: object) -> torch.Tensor:
    """Dropout in evaluation mode."""
    return x


def _nothing(*_unused: object, **_more: object) -> None:
    """A check of dtype and device that PyTorch leaves in a graph."""


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> tuple[Any, None, None]:
    return F.batch_norm(x, mean, var, weight, bias, False, momentum, eps), None, None


def _layer_norm(x: Any, shape: list[int], weight: Any, bias: Any, eps: float) -> tuple[Any, None, None]:
    return F.layer_norm(x, shape, weight, bias, eps), None, None


def _group_norm(x: Any, weight: Any, bias: Any, _n: int, _c: int, _size: int, groups: int, eps: float) -> tuple[Any, None, None]:
    return F.group_norm(x, groups, weight, bias, eps), None, None


def _softmax(x: torch.Tensor, dim: int, _half_to_float: bool) -> torch.Tensor:
    return _a.softmax.int(x, dim)


def _log_softmax(x: torch.Tensor, dim: int, _half_to_float: bool) -> torch.Tensor:
    return _a.log_softmax.int(x, dim)


def _flash(
    q: Any, k: Any, v: Any, _dropout: float = 0.0, is_causal: bool = False, *, attn_mask: Any = None, scale: float | None = None
) -> tuple[Any, None]:
    return _a.scaled_dot_product_attention.default(q, k, v, attn_mask, 0.0, is_causal, scale=scale), None


def _max_pool(*arguments: Any) -> tuple[torch.Tensor, None]:
    return _a.max_pool2d.default(*arguments), None


def _named(*allowed: Any) -> dict[str, Callable[..., Any]]:
    """Name in a file -> the function itself."""
    return {f"torch.ops.{op}": op for op in allowed}


def _bounded(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    """Arithmetic on sizes, which are below 2**62 and above -2**62: squaring again and again would fill the memory."""

    def apply(a: int, b: int) -> int:
        if type(a) is not int or type(b) is not int:
            raise TypeError("sizes are whole numbers")
        value = function(a, b)
        if abs(value) >= 2**62:
            raise OverflowError("a size beyond 2**62")
        return value

    return apply


VIEWS = frozenset(_named(*_VIEWS)) | {"torch.ops.aten.dropout.default", "torch.ops.aten.feature_dropout.default"}
LAYERS = frozenset(_named(*_LAYERS))
LINEAR = "torch.ops.aten.linear.default"
#: These take a device, and get that of the input.
MAKERS = frozenset(_named(*_MAKE))

OPERATORS: dict[str, Callable[..., Any]] = {
    **_named(*_VIEWS, *_LAYERS, *_ARITHMETIC, *_MAKE),
    "torch.ops.aten.dropout.default": _identity,
    "torch.ops.aten.feature_dropout.default": _identity,
    "torch.ops.aten.alpha_dropout.default": _identity,
    "torch.ops.aten._assert_tensor_metadata.default": _nothing,
    # Of graphs that were decomposed (ExportedProgram.run_decompositions).
    "torch.ops.aten._unsafe_view.default": _a.reshape.default,
    "torch.ops.aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "torch.ops.aten.native_layer_norm.default": _layer_norm,
    "torch.ops.aten.native_group_norm.default": _group_norm,
    "torch.ops.aten._softmax.default": _softmax,
    "torch.ops.aten._log_softmax.default": _log_softmax,
    "torch.ops.aten._adaptive_avg_pool2d.default": _a.adaptive_avg_pool2d.default,
    "torch.ops.aten.max_pool2d_with_indices.default": _max_pool,
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default": _flash,
    # On whole numbers that come from the number of samples.
    "_operator.add": _bounded(operator.add),
    "_operator.sub": _bounded(operator.sub),
    "_operator.mul": _bounded(operator.mul),
    "_operator.floordiv": _bounded(operator.floordiv),
    "_operator.mod": _bounded(operator.mod),
}

#: Operations that overwrite their first argument, and those that make a new tensor of the same numbers.
IN_PLACE: dict[str, str] = {
    f"torch.ops.aten.{name}_.{overload}": f"torch.ops.aten.{name}.{overload}"
    for name, overload in (
        ("relu", "default"), ("relu6", "default"), ("gelu", "default"), ("silu", "default"), ("mish", "default"),
        ("elu", "default"), ("selu", "default"), ("celu", "default"), ("leaky_relu", "default"), ("hardtanh", "default"),
        ("hardswish", "default"), ("hardsigmoid", "default"), ("sigmoid", "default"), ("tanh", "default"), ("threshold", "default"),
        ("clamp", "default"), ("clamp_min", "default"), ("exp", "default"), ("sqrt", "default"), ("neg", "default"),
        ("add", "Tensor"), ("add", "Scalar"), ("sub", "Tensor"), ("sub", "Scalar"), ("mul", "Tensor"), ("mul", "Scalar"),
        ("div", "Tensor"), ("div", "Scalar"), ("masked_fill", "Scalar"), ("masked_fill", "Tensor"), ("dropout", "default"),
        ("feature_dropout", "default"), ("alpha_dropout", "default"), ("unsqueeze", "default"), ("squeeze", "dim"),
    )
}  # fmt: skip

_TRAINING = "Export the network in evaluation mode: call model.eval() first, and write F.dropout(x, p, training=self.training)."
#: Operation -> argument that must have this value: its place, name, the value, the default, and what to say otherwise.
REQUIRED: dict[str, tuple[int, str, Any, Any, str]] = {
    "torch.ops.aten.batch_norm.default": (
        5, "training", False, True,
        "BatchNorm takes its statistics from the batch (training mode, or track_running_stats=False). Export the network in evaluation "
        "mode: call model.eval() first, and train with track_running_stats=True.",
    ),
    "torch.ops.aten.dropout.default": (2, "train", False, True, f"Dropout draws random numbers. {_TRAINING}"),
    "torch.ops.aten.feature_dropout.default": (2, "train", False, True, f"Dropout draws random numbers. {_TRAINING}"),
    "torch.ops.aten.alpha_dropout.default": (2, "train", False, True, f"Dropout draws random numbers. {_TRAINING}"),
    "torch.ops.aten.scaled_dot_product_attention.default": (
        4, "dropout_p", 0.0, 0.0, f"Attention draws random numbers (dropout_p). {_TRAINING}",
    ),
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default": (
        3, "dropout_p", 0.0, 0.0, f"Attention draws random numbers (dropout_p). {_TRAINING}",
    ),
}  # fmt: skip
