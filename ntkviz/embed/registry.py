"""The embeddings there are: one row each, read by the picker, the help text, the docs and the tests."""

from ntkviz.embed.result import EmbeddingInfo

_ROWS = (
    EmbeddingInfo(
        key="umap",
        title="UMAP",
        summary="Keeps each point's nearest neighbours together; clusters are easy to see.",
        axes="An axis has no meaning and no unit; only who stands near whom does.",
        cost="O(N^2) to find neighbours, then O(N) an epoch; about 1 s at N = 1,000 and 3 s at 3,000 after a first start of 15 s",
        source="McInnes, Healy and Melville 2018, arXiv 1802.03426; umap-learn",
        use_when="Looking for groups, islands and points that stand among another class.",
        caveat="Gaps, sizes of clusters and distances between them mean little; another seed gives another map.",
        out_of_sample="UMAP's own transform below 4,096 training points, else the fuzzy-weighted mean of the nearest training points",
        options={
            "n_neighbors": (15, "Size of the neighbourhoods kept: small shows detail, large shows the overall shape."),
            "min_dist": (0.1, "Least distance on the map: 0 packs clusters tightly."),
            "init": ("spectral", "Where the layout begins: spectral, or kernel_pca, which keeps more of the large-scale order."),
        },
    ),
    EmbeddingInfo(
        key="kernel_pca",
        title="Kernel PCA",
        summary="The two directions in which the training points differ most; linear, exact, the same every time.",
        axes="An axis is a principal direction of the kernel's space; its share of the variance is given.",
        cost="O(N^3) with a small constant: 1 s at N = 3,000",
        source="Schoelkopf, Smola and Mueller 1998",
        use_when="You need distances that can be read, or test points placed exactly.",
        caveat="Two axes often hold a small share of the variance: points far apart in other directions then coincide.",
        out_of_sample="exact",
    ),
    EmbeddingInfo(
        key="tsne",
        title="t-SNE",
        summary="Keeps near neighbours together like UMAP, with even spacing; a second opinion on the same neighbourhoods.",
        axes="An axis has no meaning and no unit; only who stands near whom does.",
        cost="O(N^2) memory, O(N log N) an iteration; about 2 s at N = 1,000 and 10 s at 3,000. It cannot be stopped half-way.",
        source="van der Maaten and Hinton 2008; scikit-learn, started from kernel PCA (Kobak and Berens 2019)",
        use_when="Checking whether an island on the UMAP map is there on another map too.",
        caveat="Gaps, sizes of clusters and distances between them mean little.",
        out_of_sample="fuzzy-weighted mean of the nearest training points",
        options={"perplexity": (30.0, "Effective number of neighbours, below a third of the training points.")},
    ),
)


def embeddings() -> dict[str, EmbeddingInfo]:
    """The registry: key -> row, in the order of the picker."""
    return {row.key: row for row in _ROWS}
