"""The surrogates that there are: what pickers, help texts, the docs table and the tests read."""

from ntkviz.surrogates import kglm, kglm_sgd, klr, ridge, svm
from ntkviz.types import SurrogateInfo

_ROWS = (kglm.INFO, kglm_sgd.INFO, klr.INFO, ridge.INFO_LABELS, ridge.INFO_LOGITS, svm.INFO)


def surrogates() -> dict[str, SurrogateInfo]:
    """The registry of surrogates: key -> row, the default first.

    ``target`` tells the two families apart that must not be compared blindly: those that re-learn the labels, and
    those that imitate the network's logits.
    """
    return {info.key: info for info in _ROWS}
