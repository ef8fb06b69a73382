"""What is printed."""

import pytest

from lightune.report import show


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (4.25, "4.2 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (187.4, "3 min 07 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (93_784, "26 h 03 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, shown: str) -> None:
    assert show.duration(seconds) == shown


def test_a_table_has_its_numbers_on_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    show.table("Scores", ["label", "f1", "count"], [("a", 0.5, 7), ("longer", 0.12345, 1234567)])
    out = capsys.readouterr().out
    assert out.startswith("Scores")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert rows == [["a", "0.5000", "7"], ["longer", "0.1235", "1,234,567"]]
    assert "│ 0.5000 │         7 │" in out


def test_a_table_may_be_empty_or_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    show.table("Empty", ["a"], [])
    show.table("Mixed", ["a", "b"], [(True, "x"), (None, 1)])
    out = capsys.readouterr().out
    assert "True" in out
    assert "None" in out


def test_lines_to_be_copied_are_never_wrapped_or_marked_up(capsys: pytest.CaptureFixture[str]) -> None:
    command = "python eval.py checkpoint=" + "x" * 300 + "[bold]"
    show.lines("Next", {"evaluate": command, "use": "y"})
    show.note("[red]" + "z" * 300)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["", "Next", f"  evaluate  {command}", "  use       y", "[red]" + "z" * 300]
