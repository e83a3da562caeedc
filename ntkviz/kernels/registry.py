"""The kernels that ntkviz knows: what pickers, help texts, the docs table and the tests read. Imports no torch."""

from ntkviz.types import KernelInfo

_ENGEL = "Engel et al., ICLR 2024, arXiv:2305.14585"
_MOHAMADI = "Mohamadi, Bae, Sutherland, ICML 2023, arXiv:2206.12543"
_PROJECTION = {"proj_dim": (2048, "K, the number of random directions; the error falls as 1/sqrt(K)")}

_ROWS = (
    KernelInfo(
        key="trntk",
        title="Trace NTK",
        formula=r"K(x, z) = \sum_{c=1}^{C} \langle \nabla_\theta f_c(x), \nabla_\theta f_c(z) \rangle",
        summary="Inner products of all logits' gradients, added over the classes: the reference of the paper.",
        cost="C backward passes a point; Gram N²·C·P",
        source=_ENGEL,
        use_when="By default: it imitates the network best among kernels whose explanations also hold up.",
        caveat="The dearest of the point kernels on convolutions and transformers.",
        layered=True,
        options={
            "arithmetic": (
                "float32",
                "float32, or int8: gradients rounded to eight bits, faster on large convolutions, error told",
            )
        },
    ),
    KernelInfo(
        key="pntk",
        title="Pseudo NTK",
        formula=r"K(x, z) = \langle \nabla_\theta \tfrac{1}{\sqrt{C}}\sum_c f_c(x), \nabla_\theta \tfrac{1}{\sqrt{C}}\sum_c f_c(z) \rangle",
        summary="One gradient a point, of the sum of the logits.",
        cost="1 backward pass a point; Gram N²·P",
        source=_MOHAMADI,
        use_when="Many classes, or a first look: C times cheaper than the trace NTK.",
        caveat="After training with cross-entropy the rows of the last layer nearly cancel, and it drifts towards the conjugate kernel.",
        layered=True,
    ),
    KernelInfo(
        key="hybrid_trntk",
        title="Hybrid trace NTK",
        formula=r"K(x, z) = \sum_{l \in \text{exact}} K_l(x, z) + \sum_{c} \langle S_c \nabla_{\theta'} f_c(x), S_c \nabla_{\theta'} f_c(z) \rangle",
        summary="Trace NTK, exact for layers with one position a sample; the gradients of the others are folded into K numbers.",
        cost="C backward passes a point and one pass over its gradients; Gram N²·K",
        source="CountSketch (Charikar et al., 2002) of the layers that " + _ENGEL + " project",
        use_when="When the exact trace NTK is quoted too dear: convolutions and transformers on many points.",
        caveat="Unbiased; the random error is predicted and checked on 16 points, and told with the result.",
        options={
            "sketch_dim": (2048, "K, the numbers that the folded gradients become; the error falls as 1/sqrt(K)"),
            "n_mixes": (None, "r random mixes of the C logits instead of all of them: r/C of the cost; None takes all logits"),
        },
    ),
    KernelInfo(
        key="class_sketch_trntk",
        title="Class-sketched trace NTK",
        formula=r"K(x, z) = \tfrac{C}{r}\sum_{h=1}^{r} \langle \nabla_\theta u_h^\top f(x), \nabla_\theta u_h^\top f(z) \rangle",
        summary="Trace NTK of r random orthonormal mixes of the logits; r = C is exact.",
        cost="r backward passes a point; Gram N²·r·P",
        source="ntkviz, ADR 7; r = 1 is a pseudo NTK with a random head",
        use_when="Many classes: a random mix is nearer to the trace NTK than the pseudo NTK's sum of all logits.",
        caveat="Unbiased; the random error is predicted and checked on 16 points, and told with the result.",
        options={"n_mixes": (4, "r, from 1 to C")},
    ),
    KernelInfo(
        key="proj_trntk",
        title="Projected trace NTK",
        formula=r"K(x, z) = \tfrac{1}{K}\sum_c \langle R^\top \nabla_\theta f_c(x), R^\top \nabla_\theta f_c(z) \rangle,\; R \in \{\pm 1\}^{P \times K}",
        summary="Trace NTK of gradients projected on K random sign directions, the same for every class.",
        cost="C backward passes and P·K multiplications a point and class; Gram N²·C·K",
        source=_ENGEL,
        use_when="To compare with the paper's large models, which use K = 10,240.",
        caveat="Unbiased, with a random error of about 1/sqrt(C·K) in cosine similarity; another seed gives another matrix.",
        options=_PROJECTION,
    ),
    KernelInfo(
        key="proj_pntk",
        title="Projected pseudo NTK",
        formula=r"K(x, z) = \tfrac{1}{K C}\langle R^\top \nabla_\theta \textstyle\sum_c f_c(x), R^\top \nabla_\theta \sum_c f_c(z) \rangle",
        summary="Pseudo NTK of gradients projected on K random sign directions.",
        cost="1 backward pass and P·K multiplications a point; Gram N²·K",
        source=_ENGEL,
        use_when="To compare with the paper's cheapest variant.",
        caveat="The pseudo NTK's caveat, and a random error of about 1/sqrt(K) in cosine similarity.",
        options=_PROJECTION,
    ),
    KernelInfo(
        key="ck",
        title="Conjugate kernel",
        formula=r"K(x, z) = \langle h_L(x), h_L(z) \rangle",
        summary="Inner products of the features that enter the last linear layer.",
        cost="1 forward pass a point; Gram N²·d",
        source="Daniely et al., NeurIPS 2016; as used by " + _ENGEL,
        use_when="As a cheap baseline: what the last layer alone sees.",
        caveat="The logits are linear in these features, so it imitates very well and still explains badly: read imitation beside a counterfactual check.",
        options={"layer": (None, "name of the readout module, when the last Linear layer is not what makes the logits")},
    ),
    KernelInfo(
        key="em",
        title="Embedding kernel",
        formula=r"K(x, z) = \sum_{l} \langle h_l(x), h_l(z) \rangle",
        summary="Inner products of the activations of all layers, added up.",
        cost="L forward passes a point; Gram N²·(sum of activations)",
        source=_ENGEL,
        use_when="As a baseline that sees all layers but no gradients.",
        caveat="A convention, not canonical: the leaf modules' outputs without dropout and flatten; large maps dominate the sum.",
        layered=True,
        options={
            "layers": (None, "names of the modules to take; None takes every leaf module but dropout, flatten and identity")
        },
    ),
    KernelInfo(
        key="entk",
        title="Full empirical NTK",
        formula=r"\Theta(x, z)_{c, d} = \langle \nabla_\theta f_c(x), \nabla_\theta f_d(z) \rangle",
        summary="All pairs of logits: the exact kernel of the linearised network, NC x MC.",
        cost="C backward passes a point; Gram (N·C)²·P",
        source="Jacot et al., NeurIPS 2018",
        use_when="On a few hundred points, to see what the point kernels leave out.",
        caveat="Memory grows as (N·C)²; surrogates and maps here take point kernels.",
        block="point_class",
    ),
    KernelInfo(
        key="lpntk",
        title="Label pseudo NTK",
        formula=r"K(x, z) = \tfrac{1}{C}\langle J(x)^\top s(y_x), J(z)^\top s(y_z) \rangle,\; s_c(y) = \pm 1",
        summary="One gradient a point, of its label's logit minus the other logits.",
        cost="1 backward pass a point; Gram N²·P",
        source="Guo et al., ICLR 2024 (lpNTK)",
        use_when="To find interchangeable, unrelated and contradictory pairs of labelled points.",
        caveat="Uses the labels of both points: never a fair surrogate of test predictions.",
        needs_labels=True,
    ),
    KernelInfo(
        key="margin",
        title="Margin kernel",
        formula=r"K(x, z) = \langle \nabla_\theta m_{y_x}(x), \nabla_\theta m_{y_z}(z) \rangle,\; m_y = f_y - \log\textstyle\sum_{c \neq y} e^{f_c}",
        summary="One gradient a point, of the log-odds of its label.",
        cost="1 backward pass a point; Gram N²·P",
        source="Park et al., ICML 2023 (TRAK), without its projection",
        use_when="For the attributions trak, tracin and grad_cos, which are computed from it.",
        caveat="Uses the labels of both points: never a fair surrogate of test predictions.",
        needs_labels=True,
    ),
    KernelInfo(
        key="trntk_rbf",
        title="Trace NTK + inputs",
        formula=r"K(x, z) = (1 - w)\, K_\text{tr}(x, z) / \bar d + w\, K_\text{rbf}(x, z)",
        summary="Mean of the trace NTK, at mean diagonal 1, and a Gaussian kernel of the inputs.",
        cost="as the trace NTK, and N²·d",
        source="ntkviz; the parts carry different information, see docs/results.md",
        use_when="When the effects of removing points count more than a pure account of the network.",
        caveat="Half of it has never seen the network: it knows which inputs look alike, which any network trained on them uses. Read it beside the trace NTK alone. Its scale depends on the training points.",
        options={
            "input_share": (0.5, "w, the weight of the inputs, between 0 and 1"),
            "bandwidth": (1.0, "of the Gaussian, as a share of the mean squared distance of two training points"),
            "pad_id": (0, "token id that is left out of the counts"),
        },
    ),
    KernelInfo(
        key="rbf",
        title="Gaussian of inputs (no network)",
        formula=r"K(x, z) = \exp\big(-\lVert x - z \rVert^2 / (b \bar D)\big)",
        summary="Alike where the inputs are near; images as pixels, tables by standardised columns, texts by token counts.",
        cost="none; Gram N²·d",
        source="baseline",
        use_when="As the control of every claim: it knows the data and no network.",
        caveat="Where it foretells retraining as well as a tangent kernel does, the explanation is about the data. Its width depends on the training points.",
        options={
            "bandwidth": (1.0, "b, as a share of the mean squared distance of two training points"),
            "pad_id": (0, "token id that is left out of the counts"),
        },
    ),
    KernelInfo(
        key="inputs",
        title="Inputs (no network)",
        formula=r"K(x, z) = \langle x, z \rangle",
        summary="Inner products of the inputs themselves; for token ids, of token counts.",
        cost="none; Gram N²·d",
        source="baseline",
        use_when="Always beside the others: what a tangent kernel must beat.",
        caveat="Knows nothing of the network. Where it explains as well, the explanation is about the data.",
        options={"pad_id": (0, "token id that is left out of the counts")},
    ),
)


def kernels() -> dict[str, KernelInfo]:
    """The registry of kernels, in the order in which they are offered.

    Returns:
        Key -> row. ``kernel_matrix(model, x, kind=key)`` computes it.
    """
    return {row.key: row for row in _ROWS}
