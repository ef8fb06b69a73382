"""The report in a browser: it is quiet, loads nothing, and sorts, filters, smooths and tells what the mouse is on."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightune.report.runs.command import write
from tests import running
from tests.browsing import DESKTOP, PHONE, Visit, chromium, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

NAMES = ["full/1", "full/2", "lora"]
CURVES = "Curves: classification"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def place(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write([three], tmp_path_factory.mktemp("browsed") / "page.html")


@pytest.fixture(scope="module")
def seen(browser: "Browser", place: Path) -> Iterator[Visit]:
    """Return the page on a desktop. Whoever changes it has it as it was afterwards, or does not mind how it was."""
    with visit(browser, place) as opened:
        yield opened


def figure(seen: Visit) -> "Locator":
    """Return the figure of the train loss against steps."""
    return seen.section(CURVES).locator(".figure").first


def drawn(seen: Visit) -> list[dict[str, Any]]:
    """Return its lines: the values that they have now, and the paths that are drawn."""
    paths = "[...box.querySelectorAll('.scatterlayer .js-line')].map((line) => line.getAttribute('d'))"
    lines: list[dict[str, Any]] = figure(seen).evaluate(
        f"box => {{ const paths = {paths}; return box.data.map((line, i) => ({{ y: line.y, path: paths[i] }})); }}"
    )
    return lines


def test_a_desktop_shows_all_of_it(seen: Visit) -> None:
    assert seen.page.locator(".figure").count() > 5
    assert seen.page.locator(".figure:not(:has(.main-svg))").count() == 0
    assert seen.width() <= DESKTOP[0]


@pytest.mark.parametrize(("scheme", "ground"), [("dark", "rgb(0, 0, 0)"), ("light", "rgb(255, 255, 255)")])
def test_the_page_is_as_light_as_its_reader_likes(scheme: Any, ground: str, seen: Visit) -> None:
    seen.page.emulate_media(color_scheme=scheme)
    assert seen.ground() == ground


def test_a_click_sorts_numbers_and_another_turns_them_round(seen: Visit, three: Path) -> None:
    values = {name: running.metrics(three / name)["params/trainable"] for name in NAMES}
    assert values["lora"] < values["full/1"] == values["full/2"]
    seen.sort("Runs", "trained")
    assert seen.cells("Runs", "run") == ["lora", "full/1", "full/2"]
    assert seen.cells("Runs", "trained") == [f"{value:,}" for value in sorted(values.values())]
    seen.sort("Runs", "trained")
    assert seen.cells("Runs", "run") == ["full/1", "full/2", "lora"]


def test_a_click_sorts_texts_and_another_turns_them_round(seen: Visit) -> None:
    seen.sort("Runs", "run")
    assert seen.cells("Runs", "run") == NAMES
    heading = seen.section("Runs").locator("th").first
    assert heading.get_attribute("aria-sort") == "ascending"
    seen.sort("Runs", "run")
    assert seen.cells("Runs", "run") == NAMES[::-1]
    assert heading.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize(
    ("typed", "left", "says"),
    [
        ("lora", ["lora"], "1 of 3"),
        ("-lora", NAMES[:2], "2 of 3"),
        ("FULL tiny -full/2", ["full/1"], "1 of 3"),
        ("nowhere", [], "0 of 3"),
        ("", NAMES, ""),
    ],
)
def test_the_filter_leaves_rows_with_these_words_and_without_those(
    typed: str, left: list[str], says: str, seen: Visit
) -> None:
    box = seen.section("Runs").get_by_role("searchbox")
    box.fill(typed)
    assert sorted(seen.cells("Runs", "run")) == left
    assert seen.section("Runs").locator("output").inner_text() == says
    assert seen.section("Runs").locator("tbody tr:visible").count() == len(left)
    box.fill("")


def test_the_mouse_on_a_curve_shows_its_run_and_value(seen: Visit, three: Path) -> None:
    plot = figure(seen).locator(".nsewdrag").first
    plot.scroll_into_view_if_needed()
    room = plot.bounding_box()
    assert room is not None
    seen.page.mouse.move(room["x"] + room["width"] / 2, room["y"] + room["height"] / 2)
    label = figure(seen).locator(".hovertext")
    label.first.wait_for()
    losses = {f"{loss:.4f}" for name in NAMES for loss in running.losses(three / name)}
    shown = [text for text in label.all_text_contents() if "seed" in text]
    assert shown
    assert all(text.split(": ")[1].split(" at ")[0] in losses for text in shown), shown


def test_the_slider_smooths_what_is_drawn(seen: Visit) -> None:
    raw = drawn(seen)
    slider = seen.section(CURVES).get_by_role("slider")
    slider.fill("0.5")
    seen.page.wait_for_function("box => box.data[0].y[1] !== box.raw[0][1]", arg=figure(seen).element_handle())
    first, second = raw[0]["y"][:2]
    smooth = drawn(seen)
    assert smooth[0]["y"][:2] == pytest.approx([first, (0.5 * first + second) / 1.5])
    assert all(line["path"] != before["path"] for line, before in zip(smooth, raw, strict=True))
    slider.fill("0")
    seen.page.wait_for_function("box => box.data[0].y[1] === box.raw[0][1]", arg=figure(seen).element_handle())
    assert drawn(seen) == raw


def test_a_name_in_the_legend_hides_the_lines_of_its_system(seen: Visit) -> None:
    lines = "box => box.querySelectorAll('.scatterlayer .js-line').length"
    assert figure(seen).evaluate(lines) == 3
    for left in (1, 3):
        figure(seen).locator(".legendtoggle").first.click()
        seen.page.wait_for_function(f"{lines} === {left}", arg=figure(seen).element_handle())


def test_nothing_was_complained_of_and_nothing_asked_for(seen: Visit, place: Path) -> None:
    assert seen.complaints == []
    assert seen.requests == [place.as_uri()]


def test_a_phone_shows_all_of_it_and_a_finger_scrolls(browser: "Browser", place: Path) -> None:
    with visit(browser, place, PHONE, has_touch=True, is_mobile=True, color_scheme="dark") as phone:
        assert phone.width() <= PHONE[0]
        assert figure(phone).evaluate("box => box.layout.dragmode") is False
        assert phone.complaints == []
        assert phone.requests == [place.as_uri()]
