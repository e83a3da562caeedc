"""Rows of the trace NTK for new points, in milliseconds: what N training points gave is kept on disk and mapped into memory.

What is kept for a training point are the features that the hybrid kernel multiplies: inputs and output gradients of layers with
one position a sample (exact), sums of gradients by token (exact), small gradients (exact), and a sketch of the others. A new
point is taken apart the same way and multiplied with them. Its nearest training points are then put in order by exact
similarities, for which only theirs and its own gradients are computed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ntkviz.errors import StoreCorrupted, UnsupportedModel
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import tangent_gram, unit_heads
from ntkviz.gradients.features import Features, KernelFeatures
from ntkviz.gradients.rank import NotRankOne
from ntkviz.gradients.structured import GraphChanged
from ntkviz.models.probes import require_sound
from ntkviz.types import ProgressFn, silent

_FORMAT = 1


@dataclass(frozen=True)
class Nearest:
    """The training points most similar to each of M points, strongest first.

    Attributes:
        indices: int64 ``[M, k]``.
        similarities: float32 ``[M, k]``, exact cosine similarities.
    """

    indices: np.ndarray
    similarities: np.ndarray


class KernelIndex:
    """Training points of one model, ready to be compared with new points."""

    def __init__(self, folder: Path, model: nn.Module) -> None:
        """Open an index that :meth:`build` has made.

        Args:
            folder: of the index.
            model: the same network, with the same weights.

        Raises:
            StoreCorrupted: when files are missing.
            ValueError: when the index belongs to other weights.
        """
        try:
            head = json.loads((folder / "index.json").read_text())
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in head["arrays"]}
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise StoreCorrupted(f"The index in {folder.name} is not complete ({error}). Build it again.") from error
        if head["format"] != _FORMAT or head["weights"] != fingerprint(model):
            raise ValueError("The index belongs to another network or version of ntkviz. Build it again with this model.")
        self.folder, self._model = folder, model
        self._points = torch.from_numpy(arrays.pop("points"))
        self._diagonal = np.asarray(arrays.pop("diagonal"))
        self._stored = Features({name: torch.from_numpy(a) for name, a in arrays.items()})
        with held(model, self._points[:4]) as (module, (few,)):  # the first four decide on the terms, as when it was built
            assert few is not None
            self._differentiable = Differentiable(module, self._points)
            self._differentiable.structured.incompressible |= set(head["incompressible"])
            self._features = KernelFeatures(
                self._differentiable, few, unit_heads(self._differentiable), sketch_dim=head["sketch_dim"], seed=head["seed"]
            )
        self._features.restore(self._stored)

    @classmethod
    def build(
        cls,
        model: nn.Module,
        x_train: torch.Tensor | np.ndarray,
        folder: Path,
        *,
        sketch_dim: int = 2048,
        seed: int = 0,
        on_progress: ProgressFn = silent,
    ) -> "KernelIndex":
        """Compute and keep the features of the training points.

        Args:
            model: any classifier whose parameters are all covered by the structured path.
            x_train: ``[N, ...]``.
            folder: made if it is not there; files in it of an older index are replaced.
            sketch_dim: K of the sketch.
            seed: of the sketch.
            on_progress: may raise ``JobCancelled``.

        Returns:
            The index, opened.

        Raises:
            UnsupportedModel: when a parameter is not covered, the output is no function of one sample, or the model runs other operations for some points.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with held(model, x_train) as (module, (x,)):
            assert x is not None
            require_sound(module, x[:8])
            differentiable = Differentiable(module, x)
            missing = differentiable.uncovered()
            if missing:
                raise UnsupportedModel(
                    f"The index needs layers that can be taken apart; {', '.join(missing[:3])} of this model cannot. "
                    "Use kernel_matrix(model, x, x_train) for rows."
                )
            features, stored = _computed(differentiable, x, sketch_dim, seed, on_progress)
            arrays = {**features.state(), **stored.arrays, "points": x}
        head = {"format": _FORMAT, "weights": fingerprint(model), "sketch_dim": sketch_dim, "seed": seed}
        head |= {"incompressible": sorted(differentiable.structured.incompressible)}
        _write(folder, head, {name: a.detach().cpu().numpy() for name, a in arrays.items()} | {"diagonal": stored.diagonal()})
        return cls(folder, model)

    def rows(self, x: torch.Tensor | np.ndarray) -> np.ndarray:
        """Cosine similarities of new points to all training points.

        Args:
            x: ``[M, ...]``.

        Returns:
            float32 ``[M, N]``; exact where the model has only layers with one position a sample, else with the sketch's error.
        """
        with held(self._model, x) as (_, (points,)):
            assert points is not None
            try:
                new = self._features.compute(points)
            except (NotRankOne, GraphChanged):  # a layer behaves for this point as it did for no training point
                return self._exact(points, range(len(self._points)))
        raw = new.dot(self._stored).numpy().astype(np.float64)
        own = np.sqrt(np.maximum(new.diagonal(), 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = raw / own[:, None] / np.sqrt(self._diagonal)[None, :]
        return np.nan_to_num(np.clip(cosine, -1.0, 1.0)).astype(np.float32)

    def nearest(self, x: torch.Tensor | np.ndarray, k: int = 10, *, candidates: int = 20) -> Nearest:
        """The k most similar training points, in exact order.

        Args:
            x: ``[M, ...]``.
            k: how many.
            candidates: how many of the sketch's nearest are compared exactly, at least k.

        Returns:
            Indices and exact similarities.
        """
        rows = self.rows(x)
        k = min(k, rows.shape[1])
        count = min(max(candidates, k), rows.shape[1])
        found = np.argpartition(-rows, count - 1, axis=1)[:, :count]
        if self._features.is_exact:
            similarity = np.take_along_axis(rows, found, axis=1)
        else:
            similarity = np.concatenate([self._exact(x[i : i + 1], found[i]) for i in range(len(rows))])
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return Nearest(
            np.take_along_axis(found, order, axis=1).astype(np.int64),
            np.take_along_axis(similarity, order, axis=1).astype(np.float32),
        )

    def _exact(self, x: torch.Tensor | np.ndarray, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Exact similarities ``[M, n]`` of points to some training points."""
        chosen = self._points[torch.as_tensor(np.asarray(indices))]
        with held(self._model, x) as (_, (point,)):
            assert point is not None
            gram = tangent_gram(self._differentiable, chosen, point, heads=unit_heads(self._differentiable), square=False)
        scale = np.sqrt(gram.rows_diagonal[:, None] * gram.train_diagonal[None, :])
        return np.divide(gram.rows, scale, out=np.zeros(gram.rows.shape), where=scale > 0).astype(np.float32)


def _computed(
    model: Differentiable, x: torch.Tensor, sketch_dim: int, seed: int, on_progress: ProgressFn
) -> tuple[KernelFeatures, Features]:
    """Features of all points, begun again when heads turn out not to compress.

    Raises:
        UnsupportedModel: when a batch runs other operations than the samples that were tried.
    """
    while True:
        features = KernelFeatures(model, x, unit_heads(model), sketch_dim=sketch_dim, seed=seed)
        try:
            return features, features.compute(x, on_progress=on_progress)
        except NotRankOne:  # the layer is noted, and the next try keeps all its heads
            continue
        except GraphChanged as error:
            raise UnsupportedModel(
                f"The index needs the same operations for all points: {error}. Use kernel_matrix(model, x, x_train) for rows."
            ) from error


def _write(folder: Path, head: dict[str, object], arrays: dict[str, np.ndarray]) -> None:
    """Replace file by file, so that an index that is open keeps its old ones; without ``index.json`` there is no index."""
    (folder / "index.json").unlink(missing_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.part.npy", array)
        (folder / f"{name}.part.npy").replace(folder / f"{name}.npy")
    (folder / "index.json").write_text(json.dumps(head | {"arrays": list(arrays)}))


def fingerprint(model: nn.Module) -> str:
    """A hash of all tensors of a model, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + str(tensor.dtype).encode() + str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
