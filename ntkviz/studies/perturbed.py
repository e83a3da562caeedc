"""Small changes of test points, and what network and surrogate say of them: local fidelity is measured there.

A copy of an image is moved by up to a pixel and gets a little noise; of a table's row, every measured column gets noise; of a text, a
few words are replaced. No label is used.

python -m ntkviz.studies.perturbed      one request as JSON on its input; see :mod:`ntkviz.studies.child`
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkviz.studies.child import ask_arrays, give_arrays
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import load_subject_model, subject_data
from ntkviz.types import Dataset, ProgressFn, silent

if TYPE_CHECKING:
    from torch import nn

#: How much a copy is changed, by kind of data: noise of a pixel (of 1), noise of a column (of its spread), share of words.
STRENGTH = {"image": 0.05, "tabular": 0.1, "text": 0.1}
#: Columns of a table with fewer different values than this are left as they are: yes and no have no small change.
_FEW_VALUES = 3
#: The longest that a page waits for the logits at the copies.
MAX_SECONDS = 1800


def perturbed_inputs(
    data: Dataset, points: np.ndarray, *, copies: int = 8, strength: float | None = None, seed: int = 0
) -> np.ndarray:
    """Changed copies of test points, ``[m, P, ...]`` in the dtype of ``data.x_test``.

    Args:
        data: the subject's data; its training points give the spread of columns and the words to draw from.
        points: m test points, positions in ``data.x_test``.
        copies: P.
        strength: how much is changed, 0 for nothing; by default that of the kind, :data:`STRENGTH`.
        seed: of the changes.

    Raises:
        ValueError: when there are no copies or the strength is not in 0..1.
    """
    amount = STRENGTH[data.kind] if strength is None else strength
    if copies < 1 or not 0 <= amount <= 1:
        raise ValueError(f"Expected at least one copy and a strength in 0..1; got {copies} and {amount}.")
    rng = np.random.default_rng(seed)
    chosen = np.asarray(data.x_test)[np.asarray(points, dtype=np.int64)]
    repeated = np.repeat(chosen[:, None], copies, axis=1)
    if amount == 0:
        return repeated
    change = {"image": _images, "tabular": _rows, "text": _words}[data.kind]
    return change(repeated, np.asarray(data.x_train), float(amount), rng).astype(chosen.dtype)


def perturbed_logits(
    study: Study,
    data: Dataset,
    model: "nn.Module",
    *,
    points: np.ndarray | None = None,
    copies: int = 8,
    strength: float | None = None,
    seed: int = 0,
    on_progress: ProgressFn = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """What network and surrogate say of changed copies of a study's test points, ``[m, P, C]`` each.

    Args:
        study: the study.
        data: its subject's data.
        model: its network.
        points: positions among the study's test points; None for all.
        copies: P.
        strength: see :func:`perturbed_inputs`.
        seed: of the changes.
        on_progress: told how far the kernel rows are; may raise ``JobCancelled``.

    Raises:
        InvalidStudy: when the study's kernel needs labels, which changed copies have not.
        ValueError: when there are no copies or the strength is not in 0..1.
    """
    from ntkviz.kernels.matrix import kernel_matrix
    from ntkviz.kernels.registry import kernels
    from ntkviz.models.probes import logits_of

    if kernels()[study.spec.kernel].needs_labels:
        raise InvalidStudy(f"The kernel {study.spec.kernel!r} needs labels, and changed copies have none. Choose another kernel.")
    chosen = study.test_index if points is None else study.test_index[points]
    inputs = perturbed_inputs(data, chosen, copies=copies, strength=strength, seed=seed)
    flat = inputs.reshape(-1, *inputs.shape[2:])
    network = logits_of(model, flat)
    options: dict[str, Any] = dict(study.spec.kernel_options)
    rows = kernel_matrix(
        model,
        flat,
        data.x_train[study.train_index],
        kind=study.spec.kernel,
        normalize=study.spec.normalize,
        seed=study.spec.seed,
        on_progress=on_progress,
        **options,
    )
    shape = (*inputs.shape[:2], -1)
    return network.reshape(shape), study.surrogate.decision_function(rows).reshape(shape)


def perturbed_in_child(study: Study, *, home: Path, copies: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """:func:`perturbed_logits` of all test points, computed in a process of its own.

    Args:
        study: a study of the store.
        home: the folder of the store and the uploads.
        copies: P.

    Raises:
        NtkvizError: what refused the work, or when the process fails or takes too long.
    """
    found = ask_arrays(
        "ntkviz.studies.perturbed",
        {"home": str(home), "study": study.key, "copies": copies},
        seconds=MAX_SECONDS,
        too_slow=f"Small changes were not looked at within {MAX_SECONDS} s. Make a study with fewer test points.",
        failed="Small changes could not be looked at",
        advice="Ask again; `doctor` looks at the machine and the store.",
    )
    return found["network"], found["surrogate"]


def answer(request: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the process does: "network" and "surrogate", ``[M, P, C]`` each.

    Args:
        request: "home", "study" (key), "copies".
    """
    home = Path(request["home"])
    study = Store(home).load_study(request["study"])
    subject = study.spec.subject_id
    data, model = subject_data(subject, home=home), load_subject_model(subject, home=home)
    network, surrogate = perturbed_logits(study, data, model, copies=request["copies"])
    return {"network": network, "surrogate": surrogate}


def _images(x: np.ndarray, _train: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """``[m, P, channels, H, W]`` in [0, 1]: moved by a pixel at most (edges repeated), and noise."""
    moves = rng.integers(-1, 2, size=(*x.shape[:2], 2))
    padded = np.pad(x, [(0, 0)] * 3 + [(1, 1)] * 2, mode="edge")
    moved = np.empty_like(x)
    height, width = x.shape[-2:]
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            here = (moves == (down, right)).all(axis=-1)
            moved[here] = padded[here][..., 1 - down : 1 - down + height, 1 - right : 1 - right + width]
    return np.clip(moved + amount * rng.normal(size=x.shape), 0.0, 1.0)


def _rows(x: np.ndarray, train: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """``[m, P, features]``: noise in units of each column's spread; columns with two values stay."""
    measured = np.array([len(np.unique(column)) >= _FEW_VALUES for column in train.T])
    return x + amount * train.std(axis=0) * measured * rng.normal(size=x.shape)


def _words(x: np.ndarray, train: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """``[m, P, T]`` token ids: a share of the words, one at least, replaced by words of the training texts; padding stays."""
    words = train[train != 0]
    draw = np.where(x != 0, rng.random(x.shape), np.inf)
    count = np.maximum(1, np.round(amount * (x != 0).sum(axis=-1))).astype(np.int64)
    last = np.take_along_axis(np.sort(draw, axis=-1), np.minimum(count, x.shape[-1])[..., None] - 1, axis=-1)
    return np.where((draw <= last) & (x != 0), rng.choice(words, size=x.shape), x)


if __name__ == "__main__":
    give_arrays(answer)
