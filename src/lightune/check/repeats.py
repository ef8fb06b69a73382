"""What may not be combined with several runs of one configuration, and with an earlier run that is reproduced."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig

from lightune import machine
from lightune.errors import ConfigError
from lightune.numbers import is_whole

_LARGEST = 2**32 - 1  # seed that libraries take
_EXAMPLE = "type a number of seeds, such as seeds=5, or the seeds themselves: seeds=[1,2,3]"


def repeats(cfg: DictConfig) -> list[str]:
    """Return the keys that ask for several runs; none where one run is asked for."""
    folds = cfg.data.get("folds") is not None and cfg.data.get("fold") is None
    asked = {"seeds": cfg.get("seeds") is not None, "data.folds": folds}
    return [key for key, is_asked in asked.items() if is_asked and "checkpoint" not in cfg]


def _seeds_are_seeds(cfg: DictConfig) -> Iterator[ConfigError]:
    seeds = cfg.get("seeds")
    if seeds is None:
        return
    if "checkpoint" in cfg:
        yield ConfigError(f"seeds={seeds}: a checkpoint has one seed", "leave it out, or use train.py")
    elif isinstance(seeds, ListConfig):
        yield from _listed([*seeds])
    elif not is_whole(seeds) or seeds < 1:
        yield ConfigError(f"seeds={seeds}: expected a whole number of at least 1, or a list of seeds", _EXAMPLE)
    elif is_whole(cfg.seed) and cfg.seed + seeds - 1 > _LARGEST:
        yield ConfigError(f"seeds={seeds}: the last of them would be larger than {_LARGEST}", "type a smaller seed=…")


def _listed(seeds: list[Any]) -> Iterator[ConfigError]:
    named = f"seeds=[{','.join(map(str, seeds))}]"
    if not seeds:
        yield ConfigError(f"{named}: there is no seed in it", _EXAMPLE)
    for seed in seeds:
        if not is_whole(seed) or not 0 <= seed <= _LARGEST:
            yield ConfigError(f"{named}: {seed} is no whole number from 0 to {_LARGEST}", _EXAMPLE)
        elif seeds.count(seed) > 1:
            yield ConfigError(f"{named}: {seed} stands there twice, and would be the same run", _EXAMPLE)


def _fold_is_one_of_them(cfg: DictConfig) -> Iterator[ConfigError]:
    fold, folds = cfg.data.get("fold"), cfg.data.get("folds")
    if fold is not None and folds is None:
        yield ConfigError(f"data.fold={fold}: of how many folds?", f"type data.folds=5 data.fold={fold}")
    elif is_whole(fold) and is_whole(folds) and fold > folds:
        yield ConfigError(f"data.fold={fold}: there are {folds} folds", f"type a number from 1 to {folds}")


def _several_runs_begin_anew(cfg: DictConfig) -> Iterator[ConfigError]:
    asked = repeats(cfg)
    if not asked:
        return
    if cfg.resume is not None:
        yield ConfigError(
            f"{asked[0]} does not go with resume: a checkpoint belongs to one run",
            "type the same command with the same run_dir=…, which goes on with what is not finished; or leave out one",
        )
    if cfg.trainer.get("fast_dev_run"):
        yield ConfigError(
            f"{asked[0]} does not go with trainer.fast_dev_run: it leaves no numbers", "try it with one run"
        )
    if machine.is_started_from_outside():
        yield ConfigError(
            f"{asked[0]}: each process that torchrun or srun has started would start all runs",
            "let lightune start the processes, with trainer=ddp, or start one run at a time, with seed=…",
        )


def several_in_a_study(cfg: DictConfig) -> Iterator[ConfigError]:
    """Refuse several runs in place of a trial, which has an option of the study for that."""
    remedies = {
        "seeds": f"type hydra.sweeper.seeds={cfg.get('seeds')}",
        "data.folds": "search on one fold: type data.fold=1 besides",
    }
    for key in repeats(cfg):
        yield ConfigError(f"{key}: a trial of a study is one run, or several by hydra.sweeper.seeds", remedies[key])


def _a_trial_is_one_run(cfg: DictConfig) -> Iterator[ConfigError]:
    if machine.trial():
        yield from several_in_a_study(cfg)


def _one_run_is_reproduced(cfg: DictConfig) -> Iterator[ConfigError]:
    if not cfg.get("reproduce"):
        return
    others = ["resume"] * (cfg.resume is not None) + repeats(cfg)
    others += ["trainer.fast_dev_run"] * bool(cfg.trainer.get("fast_dev_run"))
    if "checkpoint" in cfg:
        yield ConfigError(f"reproduce={cfg.reproduce}: only a training is run again", "use train.py")
    for key in others:
        yield ConfigError(f"reproduce does not go with {key}: it runs one run again, from its start", "leave out one")


RULES = (
    _seeds_are_seeds,
    _fold_is_one_of_them,
    _several_runs_begin_anew,
    _a_trial_is_one_run,
    _one_run_is_reproduced,
)
