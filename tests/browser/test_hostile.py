"""Names that want to be more than names: of classes, columns, categories and the upload itself. They stay words on every page."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ntkviz.models.spec import build_model, parse_spec
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.uploads import register_upload
from tests.browser.conftest import no_exception, serving, settle

NAMES = [
    "<img src=x onerror=window.PWN=1>",
    "![p](http://outside.example/p.png)",
    "<script>window.PWN=1</script><a href='http://outside.example'>%{x}",
]
ARCHITECTURE = {"name": "tabular", "options": {"features": 4, "n_classes": 3, "width": 8, "blocks": 1}}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """A server with a study of such an upload; its address and the study's key."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (np.eye(4)[y] * 2 + rng.normal(size=(60, 4))).astype(np.float32)
    np.savez(
        folder / "d.npz", x_train=x[:45], y_train=y[:45], x_test=x[45:], y_test=y[45:],
        class_names=np.array(NAMES), feature_names=np.array([*NAMES, "=1+1"]),
    )  # fmt: skip
    torch.manual_seed(0)
    weights = build_model(parse_spec(ARCHITECTURE)).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "w.safetensors")
    home = folder / "home"
    subject = register_upload(
        folder / "w.safetensors", folder / "d.npz", architecture=ARCHITECTURE, home=home, title=NAMES[0] + NAMES[1]
    )
    store = Store(home)
    for kernel in ("ck", "trntk"):
        key = run_study(StudySpec(upload=subject.id, kernel=kernel, surrogate="ridge"), store=store).key
    with serving(home, folder / "server.txt") as url:
        yield url, key


@pytest.mark.parametrize("name", ["", "kernels", "fidelity", "explain", "map", "learn", "server"])
def test_names_stay_words(hostile, open_browser, name):
    url, key = hostile
    page = open_browser(f"{url}/{name}?study={key}")
    if not name:
        page.locator(".st-key-_source").get_by_text("Bring your own").click()
        settle(page)
        page.locator(".st-key-about").get_by_text("About").click()
    settle(page)
    no_exception(page)
    assert page.evaluate("window.PWN") is None
    assert page.locator("a[href*='outside.example'], img[src*='outside.example'], [onerror]").count() == 0
