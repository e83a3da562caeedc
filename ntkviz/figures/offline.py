"""Figures in a file of their own: plotly.js itself, and a figure as JSON that may stand within a page."""

from functools import lru_cache

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

#: Within a script element these would end it, or end a line of JavaScript.
_BROKEN = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@lru_cache(maxsize=1)
def plotly_js() -> str:
    """The whole of plotly.js, to be put into a page once."""
    return get_plotlyjs()


def figure_json(fig: go.Figure) -> str:
    """A figure as JSON (``{"data": [...], "layout": {...}}``) without a character that means something to HTML.

    The template stays out: who draws it decides on the colours of paper and ink.
    """
    plain = fig.to_plotly_json()
    plain["layout"] = {name: value for name, value in plain["layout"].items() if name not in {"template", "width"}}
    text = go.Figure(plain, _validate=False).to_json(validate=False) or "{}"
    for character, broken in _BROKEN.items():
        text = text.replace(character, broken)
    return text
