"""A configuration that continues from a checkpoint: the checkpoint's own, changed by what was typed and nothing else.

The composed configuration alone would not do: a YAML file may have changed since, and a default with it.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightune import checkpoint_card, overrides
from lightune.errors import CheckpointError, ConfigError
from lightune.instantiate import as_config, plain, refuse_untrusted
from lightune.keys import KEYS, referred

# Groups whose YAML lands in another place of the configuration than their name says; presets land everywhere.
_PLACES = {"precision": "trainer.precision", "strategy": "trainer.strategy"}
_PRESETS = ("experiment", "debug", "hparams_search")
# The keys and groups that a checkpoint's own overrides may name.
_OF_A_COMMAND = set(
    "trust paths run_dir resume reproduce checkpoint adapter merge combine output check plan plots".split()
)
_FROM_A_CHECKPOINT = (KEYS[""] | {"precision", "strategy", "experiment", "debug"}) - _OF_A_COMMAND
# What belongs to this command rather than to the run that wrote the checkpoint.
_OWN = (*sorted(_OF_A_COMMAND), "model.trust_remote_code", "split")
# An evaluation runs on the machine it is started on, without the training's callbacks and loggers.
_NOT_FOR_EVALUATION = ("trainer", "callbacks", "logger")


def continued(cfg: DictConfig, path: Path, commanded: Iterable[str]) -> DictConfig:
    """Return the checkpoint's configuration with the typed overrides on top.

    Args:
        cfg: Composed from the checkpoint's overrides and the typed ones.
        path: The checkpoint.
        commanded: Both, in this order.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or of another task, model or method than typed.
        ConfigError: Its configuration names code that is not trusted.
    """
    merged = changed(cfg, checkpoint_card.read(path), commanded)
    refuse_untrusted(plain(merged), cfg.trust)
    return merged


def changed(cfg: DictConfig, card: Mapping[str, Any], commanded: Iterable[str]) -> DictConfig:
    """Return an earlier run's configuration with the typed overrides on top.

    Args:
        cfg: Composed from that run's overrides and the typed ones.
        card: Its ``config`` and its ``overrides``.
        commanded: Both, in this order.
    """
    saved: dict[str, Any] = _moved(card["config"], card["config"].get("run_dir"), cfg.run_dir)
    earlier = {overrides.key_of(override): override for override in card["overrides"]}  # of equal keys the last counts
    typed = [override for override in commanded if earlier.get(overrides.key_of(override)) != override]
    merged = as_config(saved)
    taken = [*(place for place in _OWN if place in cfg or "." in place), *map(_place, typed)]
    for place in (*taken, *_dependents(cfg, taken, known=_leaves(saved))):
        _take(merged, cfg, place)
    if "checkpoint" in cfg:
        _for_evaluation(merged, cfg, typed)
    return merged


def _dependents(cfg: DictConfig, taken: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the places whose value is an interpolation that leads to one of those that are taken.

    The saved configuration holds resolved values: a typed ``data.test`` has to reach ``data.source.test`` as well.

    Args:
        cfg: The composed configuration, not resolved.
        taken: Places whose composed value is taken.
        known: Places that the saved configuration has.
    """
    leaves = _leaves(OmegaConf.to_container(cfg, resolve=False))
    found: list[str] = []
    reached = list(taken)
    while reached:
        now = [
            leaf
            for leaf, value in leaves.items()
            if leaf not in found and any(_overlap(name, place) for name in referred(value) for place in reached)
        ]
        found += now
        reached = now
    return [leaf for leaf in found if leaf in known]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _leaves(node: Any, place: str = "") -> dict[str, Any]:
    """Return dotted place → value; a list is a value, and so is an empty mapping."""
    if not isinstance(node, Mapping) or not node:
        return {place: node}
    nested = [_leaves(value, f"{place}.{key}" if place else str(key)) for key, value in node.items()]
    return {leaf: value for leaves in nested for leaf, value in leaves.items()}


def _moved(content: Any, old: str | None, new: str | None) -> Any:
    """Return the configuration with every path inside the old run folder pointing into the new one."""
    if not old or not new or old == new:
        return content
    if isinstance(content, Mapping):
        return {key: _moved(value, old, new) for key, value in content.items()}
    if isinstance(content, list):
        return [_moved(value, old, new) for value in content]
    inside = isinstance(content, str) and (content == old or content.startswith(f"{old}/"))
    return new + content[len(old) :] if inside else content


def _for_evaluation(merged: DictConfig, cfg: DictConfig, typed: Iterable[str]) -> None:
    precision = merged.trainer.precision
    for place in _NOT_FOR_EVALUATION:
        _take(merged, cfg, place)
    merged.callbacks = {key: node for key, node in (cfg.callbacks or {}).items() if key == "progress_bar"}
    merged.logger = {}
    # The same numbers want the same precision, unless another one is asked for.
    if not any(_place(override) == "trainer.precision" for override in typed):
        merged.trainer.precision = precision


def _place(override: str) -> str:
    key = override.lstrip("+~").split("=", 1)[0].split("@")[0].replace("/", ".")
    return _PLACES.get(key, key)


def _take(merged: DictConfig, cfg: DictConfig, place: str) -> None:
    value = OmegaConf.select(cfg, place, default=None)
    plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    OmegaConf.update(merged, place, plain, merge=False, force_add=True)


def refuse_other_choices(card: Mapping[str, Any], typed: Mapping[str, str], key: str) -> None:
    """Raise CheckpointError where a typed choice is not the one the checkpoint was trained with.

    Args:
        card: Of the checkpoint.
        typed: Group → option, as typed.
        key: ``resume`` or ``checkpoint``, for the message.
    """
    for group in ("task", "model", "peft"):
        trained = card.get("choices", {}).get(group)
        if group in typed and trained is not None and typed[group] != trained:
            raise CheckpointError(
                f"{key}: that checkpoint was trained with {group}={trained}, and {group}={typed[group]} was typed",
                f"leave out {group}={typed[group]}, or name a checkpoint that fits",
            )


def refuse_presets(typed: Iterable[str]) -> None:
    """Raise ConfigError where a preset is to be laid over an earlier run: what it would set is not known here.

    Args:
        typed: Overrides that the earlier run did not have.
    """
    for override in typed:
        if _place(override) in _PRESETS:
            raise ConfigError(
                f"{override}: a preset cannot be laid over an earlier run's configuration",
                "type the keys that it sets, such as trainer.max_epochs=1",
            )


def earlier_overrides(card: Mapping[str, Any], replaced: Collection[str]) -> list[str]:
    """Return the overrides of the run that wrote a checkpoint, as far as another command may take them over.

    Composing is not harmless: Hydra starts its own callbacks and launchers, and ``trust`` decides which code may run. A
    checkpoint from elsewhere may choose among lightune's keys and groups, and nothing else.

    Args:
        card: Of the checkpoint.
        replaced: Keys that have another value now.
    """
    return [text for text in card["overrides"] if _may_be_composed(text, replaced)]


def _may_be_composed(text: str, replaced: Collection[str]) -> bool:
    override = overrides.parsed(text)
    if override is None or text.startswith("-") or "trust_remote_code" in text:
        return False
    places = (override.key_or_group, override.package or override.key_or_group)
    allowed = all(place.replace("/", ".").split(".")[0] in _FROM_A_CHECKPOINT for place in places)
    return allowed and override.key_or_group not in replaced
