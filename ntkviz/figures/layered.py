"""A figure that is made once, with something light drawn over it again and again."""

from typing import Any

import plotly.graph_objects as go


class Layered(go.Figure):
    """What is drawn is a base, as Plotly's JSON, and the traces of another figure on top: the base is neither copied nor checked again.

    At ten thousand points that copy takes longer than all else that a click needs. Changes after it was made are not drawn.
    """

    def __init__(self, base: dict[str, Any], over: go.Figure, **layout: object) -> None:
        """Lay one over the other.

        Args:
            base: ``to_dict()`` of a figure; shared, never changed here.
            over: traces that name the axes of the base.
            **layout: entries of the layout that differ from the base's.
        """
        super().__init__()
        traces = [*base["data"], *over.to_dict()["data"]]
        self.__dict__["_whole"] = {"data": traces, "layout": {**base["layout"], **layout}}

    def to_dict(self) -> dict[str, Any]:
        """Data and layout."""
        return dict(self.__dict__["_whole"])
