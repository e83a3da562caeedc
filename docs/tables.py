"""Write the reference pages that come from the registries; ``--check`` only compares.

Run from anywhere: ``python docs/tables.py``. The registries are what pickers and help texts read, so the pages cannot say
anything else than the dashboard.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ntkviz import attributions, kernels, surrogates
from ntkviz.audit.registry import audits
from ntkviz.types import AttributionInfo, AuditInfo, KernelInfo, SurrogateInfo

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/tables.py from the registry; change the registry and run `make docs`. -->"


def kernel_page(rows: Mapping[str, KernelInfo]) -> str:
    """The page of all kernels."""
    overview = _table(
        ("`kind`", "kernel", "cost", "use it"),
        [(f"[`{k}`](#{k})", r.title, r.cost, r.use_when) for k, r in rows.items()],
    )
    sections = [
        f"## {k}\n\n**{r.title}.** {r.summary}\n\n$${r.formula}$$\n\n- Cost: {r.cost}\n- Use when: {r.use_when}\n- Mind: {r.caveat}\n"
        f"- Source: {r.source}\n- Layer by layer: {'yes, `layer_kernels`' if r.layered else 'no'}\n{_options(r.options)}"
        for k, r in rows.items()
    ]
    intro = (
        "`kernel_matrix(model, x, z, kind=...)`. N points x, C logits, P parameters, K random directions. `normalize=True` (the default) "
        "divides by the square roots of both diagonals: cosine similarity. `normalize=False` gives what the formulas say."
    )
    return _page("Kernels", intro, overview, sections)


def surrogate_page(rows: Mapping[str, SurrogateInfo]) -> str:
    """The page of all surrogates."""
    aims = {"labels": "re-learns the labels", "logits": "imitates the network"}
    overview = _table(
        ("`kind`", "surrogate", "what it fits", "cost"),
        [(f"[`{k}`](#{k})", r.title, aims[r.target], r.cost) for k, r in rows.items()],
    )
    sections = [
        f"## {k}\n\n**{r.title}**, {aims[r.target]}. {r.summary}\n\n$${r.formula}$$\n\n- Cost: {r.cost}\n- Use when: {r.use_when}\n"
        f"- Mind: {r.caveat}\n- Source: {r.source}\n{_options(r.options)}"
        for k, r in rows.items()
    ]
    intro = (
        "`fit_surrogate(kernel, targets, kind=...)`. Inside, the kernel is brought to mean diagonal 1, so a ridge is in those units; the "
        "weights that come out are for the kernel as passed."
    )
    return _page("Surrogates", intro, overview, sections)


def attribution_page(rows: Mapping[str, AttributionInfo]) -> str:
    """The page of all attributions."""
    overview = _table(
        ("`kind`", "attribution", "question that it answers"), [(f"[`{k}`](#{k})", r.title, r.question) for k, r in rows.items()]
    )
    sections = [
        f"## {k}\n\n**{r.title}.** {r.question}\n\n$${r.formula}$$\n\n- Needs: {', '.join(f'`{name}`' for name in r.needs) or 'surrogate and rows'}\n- Cost: {r.cost}\n- Measured: {r.measured}\n"
        f"- Mind: {r.caveat}\n- Source: {r.source}\n{_options(r.options)}"
        for k, r in rows.items()
    ]
    return _page("Attributions", "`attribute(surrogate, rows, kind=...)` gives `[M, C, N]`.", overview, sections)


def audit_page(rows: Mapping[str, AuditInfo]) -> str:
    """The page of all audits."""
    overview = _table(
        ("audit", "looks for", "question that it answers"), [(f"[{r.title}](#{k})", r.task, r.question) for k, r in rows.items()]
    )
    sections = [
        f"## {k}\n\n**{r.title}.** {r.question}\n\n$${r.formula}$$\n\n- Cost: {r.cost}\n- Mind: {r.caveat}\n- Source: {r.source}\n"
        for k, r in rows.items()
    ]
    intro = "Scores of training points; high is suspicious. What they found where the truth is known: [Audits](../concepts/audits.md)."
    return _page("Audits", intro, overview, sections)


def pages() -> dict[Path, str]:
    """File -> text of every generated page."""
    return {
        FOLDER / "kernels.md": kernel_page(kernels()),
        FOLDER / "surrogates.md": surrogate_page(surrogates()),
        FOLDER / "attributions.md": attribution_page(attributions()),
        FOLDER / "audits.md": audit_page(audits()),
    }


def main(arguments: list[str]) -> int:
    """Write or compare; the exit code says whether all pages were up to date."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} differs from the registry; run `make docs`.")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
    return 0


def _page(title: str, intro: str, overview: str, sections: list[str]) -> str:
    return "\n".join([NOTE, f"# {title}", "", intro, "", overview, *sections]).rstrip() + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def _options(options: Mapping[str, tuple[object, str]]) -> str:
    return "".join(f"- Option `{name}={default!r}`: {help_}\n" for name, (default, help_) in options.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
