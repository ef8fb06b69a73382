"""Which runs ``seeds`` and ``data.folds`` ask for, and where each of them lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from omegaconf import DictConfig

from lightune import overrides
from lightune.instantiate import plain

# What each run has a value of its own for, or what belongs to all of them together.
_OWN = ("seed", "seeds", "data.fold", "run_dir")


@dataclass(frozen=True)
class Repeat:
    """One of several runs.

    Args:
        seed: Its own.
        fold: On which it validates; None where there are no folds.
        several_seeds: Whether others have another seed.
    """

    seed: int
    fold: int | None
    several_seeds: bool

    @property
    def name(self) -> str:
        """Its folder, below that of all runs: ``seed_42``, ``fold_1`` or ``seed_42/fold_1``."""
        seed = [f"seed_{self.seed}"] if self.several_seeds else []
        return "/".join([*seed, *([] if self.fold is None else [f"fold_{self.fold}"])])

    @property
    def words(self) -> list[str]:
        """Overrides that make the configuration its own."""
        return [f"seed={self.seed}", *([] if self.fold is None else [f"data.fold={self.fold}"])]


def planned(cfg: DictConfig) -> list[Repeat]:
    """Return the runs that a configuration asks for: of ``seeds=3`` those with `seed` and the two numbers after it."""
    seeds = plain(cfg.get("seeds"))
    if seeds is None:
        seeds = [cfg.seed]
    elif isinstance(seeds, int):
        seeds = range(cfg.seed, cfg.seed + seeds)
    folds = cfg.data.get("folds") if cfg.data.get("fold") is None else None
    numbers = range(1, folds + 1) if folds else [cfg.data.get("fold")]
    several = cfg.get("seeds") is not None
    return [Repeat(seed, fold, several) for seed, fold in product(seeds, numbers)]


def shared_words(cfg: DictConfig, typed: Sequence[str]) -> list[str]:
    """Return the overrides that all runs have in common.

    Args:
        cfg: Of all of them.
        typed: On the command line.
    """
    words = [word for word in typed if overrides.key_of(word) not in _OWN]
    in_a_file = cfg.get("seeds") is not None and not any(overrides.key_of(word) == "seeds" for word in typed)
    return [*words, "seeds=null"] if in_a_file else words  # a run of one seed must not ask for several again
