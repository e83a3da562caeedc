"""The words of the first lesson: steps, sources and glossary. Markdown; formulas in KaTeX."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One entry of the glossary.

    Attributes:
        name: as the pages use it.
        meaning: one or two sentences.
        formula: LaTeX, or empty.
    """

    name: str
    meaning: str
    formula: str = ""


ARROWS = r"""
Train a network on an example and its parameters move along a **gradient**: the direction in which that example's output changes
fastest. Two examples whose gradients point the same way help each other; at a right angle they do not meet; opposite, one
undoes the other. The inner product of the two gradients is the **tangent kernel**:

$$K(x, z) = \langle \nabla_\theta f(x),\ \nabla_\theta f(z) \rangle$$

Below is the smallest network whose gradient can be drawn, $f(x) = a\,\tanh(b\,x)$, with two parameters. Move the point x (the
thick grey arrow) that you ask about, and choose the example that takes one training step.
"""

STEP_LAW = r"""
One small step of size $\eta$ on the example $x_i$ with target $y_i$ moves the prediction at $x$ by

$$\Delta f(x) \;\approx\; -\,\eta\,\bigl(f(x_i) - y_i\bigr)\,K(x, x_i)$$

That is all a kernel machine over gradients uses: training examples speak through $K$.
"""

MACHINE = r"""
Now a network with 49 parameters on 24 points of two kinds. It was trained just now, its gradients were taken, and a kernel machine
was fitted to the kernel (here: kernel logistic regression on the labels, cosine kernel):

$$\text{surrogate}(x) = b + \sum_{i=1}^{N} W_i\, K(x, x_i)$$

Each term of the sum belongs to one training example: it is that example's **share**. The star is the point that we ask about.
"""

PREDICT = "Which of these training points carries this prediction, that is, has the largest share in size?"

SHARE_IS_NOT_REMOVAL = """
A share is a term of a sum. It does **not** say what would happen without the point. Here the network is so small that we can
look: it was trained again 24 times, each time without one point, from the same start.
"""

MEASURED = """
The same on real networks, measured for this project (MNIST, 1,000 training points, 600 retrained networks; rank correlation of the
attribution with what retraining on subsets shows, called LDS): shares of the paper's kernel GLM **.24**, shares of kernel
logistic regression **.34**, and what that regression says it would lose without each point **.65**. A kernel of raw pixels, which knows
no network at all, reaches .70 when asked that last question. So read shares as *how the sum is made*, never as *what the point caused*.
"""

OWN_STUDY = """
The same question on your own study. The four candidates are the training example with the largest share, the most similar one by the
kernel alone, the strongest one against, and one at random from the predicted class; where two of them are the same example, there are fewer.
"""

SOURCES = """
- Engel, Wang, Frank, Dumitriu, Choudhury, Sarwate, Chiang: *Faithful and Efficient Explanations for Neural Networks via Neural Tangent
  Kernel Surrogate Models*, ICLR 2024, [arXiv 2305.14585](https://arxiv.org/abs/2305.14585). The kernel GLM, the trace NTK, shares.
- Mohamadi, Bae, Sutherland: *A Fast, Well-Founded Approximation to the Empirical Neural Tangent Kernel*, ICML 2023,
  [arXiv 2206.12543](https://arxiv.org/abs/2206.12543). The pseudo NTK.
- Jacot, Gabriel, Hongler: *Neural Tangent Kernel*, NeurIPS 2018, [arXiv 1806.07572](https://arxiv.org/abs/1806.07572). The idea.
- Yeh, Kim, Yen, Ravikumar: *Representer Point Selection*, NeurIPS 2018, [arXiv 1811.09720](https://arxiv.org/abs/1811.09720). Why the
  weights of kernel logistic regression are residuals.
- Ilyas, Park, Engstrom, Leclerc, Madry: *Datamodels*, 2022, [arXiv 2202.00622](https://arxiv.org/abs/2202.00622). Checking attributions
  by retraining on subsets.
"""

GLOSSARY = (
    Term(
        "Agreement",
        "The fraction of test points for which surrogate and network name the same class.",
        r"\tfrac{1}{M}\sum_m [\arg\max s(x_m) = \arg\max f(x_m)]",
    ),
    Term(
        "Attribution",
        "A number for each training example and class that says how much of a prediction is put down to that example. Several kinds exist "
        "and answer different questions; the one on the page Explain is the share.",
    ),
    Term(
        "Conjugate kernel",
        "Inner products of the features that enter the last layer. Cheap; the logits are linear in them, so a surrogate fitted to logits imitates very well on it.",
        r"K(x,z)=\langle h_L(x), h_L(z)\rangle",
    ),
    Term(
        "Cosine kernel",
        "The kernel divided by the lengths of both gradients: only their angle is left. The raw kernel lets points with a long gradient weigh more.",
        r"\frac{K(x,z)}{\sqrt{K(x,x)\,K(z,z)}}",
    ),
    Term(
        "Counterfactual truth",
        "Whether the network, trained again without some examples, changes as an attribution says. The second axis of trust, beside imitation.",
    ),
    Term(
        "Effective number of points",
        "How many equal shares would be as spread out as these are: participation ratio. 1 when one example carries everything, N when all carry the same.",
        r"\frac{(\sum_i |a_i|)^2}{\sum_i a_i^2}",
    ),
    Term(
        "Effective rank",
        "How many directions of the kernel's space are in use: the exponential of the entropy of its eigenvalues, taken as shares.",
        r"\exp\Bigl(-\sum_i p_i \log p_i\Bigr),\ p_i=\lambda_i/\textstyle\sum_j\lambda_j",
    ),
    Term(
        "Fidelity",
        "How well the surrogate imitates the network's outputs. It says nothing on whether attributions are right.",
    ),
    Term(
        "Kendall's tau",
        "Rank agreement of two lists: the share of pairs in the same order minus the share in the opposite order. Here of log-odds over test points.",
        r"\tau = \frac{\#\text{concordant} - \#\text{discordant}}{\#\text{pairs}}",
    ),
    Term(
        "Log-odds",
        "How sure a model is of the true class against all others, on a scale without a ceiling (a probability of 1.0 hides differences).",
        r"m = f^{y} - \log\sum_{c\neq y} e^{f^{c}}",
    ),
    Term("Logit", "A network's raw output for a class, before softmax turns logits into probabilities.", r"f^c(x)"),
    Term(
        "n50, n80",
        "How many training examples, the largest first, hold half (80 %) of the sum of all |shares|. Large numbers: the top few are not the story.",
    ),
    Term(
        "R-Miss",
        "How far surrogate and network fail on the same points: errors in common over all errors of either (Jaccard), or over the network's errors.",
        r"\frac{|E_f \cap E_s|}{|E_f \cup E_s|},\quad \frac{|E_f \cap E_s|}{|E_f|}",
    ),
    Term(
        "Share",
        "A training example's term in the surrogate's sum. All shares and the intercept add up to the surrogate's score of the class, exactly.",
        r"a_i^c = W_{c,i}\,K(x, x_i)",
    ),
    Term(
        "Surrogate",
        "A kernel machine that stands for the network: linear in the kernel's rows. Some re-learn the labels, some imitate the network's logits.",
        r"s^c(x)=b_c+\sum_i W_{c,i}K(x,x_i)",
    ),
    Term(
        "TAD",
        "Test accuracy difference: accuracy of the surrogate minus that of the network, as a fraction. Near 0 for very different models too.",
        r"\mathrm{acc}(s)-\mathrm{acc}(f)",
    ),
    Term(
        "Trace NTK",
        "The empirical neural tangent kernel summed over the logits: one number for each pair of points, from all parameters' gradients.",
        r"K(x,z)=\sum_c\langle\nabla_\theta f_c(x),\nabla_\theta f_c(z)\rangle",
    ),
    Term(
        "Trustworthiness, continuity",
        "Of a map, both in [0, 1]. Trustworthiness falls when points stand close on the map that are not close in the kernel's space; "
        "continuity falls when close points are torn apart.",
    ),
)
