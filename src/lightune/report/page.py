"""A page for people, in one file: sections with tables and plotly figures, and all that a browser needs to show them.

Nothing is loaded from anywhere, and a browser is told to refuse to. plotly and Jinja are imported where a page is made.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Those of matplotlib's pictures, so that a colour means the same in both.
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
SMOOTHED = "smoothed"  # `meta` of a figure's lines that a section's slider smooths
_MARGINS = {"l": 10, "r": 10, "t": 24, "b": 10}  # pixels; axes add what their labels need


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Args:
        text: As it is shown.
        order: What it is sorted by; None: its text.
        link: Where a click leads, relative to the page.
    """

    text: str
    order: float | None = None
    link: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows that a click on a column's name sorts.

    Args:
        columns: Their names.
        rows: Each with a cell a column.
        filtered: Whether rows can be looked for by their words.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    filtered: bool = False


@dataclass(frozen=True)
class Drawing:
    """A figure and the room it needs.

    Args:
        figure: Of plotly.
        height: Pixels.
        width: Pixels that it has at least; where the page has fewer it scrolls in a box of its own.
    """

    figure: "Figure"
    height: int = 380
    width: int = 0

    def json(self) -> str:
        """Return it as plotly.js reads it, safe inside a script element; the page holds the template of all figures."""
        from plotly.io.json import to_json_plotly

        content: dict[str, Any] = self.figure.to_plotly_json()
        content["layout"].pop("template", None)
        return str(to_json_plotly(content))


@dataclass(frozen=True)
class Picture:
    """A picture that the page holds.

    Args:
        png: Its content.
        shows: What it shows, for those who do not see it.
    """

    png: bytes
    shows: str

    @property
    def address(self) -> str:
        """Return the picture as an address."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        title: Its heading, unlike that of any other.
        text: A sentence or two below it.
        facts: Name → what there is to say.
        code: Commands to copy.
        drawings: Side by side where there is room.
        pictures: One below the other.
        table: Below all.
        smoothing: Whether a slider smooths those lines whose `meta` says so.
    """

    title: str
    text: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    drawings: Sequence[Drawing] = ()
    pictures: Sequence[Picture] = ()
    table: Table | None = None
    smoothing: bool = False

    @property
    def anchor(self) -> str:
        """What a link to it ends with."""
        return "-".join(self.title.lower().split())


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return a page as HTML.

    Args:
        title: Its heading.
        lead: A sentence below it.
        sections: From top to bottom.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("lightune.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    drawn = any(section.drawings for section in sections)
    library, template = _plotly() if drawn else ("", "")
    return environment.get_template("page.html").render(
        title=title, lead=lead, sections=sections, library=library, template=template
    )


def _plotly() -> tuple[str, str]:
    """Return plotly.js and the look of all figures."""
    import plotly.io
    from plotly.io.json import to_json_plotly
    from plotly.offline import get_plotlyjs

    look: dict[str, Any] = plotly.io.templates["plotly_white"].to_plotly_json()
    clear = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}
    look["layout"] |= {**clear, "colorway": COLORS, "margin": _MARGINS}
    for axis in ("xaxis", "yaxis"):
        look["layout"][axis] |= {"exponentformat": "e", "automargin": True, "gridcolor": "#dde2e8"}
    return get_plotlyjs(), str(to_json_plotly(look))
