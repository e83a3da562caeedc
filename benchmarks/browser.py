"""How fast the pages answer in a browser: ``python benchmarks/browser.py [--n 10000] [--times 20] [--home FOLDER]``.

A perceptron is trained on N pictures (the digits that come with scikit-learn, shifted and with noise), brought as anybody brings a model, and its study is
made. Then Debian's chromium opens pages, clicks dots of the map, and moves sliders. Timed is from the click to the changed figure, in the browser's own
clock; the server is warm, as after its first visitor. A lasso of a million points is drawn on a page with the same figure and the same search for the points
within. The largest message either way is noted.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright
from scipy.ndimage import shift
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import keep  # noqa: E402
from tests.browser.conftest import CHROMIUM, FLAGS, serving, settle  # noqa: E402

#: Those with a figure of one study.
PAGES = ("explain", "map", "fidelity", "kernels", "what_if", "behaviour", "audit")
#: Points of the lasso's page.
MILLION = 1_000_000
_LASSO_PAGE = """
import numpy as np
import streamlit as st
from ntkviz.embed.area import within_lasso
from ntkviz.figures.density import density_map
from ntkviz.ui.clicks import drawn

@st.cache_resource
def points():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, {n})
    return (rng.normal(size=(10, 2))[labels] * 3 + rng.normal(size=({n}, 2))).astype(np.float32), labels

@st.cache_resource
def figure():
    xy, labels = points()
    return density_map(xy, labels, [str(c) for c in range(10)]).update_layout(dragmode="lasso")

def taken():
    area = drawn("chart")
    st.session_state["inside"] = int(within_lasso(points()[0], area.x, area.y).sum()) if area else None

st.title("Density")
points(), figure()
st.plotly_chart(figure(), key="chart", on_select=taken, selection_mode="lasso")
st.text(f"inside: {{st.session_state.get('inside')}}")
"""

#: Waits for a change of the page and gives the milliseconds from the call of ``begin``.
_CLOCK = """() => { window.begin = () => { window.began = performance.now(); };
window.until = test => new Promise((done, fail) => { const look = () => {
  if (test()) { done(performance.now() - window.began); } else if (performance.now() - window.began > 60000) { fail("60 s"); }
  else { setTimeout(look, 5); } }; look(); }); }"""
_DOT = """prefix => { const chart = document.querySelector(".st-key-map_chart .js-plotly-plot"), layout = chart._fullLayout, dots = [];
chart._fullData.forEach(trace => { if (trace.customdata && trace.visible === true && trace.type === "scattergl") trace.customdata.forEach((row, j) => {
  if (String(row[0]).startsWith(prefix)) dots.push({id: String(row[0]), x: layout.xaxis._offset + layout.xaxis.l2p(trace.x[j]), y: layout.yaxis._offset + layout.yaxis.l2p(trace.y[j])}); }); });
const dot = dots[Math.floor(Math.random() * dots.length)], box = chart.getBoundingClientRect();
return [box.left + dot.x, box.top + dot.y, dot.id]; }"""
_STAR = """old => { const chart = document.querySelector(".st-key-map_chart .js-plotly-plot");
const star = chart?.data?.find(trace => trace.name === "selected point"); return star && String(star.customdata[0][0]) !== old; }"""

_CARD = """() => document.querySelector(".st-key-map_side")?.textContent.match(/(Test point|Training example) \\d+/)?.[0]"""


def main() -> None:
    """Prepare, time, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--n", type=int, default=10_000, help="training points")
    parser.add_argument("--times", type=int, default=20, help="of each")
    parser.add_argument("--home", type=Path, help="a folder to keep the study in between runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder) / "home"
        key = study(home, Path(folder), options.n)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            with serving(home, Path(folder) / "log.txt") as url:
                rows = timed(browser, url, key, options.times)
            rows.append(lasso(browser, Path(folder), options.times))
    for row in rows:
        print(row)
    print("kept in", keep("browser", [{"N": options.n, **row} for row in rows]))


def study(home: Path, folder: Path, n: int) -> str:
    """Train, bring, and make the study of N training and 500 test points; its key."""
    from safetensors.torch import save_file

    from ntkviz.truth.recipe import Training
    from ntkviz.truth.train import train

    x, y = pictures(n + 500)
    spec = {"name": "mlp", "options": {"inputs": 64, "n_classes": 10, "hidden": [128, 64]}}
    training = Training(epochs=10, optimiser="sgd", learning_rate=0.05, weight_decay=5e-4, batch_size=50, seed=1)
    model = train(spec, x[:n].reshape(n, -1), y[:n], training)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "mlp.json").write_text(json.dumps(spec))
    data = {"x_train": x[:n].reshape(n, -1), "y_train": y[:n], "x_test": x[n:].reshape(500, -1), "y_test": y[n:]}
    np.savez(folder / "data.npz", **data)
    files = ["--model", folder / "model.safetensors", "--architecture", folder / "mlp.json", "--data", folder / "data.npz"]
    sizes = ["--n-train", n, "--n-test", 500, "--kernel", "trntk", "--surrogate", "klr", "--home", home, "--json"]
    command = [sys.executable, "-m", "ntkviz", "run", *map(str, files), *map(str, sizes)]
    found = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return str(json.loads(found.stdout)["study"])


def pictures(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of 8 x 8 pixels, each shifted by up to a pixel and with noise: float32 ``[n, 8, 8]`` and their labels."""
    rng, (images, labels) = np.random.default_rng(0), load_digits(return_X_y=True)
    order = rng.integers(0, len(images), n)
    moved = [shift(np.asarray(images)[i].reshape(8, 8) / 16, rng.uniform(-1, 1, 2), order=1) for i in order]
    noise = rng.normal(scale=0.05, size=(n, 8, 8))
    return (np.array(moved) + noise).astype(np.float32), np.asarray(labels)[order].astype(np.int64)


def timed(browser: Any, url: str, key: str, times: int) -> list[dict[str, Any]]:
    """First paint, clicks and sliders on the study."""
    rows = []
    with watched(browser) as (page, sizes):
        for name in PAGES:
            painted(page, f"{url}/{name}?study={key}&point=1")  # the first visitor of all
        for name in PAGES:
            rows.append(row(f"first paint of {name}", [painted(page, f"{url}/{name}?study={key}&point=1") for _ in range(times)]))
        page.goto(f"{url}/map?study={key}&map_method=kernel_pca")
        quiet(page)
        for split in ("test", "train"):
            cards, stars = zip(*(clicked(page, split) for _ in range(times)), strict=True)
            rows.append(row(f"click on a {split} point to its neighbours beside the map", list(cards)))
            rows.append(row(f"click on a {split} point to its neighbours on the map", list(stars)))
        page.goto(f"{url}/explain?study={key}&point=1")
        quiet(page)
        page.get_by_role("tab", name="Strongest shares").click()
        quiet(page)
        rows.append(row("slider of examples to the figure", [slid(page, i) for i in range(times)]))
        rows.append({"what": "largest message, MB", "down": max(sizes["down"]) / 1e6, "up": max(sizes["up"]) / 1e6})
    return rows


def painted(page: Page, url: str) -> float:
    """Milliseconds from asking for a page to its first figure."""
    page.goto("about:blank")
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => document.querySelector('.js-plotly-plot .main-svg')", timeout=300_000)
    shown = page.evaluate("() => performance.now()")
    quiet(page)
    return shown


def clicked(page: Page, split: str) -> tuple[float, float]:
    """Milliseconds from a click on a random dot to the card of its neighbours, and to the star and the edges on the map."""
    page.evaluate(_CLOCK)
    old = page.evaluate(
        "() => { const s = document.querySelector('.st-key-map_chart .js-plotly-plot').data.find(t => t.name === 'selected point'); return s ? String(s.customdata[0][0]) : ''; }"
    )
    while True:
        x, y, _ = page.evaluate(_DOT, f"{split}:")
        page.mouse.move(x - 2, y - 2)
        page.mouse.move(x, y)
        page.wait_for_timeout(200)  # Plotly names the point under the mouse before it takes a click for one
        before = page.evaluate(_CARD)
        page.evaluate("() => window.begin()")
        page.mouse.click(x, y)
        card, star = page.evaluate(
            f"async ([old, card]) => {{ const first = test => Promise.race([window.until(test), new Promise(r => setTimeout(() => r(-1), 5000))]); "
            f"return await Promise.all([first(() => ({_CARD})() !== card), first(() => ({_STAR})(old))]); }}",
            [old, before],
        )
        quiet(page)
        if card > 0 and star > 0:  # a dot below another is not hit; then another is tried
            return card, star


def slid(page: Page, i: int) -> float:
    """Milliseconds from a step of the slider to the figure with as many examples marked."""
    page.evaluate(_CLOCK)
    slider = page.get_by_role("slider").first
    slider.focus()
    value = int(slider.input_value())
    step = 1 if value < 25 and (i // 10) % 2 == 0 else -1
    page.evaluate("() => window.begin()")
    page.keyboard.press("ArrowRight" if step > 0 else "ArrowLeft")
    found = page.evaluate(
        "async k => window.until(() => [...document.querySelectorAll('.st-key-distribution .js-plotly-plot')].some(c => c.data.some(t => t.name === `${k} strongest`)))",
        value + step,
    )
    quiet(page)
    return found


def lasso(browser: Any, folder: Path, times: int) -> dict[str, Any]:
    """From the end of a lasso around a million points to how many lie within."""
    script = folder / "density.py"
    script.write_text(_LASSO_PAGE.format(n=MILLION))
    log, found = folder / "lasso.txt", []
    with serving(folder / "empty", log, script=script) as url, watched(browser) as (page, sizes):
        page.goto(url)
        quiet(page)
        for i in range(max(3, times // 4)):
            page.evaluate(_CLOCK)
            box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
            assert box is not None
            before = page.get_by_text("inside:").inner_text()
            turn = np.linspace(0, 2 * np.pi, 80)
            way = [
                (
                    box["x"] + box["width"] * (0.5 + (0.3 + 0.01 * i) * np.cos(t)),
                    box["y"] + box["height"] * (0.5 + 0.35 * np.sin(t)),
                )
                for t in turn
            ]
            page.mouse.move(*way[0])
            page.mouse.down()
            for x, y in way[1:]:
                page.mouse.move(x, y)
            page.evaluate("() => window.begin()")
            page.mouse.up()
            found.append(
                page.evaluate(
                    "async old => window.until(() => { const now = [...document.querySelectorAll('[data-testid=stText]')].map(e => e.innerText)[0]; return now && now !== old; })",
                    before,
                )
            )
            quiet(page)
        return row("lasso of a million points", found) | {"largest message, MB": max(sizes["down"] + sizes["up"]) / 1e6}


@contextmanager
def watched(browser: Any) -> Iterator[tuple[Page, dict[str, list[int]]]]:
    """A page, and the sizes of all WebSocket messages both ways.

    Yields:
        Both.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, sizes = context.new_page(), {"down": [0], "up": [0]}

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda payload: sizes["down"].append(len(payload)))
        socket.on("framesent", lambda payload: sizes["up"].append(len(payload)))

    page.on("websocket", listen)
    page.set_default_timeout(300_000)
    yield page, sizes
    context.close()


def quiet(page: Page) -> None:
    """Until the script has run."""
    settle(page)
    page.wait_for_timeout(random.randint(250, 400))


def row(what: str, milliseconds: list[float]) -> dict[str, Any]:
    """Median and 95th percentile."""
    values = np.array(milliseconds)
    return {
        "what": what,
        "p50, ms": round(float(np.median(values))),
        "p95, ms": round(float(np.quantile(values, 0.95))),
        "n": len(values),
    }


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s")
