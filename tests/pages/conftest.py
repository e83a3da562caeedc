"""The pages run in AppTest, on a fresh folder or on a copy of some finished studies."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.made import Made, make

APP = Path(__file__).parents[2] / "app.py"
#: The first run imports pandas, plotly and the rest; 3 s, the default, is too short on a cold disk.
TIMEOUT = 60


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Made:
    """Finished studies to copy from."""
    return make(tmp_path_factory.mktemp("made") / "home")


@pytest.fixture(autouse=True, scope="session")
def _components_found_once() -> Iterator[None]:
    """Each AppTest looks for components in all that is installed, a tenth of a second; it finds the same each time."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def home() -> Path:
    """The folder that NTKVIZ_HOME names in this test."""
    return Path(os.environ["NTKVIZ_HOME"])


@pytest.fixture
def made(made_once, home) -> Made:
    """Finished studies in this test's own folder."""
    shutil.copytree(made_once.home, home, dirs_exist_ok=True)
    return Made(home, made_once.keys)


@pytest.fixture(autouse=True)
def whole_pages(monkeypatch) -> None:
    """AppTest forgets the table of pages when single fragments are drawn anew; tests in a browser see to those."""
    monkeypatch.setattr("ntkviz.ui.selection.redraw", lambda *_: None)


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """Open a page of the app: ``open_page("explain", study=key)`` is the address /explain?study=key."""

    def go(name: str = "studies", **address: object) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
        if name != "studies":
            app.switch_page(f"pages/{name}.py")
        for parameter, value in address.items():
            app.query_params[parameter] = str(value)
        return app.run()

    return go


def texts(app: AppTest) -> str:
    """All words on the page, for searching."""
    kinds = ("title", "subheader", "markdown", "caption", "text", "error", "warning", "info", "success")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(app, kind))
