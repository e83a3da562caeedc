"""PNG and SVG of a chart, made by the browser that shows it.

The chart's own tool bar can save one format, and a server would need a browser of its own (kaleido) to draw a picture. So two buttons
press the tool bar's camera, once set to PNG and once to SVG: the picture is the chart as it is seen, zoom and hidden traces included.
"""

from functools import cache
from typing import Any

from streamlit.components.v2 import component

_HTML = '<div class="row"><button type="button" data-format="png">Picture as PNG</button><button type="button" data-format="svg">Picture as SVG</button></div><output></output>'
_CSS = """
.row { display: flex; flex-direction: column; gap: 0.5rem; }
button { font: inherit; color: var(--st-text-color); background: var(--st-background-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius, 0.5rem); padding: 0.4rem 0.75rem; cursor: pointer; text-align: left; }
button:hover, button:focus-visible { color: var(--st-primary-color); border-color: var(--st-primary-color); }
output { display: block; font-size: 0.85rem; color: var(--st-text-color); }
"""
_JS = """
export default function (component) {
  const { data, parentElement } = component;
  const press = event => {
    const chart = document.querySelector(`.st-key-${CSS.escape(data.chart)} .js-plotly-plot`);
    const camera = chart && [...chart.querySelectorAll(".modebar-btn")].find(one => one.dataset.title?.startsWith("Download plot"));
    const said = parentElement.querySelector("output");
    if (!camera || !chart._context) { said.textContent = "The chart is not drawn yet, or has no picture."; return; }
    said.textContent = "";
    const options = chart._context.toImageButtonOptions, before = { ...options };
    Object.assign(options, { format: event.currentTarget.dataset.format, filename: data.chart, scale: event.currentTarget.dataset.format === "png" ? 2 : 1 });
    camera.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    Object.assign(options, before);
  };
  const buttons = [...parentElement.querySelectorAll("button")];
  buttons.forEach(button => { button.onclick = press; });
}
"""


def show(chart: str) -> None:
    """The two buttons.

    Args:
        chart: key of the chart on this page.
    """
    _component()(key=f"{chart}_pictures", data={"chart": chart})


@cache
def _component() -> Any:
    return component("ntkviz_pictures", html=_HTML, css=_CSS, js=_JS)
