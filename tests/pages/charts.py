"""What the tests read off a page: charts by their key, as data."""

import base64
import json
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest


def chart(app: AppTest, key: str) -> dict:
    """The chart of that key as Plotly's JSON."""
    found = [element for element in app.get("plotly_chart") if element.proto.id.endswith(f"-{key}")]
    assert len(found) == 1, f"{len(found)} charts {key}; there are {[element.proto.id for element in app.get('plotly_chart')]}"
    return json.loads(found[0].proto.spec)


def alt(app: AppTest, key: str) -> str:
    """The alternative text of a chart."""
    return next(element.proto.alt for element in app.get("plotly_chart") if element.proto.id.endswith(f"-{key}"))


def numbers(entry: object) -> np.ndarray:
    """An array of a chart, which Plotly may have packed."""
    if isinstance(entry, dict):
        flat = np.frombuffer(base64.b64decode(entry["bdata"]), dtype=entry["dtype"])
        return flat.reshape([int(n) for n in entry["shape"].split(",")]) if "shape" in entry else flat
    return np.array(entry, dtype=np.float64)


def table(app: AppTest, *columns: str) -> Any:
    """The one data frame on the page that has all these columns."""
    found = [frame.value for frame in app.dataframe if set(columns) <= {str(name) for name in frame.value.columns}]
    assert found, f"no table with {columns}; there are {[list(frame.value.columns) for frame in app.dataframe]}"
    return found[0]
