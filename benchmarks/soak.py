"""Does the server grow when people come and go? ``python benchmarks/soak.py [--times 50]``.

A browser brings a network of its own with data, has it checked and taken in, deletes it on the page Server, and closes; again and again. The resident memory of the process that
serves pages is kept after each round; the first five warm caches up and do not count.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.machine import keep
from ntkviz.data.sample import load_sample_data
from tests.browser.conftest import CHROMIUM, FLAGS, serving, settle
from tests.browser.test_upload import WEIGHTS, bring

WARM = 5


def main() -> None:
    """Come and go, and weigh."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--times", type=int, default=50)
    arguments = parser.parse_args()
    held: list[float] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        place = Path(folder)
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with serving(place / "home", place / "log.txt") as url:
            server = next(one for one in psutil.Process().children(recursive=True) if "streamlit" in one.cmdline())
            for i in range(arguments.times + WARM):
                data = _data(place / f"points-{i}.npz", i)
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                page = context.new_page()
                page.set_default_timeout(90_000)
                come_and_go(page, url, data)
                context.close()
                time.sleep(1.0)
                held.append(server.memory_info().rss / 2**20)
                print(f"{i + 1}: {held[-1]:,.0f} MB", flush=True)
    first, last = statistics.mean(held[WARM : WARM + 5]), statistics.mean(held[-5:])
    row = {
        "times": arguments.times,
        "first_mb": round(first),
        "last_mb": round(last),
        "growth_percent": round(100 * (last / first - 1), 1),
    }
    print(row)
    keep("soak", [row | {"mb": [round(value) for value in held]}])


def _data(path: Path, seed: int) -> Path:
    """Other points every time: equal files would be one upload."""
    data = load_sample_data("cancer-mlp")
    rng = np.random.default_rng(seed)
    train, test = rng.permutation(len(data.y_train))[:200], rng.permutation(len(data.y_test))[:80]
    np.savez(path, x_train=data.x_train[train], y_train=data.y_train[train], x_test=data.x_test[test], y_test=data.y_test[test])
    return path


def come_and_go(page: Page, url: str, data: Path) -> None:
    """Bring files, see that they can be studied, delete them."""
    page.goto(url)
    settle(page)
    bring(page, WEIGHTS, data)
    expect(page.get_by_text("can be studied")).to_be_visible(timeout=120_000)
    settle(page)
    page.goto(f"{url}/server")
    settle(page)
    bin_ = page.locator("[class*='st-key-ask_upload']").first
    bin_.get_by_role("button").click()
    keyed_delete = page.locator("[class*='st-key-delete_upload']").first
    keyed_delete.get_by_role("button").click()
    settle(page)
    expect(page.locator("[class*='st-key-ask_upload']")).to_have_count(0)


if __name__ == "__main__":
    main()
