"""What a study found: the raw kernel of some points of a subject, and the surrogate on it with its fidelity.

Points are named by their position in the subject's full data set (``train_index``, ``test_index``), so an id means the same
point in every study of the subject, whatever its size.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ntkviz.fidelity.result import Fidelity
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.studies.hashing import plain
from ntkviz.studies.spec import StudySpec
from ntkviz.surrogates.surrogate import Surrogate


@dataclass(frozen=True)
class KernelRun:
    """A kernel before normalisation, with the points it is of and what the network says of them.

    Attributes:
        key: sha256 that names it.
        class_names: C names, in the order of the labels.
        blocks: the kernel, not normalised; its ``rows`` are the test points against the training points.
        train_index: ``[N]`` int64, ids of the training points in the full data set.
        test_index: ``[M]`` int64.
        y_train: ``[N]`` int64, labels.
        y_test: ``[M]`` int64.
        logits_train: ``[N, C]`` float32, the network's own.
        logits_test: ``[M, C]`` float32.
        self_check: how three points compare with the float64 reference, and how each parameter's gradient is computed; see
            :class:`ntkviz.gradients.selfcheck.SelfCheck`.
        seconds: stage -> seconds.
        peak_mb: largest memory of the process meanwhile, MB.
    """

    key: str
    class_names: tuple[str, ...]
    blocks: KernelBlocks
    train_index: np.ndarray
    test_index: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    logits_train: np.ndarray
    logits_test: np.ndarray
    self_check: dict = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: float = 0.0


@dataclass(frozen=True)
class Study:
    """A finished study: everything the pages show, without torch.

    Attributes:
        spec: what was asked for, with every size and option written out.
        key: sha256 that names it.
        kernel_key: sha256 that names its raw kernel.
        name: title of the subject.
        kind: "image", "text" or "tabular".
        class_names: C names, in the order of the labels.
        train_index: ``[N]`` int64, ids of the training points in the full data set.
        test_index: ``[M]`` int64.
        y_train: ``[N]`` int64.
        y_test: ``[M]`` int64.
        kernel: ``[N, N]`` float32, normalised when the spec says so.
        rows: ``[M, N]`` float32, test points against training points.
        logits_train: ``[N, C]`` float32, the network's own.
        logits_test: ``[M, C]`` float32.
        surrogate: the kernel machine.
        surrogate_logits: ``[M, C]`` float64, its decision function at the test points.
        fidelity: how well it stands for the network.
        seconds: stage -> seconds, of the run that made each part.
        peak_mb: largest memory of the process meanwhile, MB.
        self_check: see :class:`KernelRun`.
        notes: what was not as asked, and what was repaired.
        created: when it was saved, ISO 8601; empty when it was not.
    """

    spec: StudySpec
    key: str
    kernel_key: str
    name: str
    kind: str
    class_names: tuple[str, ...]
    train_index: np.ndarray
    test_index: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    kernel: np.ndarray
    rows: np.ndarray
    logits_train: np.ndarray
    logits_test: np.ndarray
    surrogate: Surrogate
    surrogate_logits: np.ndarray
    fidelity: Fidelity
    seconds: dict[str, float]
    peak_mb: float
    self_check: dict
    notes: tuple[str, ...] = ()
    created: str = ""

    @property
    def n_train(self) -> int:
        """N."""
        return len(self.train_index)

    @property
    def n_test(self) -> int:
        """M."""
        return len(self.test_index)

    def summary(self) -> dict:
        """What the command line prints: strict JSON, a figure that is not a number is ``None``."""
        fields = {
            "study": self.key,
            "kernel": self.spec.kernel,
            "surrogate": self.spec.surrogate,
            "n_train": self.n_train,
            "n_test": self.n_test,
            "fidelity": figures(self.fidelity),
            "seconds": self.seconds,
            "peak_mb": self.peak_mb,
            "self_check": compact_check(self.self_check),
            "subject": self.name,
            "data_kind": self.kind,
            "n_classes": len(self.class_names),
            "normalize": self.spec.normalize,
            "kernel_key": self.kernel_key,
            "spec": self.spec.to_dict(),
            "notes": self.notes,
        }
        return {key: plain(value) for key, value in fields.items()}


def compact_check(check: Mapping) -> dict:
    """A self-check without its row a parameter: instead ``coverage``, path -> share of the P parameters computed that way."""
    rows = check.get("parameters") or []
    total = sum(row["size"] for row in rows)
    shares: dict[str, float] = {}
    for row in rows:
        shares[row["path"]] = shares.get(row["path"], 0.0) + row["size"] / total
    return {key: value for key, value in check.items() if key != "parameters"} | ({"coverage": shares} if rows else {})


def figures(result: object) -> dict:
    """A result's fields as plain values, results within it likewise."""

    def walk(value: object) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: walk(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {str(key): walk(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [walk(entry) for entry in value]
        return plain(value)

    return dict(walk(result))  # type: ignore[call-overload]
