"""One test point's kernel row, layer by layer, computed in a process of its own: the one that serves pages never imports torch.

python -m ntkviz.studies.layered      one request as JSON on its input; the rows in a file, their names as the last line of its output
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ntkviz.errors import NtkvizError
from ntkviz.explain.layers import cosine_rows
from ntkviz.kernels.registry import kernels
from ntkviz.studies.child import ask_module, refusal
from ntkviz.studies.costs import are_known, costs_of
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.machine import kernel_memory_mb
from ntkviz.studies.study import KernelRun, Study
from ntkviz.studies.subjects import find_subject, load_subject_model, subject_data

#: The longest that a page waits for the rows of one point.
MAX_SECONDS = 600
#: How far the layers may be from the stored row, relative to the longest entry that both norms allow: float32 sums in another order.
_TOLERANCE = 1e-3
#: Options of kernels that change the arithmetic and not the kernel.
_EXACT = {"arithmetic": "float32"}
#: Seconds that a process takes at least until it has torch, where nothing was measured.
_START_SECONDS = 4.0
_took: dict[str, float] = {}  # study -> seconds of the last row: the best forecast of the next
_one_at_a_time = Lock()  # a class of thirty that asks at once gets its answers one after the other


@dataclass(frozen=True, eq=False)
class LayerRows:
    """A test point's kernel row, split into layers.

    Attributes:
        rows: layer -> float64 ``[N]``, in the model's order and in the form of the study's kernel (cosine or raw).
        row: float64 ``[N]``, their sum.
        gap: the largest difference of that sum from the study's own row, which was computed whole.
    """

    rows: dict[str, np.ndarray]
    row: np.ndarray
    gap: float


def why_not_layered(study: Study) -> str:
    """Why a study's kernel has no layers, a sentence; empty when it has."""
    known, kind = kernels(), study.spec.kernel
    if not known[kind].layered:
        possible = ", ".join(info.title for info in known.values() if info.layered)
        return f"The kernel of this study ({known[kind].title}) is not a sum over layers. Kernels that are: {possible}."
    for name, exact in _EXACT.items():
        if study.spec.kernel_options.get(name, exact) != exact:
            return (
                f"This study's kernel was computed with {name} {study.spec.kernel_options[name]}, and layers are computed exactly, so they "
                f"would not add up to it. Make the study with {name} {exact}."
            )
    return ""


def layer_seconds(study: Study, *, home: Path) -> float:
    """About how long :func:`layer_rows` takes.

    As long as it took for another point of the study; else by what was measured of the kernel on this machine; else by the study's own
    kernel, which took longer.

    Args:
        study: the study.
        home: the folder of the store and the uploads.
    """
    if study.key in _took:
        return _took[study.key]
    with suppress(NtkvizError):
        subject = find_subject(study.spec.subject_id, home=home)
        asked = (study.spec.kernel, study.spec.kernel_options)
        if are_known(subject, [asked], home=home):
            costs = costs_of(subject, [asked], home=home)
            profile, n = costs.profile(asked), study.n_train
            layout = next((one for one in profile.layouts if n <= one.n_points), profile.layouts[-1])
            passes = ceil((n + 1) / layout.batch) * layout.batch_seconds + (n + 1) * layout.a_point(costs.rates)
            return (
                costs.subject.load
                + costs.subject.probe
                + profile.setup_seconds
                + passes
                + n * (layout.a_pair(costs.rates) + layout.token_seconds)
            )
    return max(_START_SECONDS, study.seconds.get("load", 0.0)) + study.seconds.get("kernel", 0.0)


def layer_rows(study: Study, run: KernelRun, m: int, *, home: Path) -> LayerRows:
    """Compute the layers of one test point's kernel row, in a process of its own.

    Args:
        study: the study; its kernel must be layered (:func:`why_not_layered`).
        run: its stored kernel.
        m: position of the test point in the study.
        home: the folder of the store and the uploads.

    Raises:
        InvalidStudy: when the kernel is not a sum over layers.
        NtkvizError: when the process fails or takes too long, or the layers do not add up to the study's row.
    """
    reason = why_not_layered(study)
    if reason:
        raise InvalidStudy(reason)
    options = {name: value for name, value in study.spec.kernel_options.items() if name not in _EXACT}
    with _one_at_a_time, tempfile.TemporaryDirectory(prefix="ntkviz-layers-") as folder:
        place, began = Path(folder) / "rows.npy", time.perf_counter()
        names = _ask(
            {
                "subject": study.spec.subject_id,
                "home": str(home),
                "kernel": study.spec.kernel,
                "options": options,
                "test": int(study.test_index[m]),
                "train": study.train_index.tolist(),
                "memory_mb": kernel_memory_mb(),
                "place": str(place),
            }
        )
        raw = np.load(place, allow_pickle=False).astype(np.float64)
        _took[study.key] = time.perf_counter() - began
    rows: dict[str, np.ndarray] = dict(zip(names, raw, strict=True))
    blocks = run.blocks
    if study.spec.normalize:
        rows = cosine_rows(rows, float(blocks.rows_diagonal[m]), blocks.train_diagonal)
    row = np.sum(list(rows.values()), axis=0)
    gap = float(np.abs(row - study.rows[m]).max())
    longest = 1.0 if study.spec.normalize else float(np.sqrt(blocks.rows_diagonal[m] * blocks.train_diagonal.max()))
    if not gap <= _TOLERANCE * longest:
        raise NtkvizError(
            f"The layers add up to another kernel row than the study's (off by {gap:.2g} of {longest:.2g}). Run the study again; if it stays, report it."
        )
    return LayerRows(rows, row, gap)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the process does: compute the rows and write them to the file "place", float32 ``[L, N]``.

    Args:
        request: "subject", "home", "kernel", "options", "test" (id), "train" (ids), "memory_mb", "place".

    Returns:
        "layers", their names; or "error".
    """
    try:
        home = Path(request["home"])
        data = subject_data(request["subject"], home=home)
        model = load_subject_model(request["subject"], home=home)
        from ntkviz.kernels.matrix import layer_kernels

        found = layer_kernels(
            model,
            data.x_test[[request["test"]]],
            data.x_train[request["train"]],
            kind=request["kernel"],
            memory_mb=request["memory_mb"],
            **request["options"],
        )
    except NtkvizError as error:
        return {"error": {"type": type(error).__name__, "message": str(error)}}
    np.save(request["place"], np.stack([rows[0] for rows in found.values()]))
    return {"layers": list(found)}


def _ask(request: Mapping[str, Any]) -> list[str]:
    """Have :func:`answer` run in a process of its own, with the threads of a worker.

    Raises:
        NtkvizError: what refused the work; when the process takes too long or ends without an answer.
    """
    told = ask_module(
        "ntkviz.studies.layered",
        request,
        seconds=MAX_SECONDS,
        too_slow=f"The layers of this kernel row were not computed within {MAX_SECONDS} s, so the work was stopped. Make a study with fewer training points.",
        failed="The layers of this kernel row could not be computed",
        advice="Ask again; `doctor` looks at the machine and the store.",
    )
    if "error" in told:
        reason = refusal(told["error"])
        raise reason
    return list(told["layers"])


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.stdin.read()))))
