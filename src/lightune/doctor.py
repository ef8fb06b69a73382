"""What would work and what would not, without loading a weight: one configuration, or all of them.

python train.py check=true task=ner peft=lora     # this one
python -m lightune.doctor --csv doctor.csv        # every combination of the groups, on this machine
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from lightune import check, cli, overrides
from lightune.check.rule import GROUPS, groups_of
from lightune.errors import ConfigError, UserError
from lightune.instantiate import check_arguments, plain
from lightune.keys import RATES, TRAINERS_OWN
from lightune.report import show

# Whose arguments are all in the configuration, or are looked up when they are built.
_BOUND = ("task", "model", "tokenizer", "quantization", "peft", "scheduler", "callbacks", "logger")
# What an option may bring along, and rules about combinations look at.
_BROUGHT = ("task", "model", "tokenizer", "quantization", "optimizer", "peft", "trainer", "callbacks")
_ANY = "*"

Pair = tuple[str, str]  # a group and an option
Cell = Mapping[str, str]  # the same, of several groups


def verdict(cfg: DictConfig) -> None:
    """Say that nothing speaks against a configuration that has passed all rules.

    Raises:
        ConfigError: A class that it names is not there, or takes no argument of a name.
    """
    bind(cfg)
    show.note(
        "\nNothing speaks against it: keys, values, classes and their arguments, this combination, this machine.\n"
        "Not looked at: rows, files of weights, names of modules."
    )


def bind(cfg: DictConfig) -> None:
    """Compare every ``_target_`` with the signature of what it names."""
    for key in _BOUND:
        check_arguments(plain(cfg.get(key)), key)
    check_arguments({key: value for key, value in plain(cfg.trainer).items() if key not in TRAINERS_OWN}, "trainer")
    check_arguments(plain(cfg.data.get("source")), "data.source")
    optimizer = {key: value for key, value in plain(cfg.optimizer).items() if key not in RATES}
    check_arguments(optimizer, "optimizer")


@dataclass
class Examination:
    """All combinations of some groups' options.

    Args:
        options: Group → the names of its options.
        broken: What each option that cannot be composed by itself says.
        refusals: The combinations that a rule refuses: of the groups that it looks at, with what it says.
    """

    options: Mapping[str, Sequence[str]]
    broken: dict[str, UserError] = field(default_factory=dict)
    refusals: list[tuple[Cell, ConfigError]] = field(default_factory=list)

    @property
    def cells(self) -> int:
        """Number of combinations."""
        return prod(map(len, self.options.values()))

    def legal(self) -> Any:
        """Return for each combination whether nothing refuses it: an array with an axis a group."""
        return ~self._where(cell for cell, _ in self.refusals)

    def allows(self, cell: Cell) -> bool:
        """Return whether nothing refuses a combination of all groups."""
        return not any(refused.items() <= cell.items() for refused, _ in self.refusals)

    def counts(self) -> list[tuple[str, int]]:
        """Return what is said of combinations that cannot be, and of how many each."""
        said: dict[str, list[Cell]] = {}
        for cell, error in self.refusals:
            problem = error.problem.replace(f"task={cell.get('task')}", "task=…").partition(": it needs")[0]
            said.setdefault(problem, []).append(cell)
        counts = [(problem, int(self._where(cells).sum())) for problem, cells in said.items()]
        return sorted(counts, key=lambda pair: -pair[1])

    def _where(self, cells: Iterable[Cell]) -> Any:
        """Return which combinations belong to one of these, which may leave groups open."""
        found = np.zeros([len(names) for names in self.options.values()], dtype=bool)
        for cell in cells:
            found[tuple(names.index(cell[g]) if g in cell else slice(None) for g, names in self.options.items())] = True
        return found


def examine(conf: Path) -> Examination:
    """Compose every option of the groups, and let every rule look at all combinations of those that it is about.

    Args:
        conf: The folder of the configuration.
    """
    cli.register_resolvers()
    found = Examination({group: _options(conf / group) for group in GROUPS})
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        default_cfg = compose("train")
        pieces = dict(_composed(found))
    for (group, option), cfg in pieces.items():
        found.refusals += [({group: option}, error) for error in _about_itself(cfg)]
    raw = {pair: _raw(cfg) for pair, cfg in pieces.items()}
    default = _raw(default_cfg)
    brought = {pair: _brought(content, default) for pair, content in raw.items()}
    for rule in filter(groups_of, check.RULES):
        for options in product(*(found.options[group] for group in groups_of(rule))):
            cell = dict(zip(groups_of(rule), options, strict=True))
            if all(pair in pieces for pair in cell.items()):
                refused: Any = rule(_Combined(default_cfg, pieces, brought, cell))  # type: ignore[arg-type]
                found.refusals += [(cell, error) for error in refused]
    return found


class _Combined:
    """As much of a combination's configuration as rules about combinations look at, put together without copies."""

    def __init__(
        self,
        default: DictConfig,
        pieces: Mapping[Pair, DictConfig],
        brought: Mapping[Pair, Sequence[str]],
        cell: Cell,
    ) -> None:
        found = {key: default.get(key) for key in _BROUGHT}
        for pair in cell.items():
            found |= {key: pieces[pair].get(key) for key in brought[pair]}
        found |= {group: pieces[group, option][group] for group, option in cell.items() if group in found}
        within = [group for group in cell if group not in found]  # precision and strategy are the trainer's
        if within:
            own = {group: pieces[group, cell[group]].trainer[group] for group in within}
            found["trainer"] = OmegaConf.merge(found["trainer"], own)
        self.__dict__.update(found)

    def get(self, key: str, default: Any = None) -> Any:
        return self.__dict__.get(key, default)


def _options(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("[!_]*.yaml"))


def _composed(found: Examination) -> Iterator[tuple[Pair, DictConfig]]:
    """Yield each option's configuration, everything else as it is by default."""
    for group, options in found.options.items():
        for option in options:
            try:
                yield (group, option), compose("train", [f"{group}={overrides.quoted(option)}"])
            except HydraException as error:
                found.broken[f"{group}={option}"] = cli.explain(error)


def _about_itself(cfg: DictConfig) -> Iterator[ConfigError]:
    for rule in check.RULES:
        if not groups_of(rule):
            yield from rule(cfg)
    try:
        bind(cfg)
    except ConfigError as error:
        yield error


def _raw(cfg: DictConfig) -> dict[str, Any]:
    content: Any = OmegaConf.to_container(cfg, resolve=False)
    return content


def _brought(content: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    """Return what an option changes besides its own group."""
    return [key for key in _BROUGHT if content[key] != default[key]]


def main() -> None:
    """Examine all combinations, print why which cannot be, and exit with status 1 where an option is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="the folder of the configuration")
    parser.add_argument("--csv", type=Path, help="where to write every combination that cannot be")
    options = parser.parse_args()
    began = time.perf_counter()
    found = examine(options.conf)
    legal = int(found.legal().sum())
    names = " x ".join(f"{len(options)} {group}" for group, options in found.options.items())
    show.table("What cannot be, and why", ["reason", "combinations"], found.counts())
    show.note(f"{legal:,} of {found.cells:,} combinations can be run on this machine ({names}).")
    show.note(f"{time.perf_counter() - began:.0f} s")
    if options.csv:
        _write(found, options.csv)
        show.note(f"Each of the others: {options.csv}")
    for option, error in found.broken.items():
        print(f"{option}: {error}", file=sys.stderr)
    sys.exit(1 if found.broken else 0)


def _write(found: Examination, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*GROUPS, "problem", "remedy"])
        for cell, error in found.refusals:
            rows.writerow([*(cell.get(group, _ANY) for group in GROUPS), error.problem, error.remedy])


if __name__ == "__main__":
    main()
