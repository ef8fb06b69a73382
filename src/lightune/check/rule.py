"""What a rule is: a generator over the composed configuration that yields one error for each thing it finds."""

from collections.abc import Callable, Iterator

from omegaconf import DictConfig

from lightune.errors import ConfigError

Rule = Callable[[DictConfig], Iterator[ConfigError]]
# The groups whose combinations are examined as a whole; a rule about them says which of them it looks at.
GROUPS = ("task", "model", "peft", "precision", "strategy", "trainer")
_READ: dict[Rule, tuple[str, ...]] = {}


def reads(*groups: str) -> Callable[[Rule], Rule]:
    """Note which groups decide what a rule says.

    Args:
        *groups: Names of `GROUPS`.
    """

    def noted(rule: Rule) -> Rule:
        _READ[rule] = groups
        return rule

    return noted


def groups_of(rule: Rule) -> tuple[str, ...]:
    """Return the groups that a rule looks at; none where it is about single keys."""
    return _READ.get(rule, ())
