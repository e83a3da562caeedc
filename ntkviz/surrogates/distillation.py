"""The network's own answers as targets beside the labels: distillation (Hinton, Vinyals and Dean, arXiv 1503.02531, section 2).

A network that was trained to the end is certain of its training points: its chances say little more than their labels. Divided by the
temperature at which its chances are calibrated on points that it has not seen (Guo et al., ICML 2017, arXiv 1706.04599), its logits also say
which points it finds hard and what it takes them for. That is what a surrogate of labels alone has no way to know.

    minimise  (1 - a) (sum_i CE(y_i, p_i) + lam / 2 tr(W K W^T)) + a sum_i CE(q_i, p_i),      q_i = softmax(z_i / T)

The penalty belongs to the labels' part: lam is the one that the labels' likelihood chooses. At the optimum, with g = a / (1 - a),

    lam W_i = (y_i - p_i) + e_i,        e_i = g (q_i - p_i),

which is the optimum of the labels' part alone when a fixed function, sum_i e_i K(x, x_i) / lam, is added to its scores: a logistic regression with an
offset, what the network says and labels do not explain. Questions of removal are asked of that one: a point that goes takes its label's pull with it, the
offset stays, and lam answers, not (1 - a) lam. Two other readings were measured and retraining contradicts them. With (1 - a) lam the network's answers
at the other points are held in place, where a network trained again would answer otherwise: LDS .557 against .580 (fashion-cnn-1k, a = .5). And a
point that also took e_i with it: .298 against .412 on sentences-transformer, .571 against .688 on mnist-mlp-1k with the cosine kernel (a = .6).

That is the first order. Whole steps and refits without a point go too far where lam is small: the offset of a point that the network finds hard is large, and its
label's pull held it in balance (docs/adr/0013).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ntkviz.surrogates.problem import Problem
from ntkviz.surrogates.surrogate import DistilledSurrogate, Surrogate, probabilities

#: Temperatures are sought between one over this and this.
_MOST = 20.0


def calibrated_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which chances of points that the network has not seen are likeliest, from 1/20 to 20 (Guo et al., 2017).

    Args:
        logits: ``[V, C]``, the network's; ``[V, 1]`` for one logit.
        labels: int ``[V]``, columns of the logits; 0 or 1 for one logit.
    """

    def surprise(log_temperature: float) -> float:
        cooled = logits / np.exp(log_temperature)
        if logits.shape[1] == 1:
            return -float(log_expit(np.where(labels == 1, cooled[:, 0], -cooled[:, 0])).mean())
        return -float(log_softmax(cooled, axis=1)[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(surprise, bounds=(-np.log(_MOST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))


def network_answers(problem: Problem, share: float) -> tuple[np.ndarray, float]:
    """The network's calibrated chances of the classes that have a training point, float64 ``[N, R]``, and the temperature.

    Args:
        problem: with labels, validation points and the network's logits.
        share: a, for the message.

    Raises:
        ValueError: when the network's logits or validation points are missing.
    """
    if problem.network is None or problem.validation is None:
        raise ValueError(
            f"distillation = {share:g} asks for the network's answers: pass network=(logits of the training points [N, C], logits of the validation "
            "points [V, C]) and validation=(rows, labels) of points that it was not trained on, by which it is calibrated; or distillation=0."
        )
    columns = np.array([0]) if problem.n_classes == 1 else problem.present
    own, others = (logits[:, columns] for logits in problem.network)
    labels = problem.validation[1]
    temperature = calibrated_temperature(others, labels if problem.n_classes == 1 else np.searchsorted(columns, labels))
    return probabilities(own / temperature), temperature


def distilled(fit: Surrogate, problem: Problem, correction: np.ndarray, temperature: float) -> DistilledSurrogate:
    """A fit with what the network's answers pull at each point, and a note on the temperature.

    Args:
        fit: its weights, for the kernel as passed.
        problem: with validation points.
        correction: g (q - p), ``[N, R]``.
        temperature: of the network's answers.
    """
    whole = np.zeros((len(correction), problem.n_classes))
    whole[:, [0] if problem.n_classes == 1 else problem.present] = correction
    judges = 0 if problem.validation is None else len(problem.validation[1])
    return DistilledSurrogate(
        weights=fit.weights,
        intercept=fit.intercept,
        kind=fit.kind,
        options=fit.options,
        scale=fit.scale,
        convergence=fit.convergence,
        notes=(
            *fit.notes,
            f"The network's answers were calibrated by a temperature of {temperature:.3g}, on {judges} points that it was not trained on.",
        ),
        correction=whole,
        temperature=temperature,
    )
