"""The page in a real browser without a network: it says nothing on the console, its tables sort, its pictures show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import answer
from report_pages import HOSTILE, hostile

sync_api = pytest.importorskip("playwright.sync_api", reason="browsers are driven with the package 'playwright'")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

VALUES = """(table, place) => Array.from(table.tBodies[0].rows, row => row.cells[place].dataset.value ?? "")"""
TEXTS = """(table, place) => Array.from(table.tBodies[0].rows, row => row.cells[place].textContent)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # a sandbox cannot be made by root, as which tests may run
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a folder with hostile texts, and with a figure of them."""
    folder = tmp_path_factory.mktemp("browser")
    answer("report", "layers", hostile(folder / "run"), "--html", folder / "page.html")
    return folder / "page.html"


class Opened:
    """A page that is open, with what it said and asked for; `said` holds errors and whatever it wrote."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.context = browser.new_context(offline=True, **context)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("requestfailed", lambda request: self.said.append(request.url[:80]))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url[:80]))
        self.page.goto(file.as_uri())


@pytest.fixture(scope="module")
def opened(browser: Any, file: Path) -> Iterator[Opened]:
    found = Opened(browser, file)
    yield found
    found.context.close()


def table(opened: Opened, caption: str) -> Any:
    return opened.page.locator("table", has=opened.page.locator("caption", has_text=caption)).first


def place(of: Any, title: str) -> int:
    """Return where a column is."""
    found = of.evaluate(
        "(table, title) => Array.from(table.tHead.rows[0].cells).findIndex(one => one.textContent === title)", title
    )
    assert found >= 0
    return int(found)


def test_the_page_asks_for_nothing_and_reports_no_error(opened: Opened, file: Path) -> None:
    assert [url for url in opened.asked if not url.startswith("data:")] == [file.as_uri()]
    assert opened.said == []


def test_every_picture_shows(opened: Opened) -> None:
    widths = opened.page.evaluate("Array.from(document.images, image => image.complete && image.naturalWidth)")
    assert widths
    assert all(width > 100 for width in widths)


def test_hostile_names_stay_text(opened: Opened) -> None:
    assert opened.page.evaluate("window.pwned") is None
    assert opened.page.title().startswith(HOSTILE[0])
    assert opened.page.locator("h1").inner_text().startswith(HOSTILE[0])
    layers = table(opened, "Layers in the order")
    shown = layers.evaluate(TEXTS, 0)
    assert shown
    assert {name.replace("\u202e", "\\u202e") for name in HOSTILE} >= set(shown)
    assert (
        opened.page.locator("main script, main img[onerror], main iframe, main object, a:not([href^='#'])").count() == 0
    )


def test_a_click_on_a_heading_sorts_numbers_as_numbers_in_both_directions(opened: Opened) -> None:
    layers = table(opened, "Layers in the order")
    layers.evaluate("table => { table.closest('details').open = true; }")
    column = place(layers, "MACs")
    button, heading = layers.locator("thead button").nth(column), layers.locator("thead th").nth(column)
    written = [float(value) for value in layers.evaluate(VALUES, column)]
    total = layers.locator("tfoot").inner_text()
    button.click()
    assert [float(value) for value in layers.evaluate(VALUES, column)] == sorted(written)
    assert heading.get_attribute("aria-sort") == "ascending"
    button.click()
    assert [float(value) for value in layers.evaluate(VALUES, column)] == sorted(written, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    assert layers.locator("tfoot").inner_text() == total
    # texts of the numbers, such as "527", "403" and "91", have another order
    assert sorted(layers.evaluate(TEXTS, column)) != layers.evaluate(TEXTS, column)[::-1]


def test_a_key_sorts_as_a_click_does_and_texts_are_sorted_as_texts(opened: Opened) -> None:
    summary = table(opened, "Totals of each run")
    column = place(summary, "chip")
    summary.locator("thead button").nth(column).focus()
    before = summary.evaluate(TEXTS, column)
    opened.page.keyboard.press("Enter")
    assert summary.evaluate(TEXTS, column) == sorted(before)
    opened.page.keyboard.press("Space")
    assert summary.evaluate(TEXTS, column) == sorted(before, reverse=True)
    assert summary.locator("thead th[aria-sort]").count() == 1


def test_what_is_not_known_stays_last(opened: Opened) -> None:
    summary = table(opened, "Totals of each run")
    column = place(summary, "utilisation")
    summary.evaluate("(table, place) => { delete table.tBodies[0].rows[0].cells[place].dataset.value; }", column)
    for _ in range(2):
        summary.locator("thead button").nth(column).click()
        values = summary.evaluate(VALUES, column)
        assert values[-1] == ""
        assert "" not in values[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_but_tables_is_wider_than_the_window(browser: Any, file: Path, width: int) -> None:
    found = Opened(browser, file, viewport={"width": width, "height": 900})
    found.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        found.page.evaluate("Math.max(...Array.from(document.images, one => one.getBoundingClientRect().right))")
        <= width
    )
    found.context.close()


def test_without_script_everything_is_shown(browser: Any, file: Path) -> None:
    found = Opened(browser, file, java_script_enabled=False)
    assert found.page.locator("thead button").count() == 0
    assert found.page.locator("thead th", has_text="latency").first.is_visible()
    found.context.close()


@pytest.mark.slow
def test_text_has_contrast_in_light_and_dark(browser: Any, file: Path) -> None:
    for scheme in ("light", "dark"):
        found = Opened(browser, file, color_scheme=scheme)
        style = "one => [getComputedStyle(one).color, getComputedStyle(document.body).backgroundColor]"
        for selector in ("h1", "nav a", ".note", "td"):
            colours = [_luminance(one) for one in found.page.locator(selector).first.evaluate(style)]
            assert (max(colours) + 0.05) / (min(colours) + 0.05) >= 4.5, (scheme, selector)
        found.context.close()


def _luminance(colour: str) -> float:
    """Return the relative luminance of "rgb(R, G, B)" (WCAG 2.2)."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
