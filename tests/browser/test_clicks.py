"""Clicks that lead from a chart or a table to a point: what AppTest cannot do."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from ntkviz.scores import scores_of
from ntkviz.studies.store import Store
from tests.browser.conftest import keyed, no_exception, settle

#: Pixels and id of the point of a chart that stands most alone, of those whose id begins with some letters.
_LONELY = """([key, prefix]) => {
  const chart = document.querySelector(`.st-key-${key} .js-plotly-plot`), layout = chart._fullLayout, dots = [];
  chart._fullData.forEach(trace => { if (trace.customdata && trace.visible === true) trace.customdata.forEach((row, j) => dots.push({
    id: String(row[0]), x: layout.xaxis._offset + layout.xaxis.l2p(trace.x[j]), y: layout.yaxis._offset + layout.yaxis.l2p(trace.y[j])})) });
  const room = dot => Math.min(...dots.map(other => other === dot ? 1e9 : Math.hypot(other.x - dot.x, other.y - dot.y)));
  const best = dots.filter(dot => dot.id.startsWith(prefix)).sort((a, b) => room(b) - room(a))[0];
  const box = chart.getBoundingClientRect();
  return [box.left + best.x, box.top + best.y, best.id];
}"""

#: Where a chart's plane is on the page: left, top, width, height.
_PLANE = """key => {
  const chart = document.querySelector(`.st-key-${key} .js-plotly-plot`), layout = chart._fullLayout, box = chart.getBoundingClientRect();
  return [box.left + layout.xaxis._offset, box.top + layout.yaxis._offset, layout.xaxis._length, layout.yaxis._length];
}"""

#: Whether dragging on a chart does this.
_DRAG = "([key, drag]) => document.querySelector(`.st-key-${key} .js-plotly-plot`)?._fullLayout?.dragmode === drag"

#: Ids in the trace of that name.
_DRAWN = """([key, name]) => [...document.querySelectorAll(`.st-key-${key} .js-plotly-plot`)].flatMap(chart =>
  chart.data.filter(trace => trace.name === name).flatMap(trace => trace.customdata.map(row => String(row[0]))))"""


def click_point(page: Page, key: str, prefix: str = "") -> str:
    """Click the most lonely point of a chart; its id."""
    keyed(page, key).scroll_into_view_if_needed()
    page.wait_for_function("key => document.querySelector(`.st-key-${key} .js-plotly-plot`)?._fullLayout?.xaxis?.l2p", arg=key)
    x, y, point = page.evaluate(_LONELY, [key, prefix])
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y)
    page.wait_for_timeout(300)  # Plotly names the point under the mouse before it takes a click for one
    page.mouse.click(x, y)
    return point


def drag_around(page: Page, key: str, turns: int) -> None:
    """Draw around nearly all of a chart's plane: along its edges, or from corner to corner when there is one turn."""
    keyed(page, key).scroll_into_view_if_needed()
    page.wait_for_function("key => document.querySelector(`.st-key-${key} .js-plotly-plot`)?._fullLayout?.xaxis?.l2p", arg=key)
    left, top, width, height = page.evaluate(_PLANE, key)
    if turns == 1:
        way = [(0.004, 0.004), (0.5, 0.5), (0.996, 0.996)]
    else:
        side = [i / (turns // 4) for i in range(turns // 4)]
        corners = (
            [(s, 0.0) for s in side] + [(1.0, s) for s in side] + [(1 - s, 1.0) for s in side] + [(0.0, 1 - s) for s in side]
        )
        way = [(0.004 + 0.992 * x, 0.004 + 0.992 * y) for x, y in corners]
    page.mouse.move(left + way[0][0] * width, top + way[0][1] * height)
    page.mouse.down()
    for x, y in way[1:]:
        page.mouse.move(left + x * width, top + y * height, steps=4)
    page.mouse.up()


def wait_drawn(page: Page, key: str, name: str, point: str) -> None:
    """Wait until a trace of that name has a point of that id."""
    page.wait_for_function(f"([key, name, point]) => ({_DRAWN})([key, name]).includes(point)", arg=[key, name, point])


def test_a_click_on_the_scatter_shows_the_point_and_leads_to_explain(server, finished, open_browser):
    page = open_browser(f"{server}/fidelity?study={finished.keys['digits']}", height=1600)
    point = click_point(page, "log_odds")
    expect(page.get_by_text(re.compile(rf"^Test point {point}, labelled")).first).to_be_visible()
    wait_drawn(page, "log_odds", "selected", point)
    no_exception(page)
    page.get_by_text("Explain this point").first.click()
    expect(page.get_by_role("heading", name="Explain a prediction", exact=True, level=1)).to_be_visible()
    settle(page)
    assert f"point={point}" in page.url
    expect(page.get_by_text(re.compile(rf"^Test point {point}, labelled")).first).to_be_visible()


def test_clicks_on_the_map_draw_edges_and_the_next_click_moves_them(server, finished, open_browser):
    page = open_browser(f"{server}/map?study={finished.keys['digits']}", height=1400)
    for prefix in ("test:", "train:"):
        point = click_point(page, "map_chart", prefix)
        # The edges change the figure, which wipes Plotly's own selection: ours must stay.
        wait_drawn(page, "map_chart", "selected point", point)
        settle(page)
        assert page.evaluate(_DRAWN, ["map_chart", "selected point"]) == [point]
        assert len(page.evaluate(_DRAWN, ["map_chart", "its nearest in the kernel's space"])) == 8
    no_exception(page)


def test_a_lasso_and_a_box_choose_points_on_all_pages(server, finished, open_browser):
    page = open_browser(f"{server}/map?study={finished.keys['digits']}", height=1400)
    for mouse, drag, turns in (("Choose by a lasso", "lasso", 12), ("Choose by a box", "select", 1)):
        page.get_by_text(mouse).click()
        page.wait_for_function(_DRAG, arg=["map_chart", drag])
        settle(page)
        drag_around(page, "map_chart", turns)
        expect(keyed(page, "selected_test")).to_contain_text("30 test points")  # the area is the whole plane
        expect(keyed(page, "selected_train")).to_contain_text("60 training points")
        page.wait_for_function(f"([key, name]) => ({_DRAWN})([key, name]).length === 90", arg=["map_chart", "chosen together"])
        settle(page)
        assert page.evaluate(_DRAWN, ["map_chart", "selected point"]) == []
        if drag == "lasso":
            for split in ("test", "train"):
                keyed(page, f"close_{split}_set").get_by_role("button").click()
                expect(keyed(page, f"selected_{split}")).to_have_count(0)
                settle(page)
            keyed(page, "selection_undo").get_by_role("button").click()
            expect(keyed(page, "selected_train")).to_be_visible()
            settle(page)
    keyed(page, "ask_next").get_by_role("button").click()
    page.get_by_text("What do the answers to 30 test points rest on?").click()
    expect(page.get_by_role("heading", name="Behaviours", exact=True, level=1)).to_be_visible()
    settle(page)
    assert "test_set=" in page.url
    page.reload()
    settle(page)
    expect(page.get_by_text("the chosen test points").first).to_be_visible()
    expect(keyed(page, "selected_train")).to_contain_text("60 training points")
    no_exception(page)


def test_a_neighbour_on_explain_is_walked_on_to_and_back(server, finished, open_browser):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}&point=3", height=2000)
    page.locator("[class*=st-key-effect_train_]").get_by_role("button").first.click()
    expect(keyed(page, "walked_to")).to_contain_text("Its share in")
    first = re.search(r"example=(\d+)", page.url)
    assert first is not None
    expect(keyed(page, "selection_bar")).to_contain_text(f"Training example {first[1]}")
    step = page.locator("[class*=st-key-near_train_]").get_by_role("button").first
    step.click()
    page.wait_for_function("before => !location.href.includes(before)", arg=f"example={first[1]}")
    settle(page)
    keyed(page, "selection_undo").get_by_role("button").click()
    page.wait_for_function("before => location.href.includes(before)", arg=f"example={first[1]}")
    expect(keyed(page, "walked_to")).to_contain_text(f"Training example {first[1]}")
    keyed(page, "leave_example").get_by_role("button").click()
    expect(keyed(page, "walked_to")).to_have_count(0)
    no_exception(page)


def test_a_row_of_the_list_becomes_the_point_explained(server, finished, open_browser):
    page = open_browser(f"{server}/explain?study={finished.keys['digits']}", height=1200)
    before = page.url
    rows = page.get_by_test_id("stDataFrame").first.locator("canvas").first
    box = rows.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 18, box["y"] + 36 + 44 * 4.5)  # the box of the fifth row, below the head
    page.wait_for_function("before => location.href !== before", arg=before)
    settle(page)
    point = re.search(r"point=(\d+)", page.url)
    assert point is not None
    expect(page.get_by_text(re.compile(rf"^Test point {point[1]}, labelled")).first).to_be_visible()
    no_exception(page)


def test_a_guess_reveals_the_shares(server, finished, open_browser):
    page = open_browser(f"{server}/learn?study={finished.keys['digits']}", height=2400)
    form = page.get_by_test_id("stForm").first
    form.locator("label", has_text="A").first.click()
    form.get_by_role("button", name="Reveal").click()
    expect(page.get_by_text("And without the point?")).to_be_visible()
    no_exception(page)


def test_a_click_on_a_cell_of_a_heat_map_chooses_its_points(server, finished, open_browser):
    page = open_browser(f"{server}/fidelity?study={finished.keys['text']}")
    settle(page)
    cell = click_point(page, "confusion")
    settle(page)
    study = Store(finished.home).load_study(finished.keys["text"])
    network, surrogate = (scores_of(logits).predicted for logits in (study.logits_test, study.surrogate_logits))
    inside = [f"{a}:{b}" for a, b in zip(network, surrogate, strict=True)].count(cell)
    expect(keyed(page, "selection_bar")).to_contain_text("1 test point" if inside == 1 else f"{inside} test points")
    no_exception(page)


def test_a_cell_of_class_against_class_shows_the_points_behind_it(server, finished, open_browser):
    page = open_browser(f"{server}/kernels?study={finished.keys['digits']}", height=1400)
    first, second = click_point(page, "class_similarity").split(":")
    page.wait_for_url(re.compile(rf"pair_first={first}&pair_second={second}"))
    settle(page)
    no_exception(page)


def test_a_box_on_a_kernel_chooses_the_points_of_its_rows_and_columns(server, finished, open_browser):
    page = open_browser(f"{server}/kernels?study={finished.keys['digits']}", height=1400)
    drag_around(page, "kernel_panels", 1)
    expect(keyed(page, "selected_train")).to_contain_text("60 training points")  # the box is the whole matrix
    settle(page)
    no_exception(page)


def test_a_click_on_an_error_of_the_confusion_matrix_explains_it(server, finished, open_browser):
    page = open_browser(f"{server}/behaviour?study={finished.keys['text']}")
    settle(page)
    study = Store(finished.home).load_study(finished.keys["text"])
    said = scores_of(study.logits_test).predicted
    errors = sorted({f"{a}:{b}" for a, b in zip(study.y_test, said, strict=True) if a != b})
    assert errors, "the sample has no error to click"
    assert click_point(page, "confusions", errors[-1]) == errors[-1]
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query).get("behaviour_cell") == [errors[-1]])
    names = [study.class_names[int(c)] for c in errors[-1].split(":")]
    expect(page.get_by_text(f"{names[0]} taken for {names[1]}").first).to_be_visible()
    no_exception(page)
