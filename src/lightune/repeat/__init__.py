"""One configuration run several times: with other seeds, on other folds, or once more, to see the same numbers."""

from omegaconf import DictConfig

from lightune.check.repeats import repeats


def room(cfg: DictConfig) -> str | None:
    """Return the module that does what a configuration asks for, None where that is one new run."""
    if cfg.get("reproduce"):
        return "repeat.reproduction"
    return "repeat.series" if repeats(cfg) else None
