"""From what is typed or written under ``hydra.sweeper.params`` to Optuna's distributions."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lightune.errors import ConfigError

_LOG = "log"  # the tag of an interval whose logarithm is uniform
_TYPES: dict[str, Callable[..., BaseDistribution]] = {
    "float": FloatDistribution,
    "int": IntDistribution,
    "categorical": CategoricalDistribution,
}


@dataclass(frozen=True)
class Space:
    """What trials differ in, and what they have in common.

    Args:
        searched: Key, as it stands before the ``=`` of an override → where its values come from.
        fixed: Overrides of every trial, as they were typed.
    """

    searched: Mapping[str, BaseDistribution] = field(default_factory=dict)
    fixed: Sequence[str] = ()

    def grid(self) -> dict[str, list[Any]]:
        """Return every value of each key.

        Raises:
            ConfigError: Between the ends of an interval there are more than can be gone through.
        """
        return {key: _values(key, distribution) for key, distribution in self.searched.items()}


def space(
    params: Mapping[str, Any],
    typed: Iterable[str],
    described: Mapping[str, Any] | None = None,
    loader: ConfigLoader | None = None,
) -> Space:
    """Read a search space; a key that is typed replaces the same one of the configuration.

    Args:
        params: Key → what would stand behind its ``=`` on a command line, such as ``tag(log, interval(1e-5, 1e-2))``.
        typed: Overrides.
        described: Key → its values, as `described_distribution` takes them, where there are no params.
        loader: Knows the options of config groups, for ``peft=glob(lora*)``.

    Raises:
        ConfigError: A word cannot be read, or a range is empty.
    """
    words = [*(f"{key}={value}" for key, value in params.items()), *typed]
    overrides = {_key(override): override for override in _parsed(words, loader)}
    entries = {} if params or not described else {str(key): entry for key, entry in described.items()}
    searched = {key: described_distribution(key, entry) for key, entry in entries.items() if key not in overrides}
    searched |= {key: distribution(o) for key, o in overrides.items() if o.is_sweep_override()}
    fixed = tuple(str(o.input_line) for o in overrides.values() if not o.is_sweep_override())
    return Space(searched, fixed)


def _parsed(words: Sequence[str], loader: ConfigLoader | None) -> list[Override]:
    parser, overrides = OverridesParser.create(), []
    for word in words:
        try:
            override = parser.parse_override(word)
            override.config_loader = loader
            overrides.append(override)
        except HydraException as error:
            problem = str(error).splitlines()[0]
            raise ConfigError(f"{word}: this cannot be read as key=values ({problem})", _EXAMPLES) from error
    return overrides


_EXAMPLES = "type for instance key=choice(a,b), key=range(1,9), or key='tag(log, interval(1e-5,1e-2))'"


def _key(override: Override) -> str:
    """Return what stands before the ``=``, with the signs that add or delete."""
    sign = "~" if override.is_delete() else "++" if override.is_force_add() else "+" if override.is_add() else ""
    return f"{sign}{override.get_key_element().lstrip('+~')}"


def distribution(override: Override) -> BaseDistribution:
    """Return where the values of an override come from.

    Args:
        override: Of several values: ``choice(…)``, ``a,b``, ``range(…)``, ``interval(…)``; with ``tag(log, …)``,
            ``int(…)``, ``shuffle(…)`` and so on round it.

    Raises:
        ConfigError: There are no values, or an interval has none between its ends.
    """
    value: Any = override.value()
    value.shuffle = False  # a study has to be given the same choices whenever it goes on, in the same order
    if override.is_interval_sweep():
        return _interval(override)
    if override.is_range_sweep():
        return _range(override)
    return _choice(override)


def described_distribution(key: str, entry: Mapping[str, Any]) -> BaseDistribution:
    """Return where values come from that are described as Hydra 1.1 had it.

    Args:
        key: Whose values they are.
        entry: ``type`` (float, int or categorical) with ``low``, ``high``, ``step`` and ``log``, or with ``choices``.

    Raises:
        ConfigError: Something is missing or wrong.
    """
    given = {name: value for name, value in entry.items() if name != "type" and value is not None}
    try:
        return _TYPES[str(entry.get("type"))](**given)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"hydra.sweeper.search_space.{key}: type, low and high, or choices, were expected ({error})",
            f"write hydra.sweeper.params instead, for instance {key}: interval(0, 1)",
        ) from error


def _choice(override: Override) -> CategoricalDistribution:
    # Encoded as they would be typed: lists and mappings are choices too.
    values = [_plain(value) for value in override.sweep_iterator(transformer=Transformer.encode)]
    if not values:
        raise ConfigError(f"{override.input_line}: there is nothing to choose from", _EXAMPLES)
    return CategoricalDistribution(list(dict.fromkeys(values)))


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _interval(override: Override) -> BaseDistribution:
    value: Any = override.value()
    assert isinstance(value, IntervalSweep)
    low, high, log = value.start, value.end, _LOG in value.tags
    if low is None or high is None or not low < high or (log and low <= 0):
        above = " above 0" if log else ""
        raise ConfigError(
            f"{override.input_line}: expected an interval from a smaller to a larger number{above}", _EXAMPLES
        )
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(override: Override) -> BaseDistribution:
    """Return the numbers of a range; its end is not among them, as Hydra has it."""
    value: Any = override.value()
    assert isinstance(value, RangeSweep)
    if value.start is None or value.stop is None or not value.step:
        raise ConfigError(f"{override.input_line}: expected range(start, stop) or range(start, stop, step)", _EXAMPLES)
    start, stop, step = (Decimal(str(number)) for number in (value.start, value.stop, value.step))
    count = math.ceil((stop - start) / step)
    if count < 1:
        raise ConfigError(f"{override.input_line}: no number lies in that range", _EXAMPLES)
    if getattr(value, "transformers", ()):  # texts made of numbers, in newer releases of Hydra
        return _choice(override)
    low, high = sorted((start, start + (count - 1) * step))
    if all(isinstance(number, int) for number in (value.start, value.stop, value.step)):
        return IntDistribution(int(low), int(high), step=int(abs(step)))
    return FloatDistribution(float(low), float(high), step=float(abs(step)))


def _values(key: str, found: BaseDistribution) -> list[Any]:
    if isinstance(found, CategoricalDistribution):
        return list(found.choices)
    if isinstance(found, IntDistribution) and not found.log:
        return list(range(found.low, found.high + 1, found.step))
    if isinstance(found, FloatDistribution) and found.step is not None:
        low, high, step = (Decimal(str(number)) for number in (found.low, found.high, found.step))
        return [float(low + i * step) for i in range(int((high - low) / step) + 1)]
    raise ConfigError(
        f"{key}: a grid has to know every value, and an interval has any number of them",
        f"type {key}=choice(…) or {key}=range(start,stop,step)",
    )
