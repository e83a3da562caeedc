"""Do the network and its surrogate err on the same points? The paper's R_Miss in both readings, and a null for it."""

import numpy as np
from scipy.special import bdtrc


def coincidence_p_value(wrong_network: np.ndarray, wrong_surrogate: np.ndarray) -> float:
    """How likely two classifiers that err independently share at least as many errors, in [0, 1]; NaN when one makes none.

    Each of M points is wrong in both with probability ``(w / M) (v / M)``, w and v the counts of errors, so the number shared is
    binomial over M points, and the p-value is ``P(shared >= seen)``.

    The paper's code takes the same probability over w trials and a strict inequality, which calls coincidences significant that are not.

    Args:
        wrong_network: bool ``[M]``.
        wrong_surrogate: bool ``[M]``.
    """
    n, w, v = len(wrong_network), int(wrong_network.sum()), int(wrong_surrogate.sum())
    if not w or not v:
        return float("nan")
    shared = int((wrong_network & wrong_surrogate).sum())
    return float(bdtrc(shared - 1, n, w * v / n**2))
