"""Whether the pseudo NTK of a network still sees its hidden layers.

With logits f_c = w_c . h + b_c, the part of grad sum_c f_c that hidden layers have is (sum_c w_c)' dh/dtheta: it vanishes where the
rows of the readout add up to zero. Training by cross-entropy keeps their sum (the gradients of the rows add up to zero) while the
rows grow, and weight decay shrinks it: the pseudo NTK then drifts towards the conjugate kernel.
"""

import numpy as np

#: Below this the hidden layers' part is small beside what it was at random rows.
LOW = 0.1


def row_sum_share(weight: np.ndarray) -> float | None:
    """Squared length of the sum of a readout's rows, as a share of the sum of their squared lengths.

    Args:
        weight: ``[C, d]``.

    Returns:
        About 1 for independent random rows, 0 for rows that cancel, up to C for equal rows; None for one row or none that is not
        zero, where there is nothing to cancel.
    """
    w = np.asarray(weight, dtype=np.float64)
    together = float((w**2).sum())
    if len(w) < 2 or together == 0.0:
        return None
    return float((w.sum(0) ** 2).sum()) / together


def sentence(share: float) -> str:
    """The share in words, for the person who looks at a pseudo NTK."""
    found = f"The rows of the readout add up to a share of {share:.2g} (about 1: as at random; 0: they cancel)."
    if share >= LOW:
        return f"{found} The pseudo NTK keeps its hidden layers."
    return (
        f"{found} The pseudo NTK sees little of the hidden layers and is close to the conjugate kernel: read it beside that one, or use the "
        "trace NTK."
    )
