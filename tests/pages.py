"""A page read as a browser would: its sections, tables, links, figures and controls."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "input"}


@dataclass
class Part:
    """A section.

    Args:
        text: All of it.
        columns: Names of its table's columns.
        rows: Texts of its table's cells.
        links: Where its cells lead.
        figures: As plotly.js reads them.
        inputs: Classes of its controls.
    """

    text: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def cells(self, column: str) -> list[str]:
        """Return the texts of one column."""
        return [row[self.columns.index(column)] for row in self.rows]

    def lines(self, axis: str, name: str) -> list[dict[str, Any]]:
        """Return the lines of the figure with these titles of its axes."""
        titles = [[figure["layout"][key]["title"]["text"] for key in ("xaxis", "yaxis")] for figure in self.figures]
        return self.figures[titles.index([axis, name])]["data"]


class Page(HTMLParser):
    """A whole page; every element has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: dict[str, Part] = {}
        self.scripts: list[str] = []
        self._part = Part()
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "section":
            self._part = Part()
        elif tag == "input":
            self._part.inputs.append(found["class"])
        elif tag == "a" and "td" in self._open:
            self._part.links.append(found["href"])
        elif tag == "tr" and "tbody" in self._open:
            self._part.rows.append([])
        elif tag == "td":
            self._part.rows[-1].append("")
        elif tag == "script":
            self.scripts.append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open.pop() == tag
        if tag == "script" and "section" in self._open:
            self._part.figures.append(json.loads(self.scripts[-1]))

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self.scripts[-1] += data
            return
        self._part.text += data
        if inside == "h2":
            self.parts[data] = self._part
        elif inside == "button":
            self._part.columns.append(data)
        elif "td" in self._open:
            self._part.rows[-1][-1] += data
