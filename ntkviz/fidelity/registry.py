"""The measures of fidelity: what tables, help texts, the docs and the tests read."""

from dataclasses import dataclass

_ENGEL = "Engel et al., ICLR 2024 (arXiv 2305.14585)"
_CORRECT = r"m_i = f^{y_i}(x_i) - \log\sum_{c\neq y_i} e^{f^c(x_i)}"


@dataclass(frozen=True)
class MetricInfo:
    """One row of the registry of measures.

    Attributes:
        key: the attribute of ``Fidelity``.
        title: for headings and legends.
        formula: LaTeX.
        range: the values that it can take.
        good: what a good value looks like.
        caveat: what to know before trusting it.
        source: paper or code the definition comes from.
    """

    key: str
    title: str
    formula: str
    range: str
    good: str
    caveat: str
    source: str


_ROWS = (
    MetricInfo(
        key="kendall_tau",
        title="Kendall's tau",
        formula=r"\tau_b\big(m^{\mathrm{net}}, m^{\mathrm{sur}}\big),\quad " + _CORRECT,
        range="-1 to 1",
        good="Above .9: the surrogate orders the points almost as the network does. The paper's surrogates reach .7 to .9.",
        caveat="Computed on log-odds in float64: the same ranks as probabilities, without their ties at 1. It looks at the correct class only, and "
        "part of it is earned by knowing the label alone; see the baselines. It says nothing about removing training points.",
        source=f"{_ENGEL}; log-odds instead of float32 probabilities are ours.",
    ),
    MetricInfo(
        key="agreement",
        title="Agreement",
        formula=r"\frac{1}{M}\sum_i \mathbf{1}\{\arg\max f(x_i) = \arg\max g(x_i)\}",
        range="0 to 1",
        good="Well above the network's accuracy: a predictor that always knows the label agrees that often.",
        caveat="Easy points fill it up: surrogates with tau .4 and tau .97 all agree on 99 % of a network that is 99 % accurate.",
        source="Common practice.",
    ),
    MetricInfo(
        key="tad",
        title="Test accuracy difference",
        formula=r"\mathrm{acc}_{\mathrm{sur}} - \mathrm{acc}_{\mathrm{net}}",
        range="-1 to 1, a fraction",
        good="Near 0. Above 0 is no success: the surrogate then disagrees with the network where the network errs.",
        caveat="Two classifiers of equal accuracy can err on different points; read it with agreement and shared errors.",
        source=_ENGEL,
    ),
    MetricInfo(
        key="r_miss",
        title="Shared errors",
        formula=r"|E_{\mathrm{net}} \cap E_{\mathrm{sur}}|\,/\,|E_{\mathrm{net}}|",
        range="0 to 1",
        good="Near 1: the surrogate explains the network's mistakes too. Compare with the share expected by chance, the surrogate's error rate.",
        caveat="Few errors make it coarse, look at the interval. Both wrong counts, even when they are wrong in different ways.",
        source=f"{_ENGEL}; its code has this reading and the next one.",
    ),
    MetricInfo(
        key="r_miss_jaccard",
        title="Shared errors, Jaccard",
        formula=r"|E_{\mathrm{net}} \cap E_{\mathrm{sur}}|\,/\,|E_{\mathrm{net}} \cup E_{\mathrm{sur}}|",
        range="0 to 1",
        good="Near 1. Lower than the other reading when the surrogate errs where the network does not.",
        caveat="A less accurate surrogate cannot score high here, however it treats the network's errors.",
        source=f"{_ENGEL}, code.",
    ),
    MetricInfo(
        key="r_miss_p_value",
        title="Chance of the shared errors",
        formula=r"P(X \ge |E_{\mathrm{net}} \cap E_{\mathrm{sur}}|),\quad X \sim \mathrm{Bin}\big(M,\ |E_{\mathrm{net}}||E_{\mathrm{sur}}|/M^2\big)",
        range="0 to 1",
        good="Small: more shared errors than two independent classifiers would have.",
        caveat="Hard points are hard for every classifier, so a small value is expected of any two. It rejects independence and measures no strength.",
        source=f"{_ENGEL}, code, with its number of trials corrected from the network's errors to the points.",
    ),
    MetricInfo(
        key="r_squared",
        title="R squared after a link",
        formula=r"1 - \min_{a \ge 0,\, b}\frac{\sum_i (m^{\mathrm{net}}_i - a\, m^{\mathrm{sur}}_i - b)^2}{\sum_i (m^{\mathrm{net}}_i - \bar m^{\mathrm{net}})^2},\quad "
        + _CORRECT,
        range="0 to 1",
        good="Near 1: the surrogate's log-odds are the network's up to scale and shift.",
        caveat="One link for all points, fitted on the very points that it is judged on (two numbers). Outliers weigh much; tau is robust to them.",
        source=f"After {_ENGEL}, which fits a link for each pair of classes; ours is one affine link.",
    ),
    MetricInfo(
        key="kl",
        title="KL divergence",
        formula=r"\frac{1}{M}\sum_i \sum_c p^{\mathrm{net}}_{ic} \log\frac{p^{\mathrm{net}}_{ic}}{p^{\mathrm{sur}}_{ic}}",
        range="0 and above, nats",
        good="Near 0. 0.01 nats are invisible, 0.7 nats are a coin toss where the network is sure.",
        caveat="It judges calibration: a surrogate that orders all points rightly but is less sure scores badly. For ridge and svm the scores are no log-odds.",
        source="Common practice.",
    ),
    MetricInfo(
        key="tau_predicted",
        title="tau of the predicted class",
        formula=r"\tau_b \text{ of the log-odds of } \hat c_i = \arg\max_c f^c(x_i)",
        range="-1 to 1",
        good="Close to Kendall's tau. It needs no label, so it can be had for new points.",
        caveat="The network's own log-odds of its prediction are all positive for two classes: the range is cut, and tau is lower by that alone.",
        source="Asked for by the reviewers of the paper.",
    ),
    MetricInfo(
        key="tau_errors",
        title="tau within the network's errors",
        formula=r"\tau_b(m^{\mathrm{net}}, m^{\mathrm{sur}}) \text{ over } E_{\mathrm{net}}",
        range="-1 to 1",
        good="Above 0 and not far below Kendall's tau: the surrogate can be used to explain mistakes.",
        caveat="Few points; look at the interval and at the number of errors.",
        source="Asked for by the reviewers of the paper.",
    ),
    MetricInfo(
        key="pearson",
        title="Pearson on log-odds",
        formula=r"\mathrm{corr}(m^{\mathrm{net}}, m^{\mathrm{sur}})",
        range="-1 to 1",
        good="Near 1; r squared is its square.",
        caveat="Linear and sensitive to outliers.",
        source="For teaching, beside tau.",
    ),
    MetricInfo(
        key="pearson_probability",
        title="Pearson on probabilities",
        formula=r"\mathrm{corr}(p^{\mathrm{net}}_{iy_i}, p^{\mathrm{sur}}_{iy_i})",
        range="-1 to 1",
        good="None: it is shown to be distrusted.",
        caveat="Points at 0 and 1 anchor it and force it up, which is why the paper rejects it. Compare it with tau on the same scatter.",
        source=f"{_ENGEL} discusses and rejects it.",
    ),
    MetricInfo(
        key="accuracy_network",
        title="Accuracy of the network",
        formula=r"\frac{1}{M}\sum_i \mathbf{1}\{\arg\max f(x_i) = y_i\}",
        range="0 to 1",
        good="Whatever the network reaches; it is what the surrogate is held against.",
        caveat="On the test points chosen for the study, which may be fewer than the data set has.",
        source="Common practice.",
    ),
    MetricInfo(
        key="accuracy_surrogate",
        title="Accuracy of the surrogate",
        formula=r"\frac{1}{M}\sum_i \mathbf{1}\{\arg\max g(x_i) = y_i\}",
        range="0 to 1",
        good="Near the network's.",
        caveat="Being accurate is not being faithful.",
        source="Common practice.",
    ),
)


def metrics() -> dict[str, MetricInfo]:
    """The registry of measures: key (an attribute of ``Fidelity``) -> row, the most telling first."""
    return {info.key: info for info in _ROWS}
