"""Overrides as words of a command line: what is quoted comes back as it was."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lightune import overrides

VALUES = [
    "runs/qa/2026-01-02_03-04-05",
    "my runs/a b",
    "a=b/c",
    "a,b",
    "[x]/{y}",
    "~/runs",
    'say "hi"',
    "it's",
    "C:\\runs\\x",
    "ends\\",
    "größe/東京#1",
    "null",
    "1e-4",
]


def hydra_reads(override: str) -> object:
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize("value", VALUES)
def test_hydra_reads_a_quoted_value_as_it_was(value: str) -> None:
    assert hydra_reads(f"key={overrides.quoted(value)}") == value


@pytest.mark.parametrize("value", VALUES)
def test_a_word_goes_through_the_shell_and_hydra(value: str) -> None:
    (typed,) = shlex.split(overrides.word("key", value))
    assert str(hydra_reads(typed)) in (value, str(float(value)) if value == "1e-4" else value)


@pytest.mark.parametrize(
    ("value", "word"),
    [("runs/a", "key=runs/a"), ("a b", "'key=a b'"), ("a=b", "'key=\"a=b\"'"), (5, "key=5"), ("x,y", "'key=\"x,y\"'")],
)
def test_a_word_is_quoted_only_where_it_has_to_be(value: object, word: str) -> None:
    assert overrides.word("key", value) == word


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ([], None),
        (["key=a"], "a"),
        (["key=a", "other=x", "key=b"], "b"),
        (["key=null"], None),
        (['key="a b"'], "a b"),
        (["key='a=b'"], "a=b"),
        (["key=a=b"], "a=b"),  # Hydra would refuse it; it is plain what is meant
        (["key=~/x"], "~/x"),
        (["key=3"], "3"),
        (["+key=a", "my.key=a", "keys=a"], None),
    ],
)
def test_the_last_value_typed_for_a_key(arguments: list[str], value: str | None) -> None:
    assert overrides.typed(arguments, "key") == value


@pytest.mark.parametrize(
    ("argument", "several"), [("key=1,2", True), ("key=range(1,3)", True), ('key="1,2"', False), ("key=[1,2]", False)]
)
def test_several_values_for_a_key(argument: str, several: bool) -> None:
    assert overrides.is_sweep([argument, "other=1,2"], "key") is several


@pytest.mark.parametrize(
    ("override", "key"),
    [("a.b=c", "a.b"), ("+a.b=c", "a.b"), ("++a=c=d", "a"), ("~a.b", "a.b"), ("a/b@c=d", "a/b@c")],
)
def test_the_key_of_an_override(override: str, key: str) -> None:
    assert overrides.key_of(override) == key


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ([], 0),
        (["a=1"], 0),
        (["-m", "a=1"], 1),
        (["--config-name", "mine", "a=1"], 2),
        (["--config-dir=x", "~a", "b=1"], 1),
        (["-m"], 1),
    ],
)
def test_the_first_override_of_a_command_line(arguments: list[str], place: int) -> None:
    assert overrides.first(arguments) == place


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["-m", "run_dir=out", "seed=1,2"], "out"),
        (["--multirun", "run_dir=a=b"], "a=b"),
        (["-m", 'run_dir="a,b"'], "a,b"),
        (["run_dir=out"], None),
        (["-m", "seed=1,2"], None),
        (["-m", "run_dir=a,b"], None),
        (["-m", "run_dir=out/${seed}", "seed=1,2"], None),
        (["-m", "run_dir=out", "hydra.sweep.dir=there"], "there"),
    ],
)
def test_what_belongs_to_all_jobs_lies_where_they_do(arguments: list[str], folder: str | None) -> None:
    assert overrides.typed(overrides.for_multirun(arguments), "hydra.sweep.dir") == folder
    assert overrides.for_multirun(arguments)[: len(arguments)] == arguments


def test_hydra_reads_overrides_on_both_sides_of_the_flag() -> None:
    assert overrides.for_multirun(["a=1", "-m", "b=2,3"]) == ["-m", "a=1", "b=2,3"]
    assert overrides.for_multirun(["--config-dir", "x", "a=1"]) == ["--config-dir", "x", "a=1"]
