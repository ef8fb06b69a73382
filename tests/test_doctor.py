"""check=true and the doctor: what they find, and that they say what the rules say."""

import csv
import random
import string
from collections.abc import Mapping
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lightune import check, cli, doctor, overrides
from lightune.check.rule import GROUPS
from lightune.errors import ConfigError
from tests import command, running

CONF = command.ROOT / "conf"
# What can be built here in seconds, in this very process.
SMALL = {"model": ("tiny", "tiny-decoder", "tiny-seq2seq"), "strategy": ("auto",), "trainer": ("default", "cpu")}


@pytest.fixture(scope="module")
def examination() -> doctor.Examination:
    return doctor.examine(CONF)


def drawn(
    examination: doctor.Examination, count: int, seed: int, within: Mapping[str, tuple[str, ...]]
) -> list[doctor.Cell]:
    """Return so many combinations, drawn at random."""
    draw = random.Random(seed)
    options = {group: within.get(group, tuple(names)) for group, names in examination.options.items()}
    return [{group: draw.choice(names) for group, names in options.items()} for _ in range(count)]


def is_legal(examination: doctor.Examination, cell: doctor.Cell) -> bool:
    place = tuple(examination.options[group].index(option) for group, option in cell.items())
    return bool(examination.legal()[place])


def problem_of(cfg: DictConfig) -> str | None:
    try:
        check.check(cfg)
    except ConfigError as error:
        return error.problem
    return None


def words(cell: doctor.Cell) -> list[str]:
    return [f"{group}={overrides.quoted(option)}" for group, option in cell.items()]


def test_every_option_can_be_composed(examination: doctor.Examination) -> None:
    assert not examination.broken
    assert list(examination.options) == list(GROUPS)
    assert examination.cells > 400_000


@pytest.mark.parametrize("within", [{}, SMALL], ids=["any", "small"])
def test_it_says_what_the_rules_say(within: Mapping[str, tuple[str, ...]], examination: doctor.Examination) -> None:
    cli.register_resolvers()
    said = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for cell in drawn(examination, 40, seed=1, within=within):
            said.append(problem_of(compose("train", words(cell))))
            assert is_legal(examination, cell) is (said[-1] is None), cell
            noted = {error.problem for refused, error in examination.refusals if refused.items() <= cell.items()}
            assert said[-1] is None or said[-1] in noted
    assert None in said
    assert len(set(said)) > 3


def test_what_is_legal_takes_a_step(examination: doctor.Examination, tmp_path: Path) -> None:
    legal = [cell for cell in drawn(examination, 200, seed=2, within=SMALL) if is_legal(examination, cell)]
    for number, cell in enumerate(legal[:12]):
        typed = [*words(cell), *SMALL_DATA, f"run_dir={tmp_path / str(number)}"]
        outcome = command.run("train", typed, tmp_path)
        assert outcome.status == 0, f"{' '.join(words(cell))}: {outcome.err}"


SMALL_DATA = (
    "data.limit={train: 8, val: 4, test: 4}",
    "data.batch_size=4",
    "data.max_length=160",
    "trainer.max_steps=1",
)


def test_counts_and_rows_add_up(examination: doctor.Examination, tmp_path: Path) -> None:
    legal = examination.legal()
    assert legal.size == examination.cells
    assert max(count for _, count in examination.counts()) <= examination.cells - legal.sum()
    doctor._write(examination, tmp_path / "doctor.csv")
    with (tmp_path / "doctor.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(examination.refusals)
    bitfit = [row for row in rows if row["peft"] == "bitfit"]
    assert {row["model"] for row in bitfit} == {"smollm2", "tiny-decoder", "tiny-seq2seq", "t5-small"}
    assert all(row["task"] == row["trainer"] == "*" for row in bitfit)
    assert all(row["problem"] and row["remedy"] for row in rows)


def test_a_configuration_is_checked_and_nothing_done(tmp_path: Path) -> None:
    outcome = command.run("train", [*running.SMALL, "task=ner", "check=true", f"run_dir={tmp_path / 'run'}"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Nothing speaks against it" in outcome.out
    assert not (tmp_path / "run").exists()


TYPED = (
    "task=classification",
    "model=minilm",
    "peft=adalora",
    "optimizer=schedule_free",
    "scheduler=constant",
    "precision=bf16-mixed",
    "trainer=ddp_cpu",
    "data.max_length=160",
    "peft.target_modules=auto",
    "peft.config.target_r=4",
    "optimizer.weight_decay=0.1",
    "trainer.max_epochs=2",
    "callbacks.early_stopping.patience=2",
    "+peft.config.use_rslora=true",
    "task.monitor=f1_macro",
)


def mistyped(seed: int) -> list[str]:
    """Return a command with one letter of a name doubled, left out or exchanged."""
    draw, typed = random.Random(seed), list(TYPED)
    number = draw.randrange(len(typed))
    key, _, value = typed[number].partition("=")
    group = "." not in key
    word = value if group else key.rpartition(".")[2]
    place = draw.randrange(1, len(word))
    letter = draw.choice([c for c in string.ascii_lowercase if c != word[place]])
    wrong = draw.choice(
        [
            word[:place] + word[place:][1:],
            word[:place] + letter + word[place + 1 :],
            word[:place] + letter + word[place:],
        ]
    )
    typed[number] = f"{key}={wrong}" if group else f"{key.removesuffix(word)}{wrong}={value}"
    return typed


def test_the_command_is_right_without_a_slip(tmp_path: Path) -> None:
    outcome = command.run("train", [*TYPED, "check=true"], tmp_path)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize("seed", range(20))
def test_a_slip_of_a_letter_is_caught(seed: int, tmp_path: Path) -> None:
    typed = mistyped(seed)
    (wrong,) = set(typed) - set(TYPED)
    outcome = command.run("train", [*typed, "check=true"], tmp_path)
    assert outcome.status == 1, wrong
    assert wrong.partition("=")[0].lstrip("+") in outcome.err
    assert "→" in outcome.err
