"""How the gradients behind the kernels were computed, parameter by parameter, and what a kernel's notes say."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from ntkviz.studies.study import Study
from ntkviz.ui import cached, layout
from ntkviz.ui.kernels_view import Finished
from ntkviz.ui.text import escape

#: What a path is called in a sentence.
_WAYS = {
    "structured": "from the factors of their layers",
    "vmap": "from gradients of chunks of samples (torch.func)",
    "loop": "one sample at a time",
    "unused": "not at all, because no logit depends on them",
}


def coverage(study: Study) -> None:
    """One sentence on all parameters, and a table of them; a study from before there were rows shows neither."""
    rows = study.self_check.get("parameters") or []
    if not rows:
        st.caption("This study was made before parameters were counted; run it again to see how each is computed.")
        return
    st.markdown(covered_sentence(rows))
    table = pd.DataFrame(
        {
            "parameter": [row["name"] for row in rows],
            "entries": [row["size"] for row in rows],
            "path": [row["path"] for row in rows],
            "why": [row["reason"] for row in rows],
        }
    )
    layout.data_table(table, key="coverage", label="Each parameter")
    error = study.self_check.get("max_relative_error")
    checked = (
        ""
        if error is None
        else f" On {study.self_check['n_points']} points the kernel differs from the float64 one by {error:.1e}."
    )
    st.caption(f"So it is for kernels that are sums over parameters; projections and the full NTK form all gradients.{checked}")


def covered_sentence(rows: list[Mapping]) -> str:
    """How many of the P parameters are computed which way; plain text."""
    total = sum(row["size"] for row in rows)
    by_path = {path: sum(row["size"] for row in rows if row["path"] == path) for path in _WAYS}
    first = f"{by_path['structured']:,} of {total:,} parameters are computed {_WAYS['structured']}"
    others = [f"{count:,} {_WAYS[path]}" for path, count in by_path.items() if count and path != "structured"]
    return f"{first}; {', '.join(others) if others else 'none goes another way'}."


def notes(chosen: list[Finished]) -> None:
    """What the kernels on show say of themselves: a readout whose rows cancel, points without gradient."""
    lines = [
        f"- **{escape(kernel.title)}.** {escape(note, limit=700)}"
        for kernel in chosen
        for note in cached.kernel_blocks(kernel.key).blocks.notes
    ]
    if lines:
        st.markdown("\n".join(lines))
