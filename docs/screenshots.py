"""The pictures of these pages, taken of a Dagster UI that is up.

pip install -e '.[screenshots]'; apt-get install chromium
python docs/screenshots.py http://127.0.0.1:3000 BACKFILL_ID
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
GROUPS = ",".join(f"global@global:{name}" for name in ("raw", "silver", "gold"))
SHOWN = '+key:"gold/pipeline_by_account" or +key:"gold/case_resolution"'


def take(page: Page, name: str) -> None:
    """Take one picture once the page has come to rest."""
    page.wait_for_timeout(5000)
    page.screenshot(path=IMAGES / f"{name}.png")


def main(url: str, backfill: str) -> None:
    """Take the pictures: part of the graph, an asset's checks, a gold table, a backfill."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{url}/asset-groups?expanded={GROUPS}")
        page.locator(".CodeMirror").first.click()
        page.keyboard.insert_text(SHOWN)
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        take(page, "graph")
        page.goto(f"{url}/assets/silver/opportunity?view=checks")
        take(page, "checks")
        page.goto(f"{url}/assets/gold/case_resolution")
        take(page, "gold")
        page.goto(f"{url}/runs/b/{backfill}")
        take(page, "backfill")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
