"""Screenshots of a running dashboard for README and docs: ``python docs/screenshots.py http://127.0.0.1:8501 [STUDY_KEY [POINT]]``.

Needs Debian's chromium and a finished study; looks as a person with a 1280 px window does.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
#: Name of the picture -> page, and the part of it that is shown.
PAGES = {
    "studies": "",
    "kernels": "kernels",
    "classes": "kernels#classes",
    "fidelity": "fidelity",
    "compare": "compare",
    "explain": "explain",
    "what_if": "what_if",
    "behaviour": "behaviour",
    "audit": "audit",
    "map": "map",
    "learn": "learn",
    "server": "server",
}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


def main(base: str, query: str) -> None:
    """Take all pages."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        for name, place in PAGES.items():
            path, _, heading = place.partition("#")
            page.set_viewport_size({"width": 1280, "height": {"explain": 2150, "classes": 900}.get(name, 1500)})
            page.goto(f"{base}/{path}{query}")
            page.wait_for_selector(IDLE, timeout=120_000)
            page.wait_for_timeout(4_000)  # figures draw after the script has ended
            page.wait_for_selector(IDLE, timeout=120_000)
            if heading:
                page.locator(f"#{heading}").evaluate("part => part.scrollIntoView()")
                page.wait_for_timeout(1_000)
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), "?study={}".format("&point=".join(sys.argv[2:4])) if len(sys.argv) > 2 else "")
