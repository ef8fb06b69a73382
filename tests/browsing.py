"""Pages opened in a real browser without a window, and what it complained of.

Playwright drives a Chromium that is installed on the machine; it downloads none.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

VARIABLE = "LIGHTUNE_CHROMIUM"
DESKTOP, PHONE = (1280, 900), (390, 844)
_PATIENCE = 180_000  # milliseconds: half a dozen figures take five seconds of a core, which may be shared
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """Return where Chromium lies: what LIGHTUNE_CHROMIUM names, or the first one that the shell would find."""
    return os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Start a browser for some tests, which are skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'lightune[dev]'")
    path = executable()
    if path is None:
        pytest.skip(f"no Chromium is installed: apt-get install chromium, or name one in {VARIABLE}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open.

    Args:
        page: As Playwright drives it.
        complaints: Errors and warnings of the console, and exceptions that nothing caught.
        requests: Addresses that were asked for.
    """

    page: "Page"
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def section(self, title: str) -> "Locator":
        """Return the section with this heading."""
        return self.page.locator("section").filter(has=self.page.get_by_role("heading", name=title, exact=True))

    def cells(self, title: str, column: str) -> list[str]:
        """Return the texts of a column of a section's table, of the rows that are shown."""
        table = self.section(title).locator("table")
        number = [name.rstrip(" ↑↓") for name in table.locator("th").all_inner_texts()].index(column)
        return table.locator(f"tbody tr:not([hidden]) td:nth-child({number + 1})").all_inner_texts()

    def sort(self, title: str, column: str) -> None:
        """Click on a column's name."""
        self.section(title).locator("th button", has_text=re.compile(f"^{re.escape(column)}$")).click()

    def width(self) -> int:
        """Return the pixels that the page would need, were it to be seen without scrolling sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def ground(self) -> str:
        """Return the colour that the page is drawn on."""
        return str(self.page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor"))


@contextmanager
def visit(browser: "Browser", place: Path, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Visit]:
    """Open a file, and wait until all of its figures are drawn.

    Args:
        browser: That has been started.
        place: Of the page.
        size: Width and height of the window in pixels.
        **options: Further ones of ``Browser.new_context``.
    """
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    seen = Visit(context.new_page())
    page = seen.page
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.set_default_timeout(_PATIENCE)
    page.goto(place.as_uri(), wait_until="commit")
    page.locator("body[data-drawn]").wait_for()
    yield seen
    context.close()
