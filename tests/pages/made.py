"""A few small finished studies, made once and copied for whoever needs them."""

from dataclasses import dataclass
from pathlib import Path

from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store

#: One of each kind of data, and two kernels of the same points.
SPECS = {
    "digits": StudySpec(sample="mnist-mlp", kernel="trntk", surrogate="kglm", n_train=60, n_test=30),
    "digits_ck": StudySpec(sample="mnist-mlp", kernel="ck", surrogate="ridge_logits", n_train=60, n_test=30),
    "table": StudySpec(sample="cancer-mlp", kernel="trntk", surrogate="klr", n_train=40, n_test=20),
    "text": StudySpec(sample="sentences-transformer", kernel="ck", surrogate="ridge", n_train=40, n_test=20),
}


@dataclass(frozen=True)
class Made:
    """A folder with finished studies.

    Attributes:
        home: what NTKVIZ_HOME names.
        keys: name in SPECS -> key of the study. "digits" is the newest.
    """

    home: Path
    keys: dict[str, str]


def make(home: Path, names: tuple[str, ...] = tuple(SPECS)) -> Made:
    """Make the studies of these names in a folder, the first of SPECS last, so that it is the newest."""
    store = Store(home)
    return Made(home, {name: run_study(SPECS[name], store=store).key for name in reversed(names)})
