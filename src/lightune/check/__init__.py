"""What may not be combined, and why. Needs no torch, so that a refusal comes in a fraction of a second.

Each rule is a generator over the composed configuration that yields one error for each thing it finds; the first is
raised. What only the model's own files can tell (its architecture where the configuration leaves it open, its module
names) is checked in the assembly room before weights are loaded.
"""

from omegaconf import DictConfig

from lightune import keys
from lightune.check import combination, data, hardware, methods, numbers, repeats, strategies
from lightune.check.combination import architecture_error
from lightune.check.rule import Rule

__all__ = ["architecture_error", "check", "check_multirun", "check_study"]

RULES: tuple[Rule, ...] = (
    keys.unknown,
    keys.missing,
    numbers.ranges,
    *data.RULES,
    *combination.RULES,
    *methods.RULES,
    *strategies.RULES,
    *hardware.RULES,
    *repeats.RULES,
)


def check(cfg: DictConfig, multirun: bool = False) -> None:
    """Refuse a configuration that cannot work.

    Args:
        cfg: The composed configuration.
        multirun: Whether Hydra runs several jobs inside this process.

    Raises:
        ConfigError: The first thing that is wrong, with what to type instead.
    """
    for rule in RULES:
        for error in rule(cfg):
            raise error
    if multirun:
        check_multirun(cfg)
    hardware.warn_of_slow_precision(cfg)


def check_multirun(cfg: DictConfig) -> None:
    """Refuse what cannot be done by several jobs inside one process.

    Args:
        cfg: The configuration of one job, or what all of them share.

    Raises:
        ConfigError: Each rank of a distributed job would start the whole multirun again.
    """
    if repeats.repeats(cfg):
        return  # each run is a process of its own
    for error in hardware.ranks_in_multirun(cfg):
        raise error


def check_study(cfg: DictConfig) -> None:
    """Refuse what cannot be done by the trials of a study.

    Args:
        cfg: What all of them share.

    Raises:
        ConfigError: Each trial would be several runs.
    """
    for error in repeats.several_in_a_study(cfg):
        raise error
