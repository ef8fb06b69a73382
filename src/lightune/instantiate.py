"""From a configuration node to an object, with every argument checked against the signature first."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from lightune.errors import ConfigError, UserError, nearest

_NOT_FOUND = (ImportError, AttributeError, ValueError, InstantiationException)
# Packages that are not always there → the extra that brings them.
_EXTRAS = {"pytorch_optimizer": "optimizers", "schedulefree": "optimizers", "bitsandbytes": "quant", "torchao": "quant"}
# What a checkpoint's configuration may build. Whole packages are never listed: torch.load and torch.hub.load are
# callables too, and so are functions of our own that write files.
_TRUSTED = re.compile(
    r"lightune\.(adapt|callbacks|data\.sources|metrics|models|parallel|report|tasks)(\.[a-z]\w*)*\.[A-Z]\w*"
    r"|lightune\.optim\.schedules\.[a-z]\w*"
    r"|lightune\.report\.(wandb|mlflow)\.logger"
    r"|torch\.optim(\.lr_scheduler)?\.[A-Z]\w+"
    r"|lightune\.optim\.muon\.muon|transformers\.optimization\.Adafactor"
    r"|(pytorch_optimizer|schedulefree|bitsandbytes\.optim)\.[A-Z]\w+"
    r"|peft\.[A-Z]\w*Config|transformers\.BitsAndBytesConfig|lightune\.models\.quantization\.torchao"
    r"|torchmetrics(\.[a-z]\w*)*\.[A-Z]\w+"
    r"|lightning\.Trainer|datetime\.timedelta"
    r"|lightning\.pytorch\.(callbacks|loggers|strategies|profilers)\.[A-Z]\w+"
    r"|optuna\.(samplers|pruners)\.[A-Z]\w+"
)


def plain(node: Any) -> Any:
    """Return a configuration node as resolved plain Python data."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def build(node: Any, path: str, **extra: Any) -> Any:
    """Instantiate a node's ``_target_``.

    Args:
        node: The node, with ``_target_``.
        path: Where it stands in the configuration, for messages.
        **extra: Arguments that are not configuration.

    Returns:
        The object; nested nodes are built too, and lists and mappings are plain.

    Raises:
        ConfigError: There is no such target, or it does not take these arguments.
        UserError: What the target itself raises.
    """
    content = plain(node)
    check_arguments(content, path)
    try:
        return hydra.utils.instantiate(content, _convert_="all", **extra)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ConfigError(f"{path}: {content['_target_']} refuses its arguments: {reason}", f"mend {path}.…") from error


def check_arguments(content: Any, path: str) -> None:
    """Raise ConfigError where a target does not exist or takes no argument of a name; looks into nested nodes."""
    if isinstance(content, list):
        for index, item in enumerate(content):
            check_arguments(item, f"{path}[{index}]")
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        check_arguments(value, f"{path}.{key}")
    if "_target_" in content:
        _check_signature(content, path)


def _check_signature(content: Mapping[str, Any], path: str) -> None:
    target = content["_target_"]
    try:
        found = hydra.utils.get_object(target)
    except _NOT_FOUND as error:
        _refuse_missing_package(path, target, error)
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"{path}._target_={target}: it cannot be found ({reason})", "give a full dotted name"
        ) from error
    try:
        parameters = inspect.signature(found).parameters
    except ValueError:  # some callables written in C have none
        return
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for key in content:
        if not key.startswith("_") and key not in parameters:
            name = target.rpartition(".")[2]
            raise ConfigError(f"{path}.{key}: {name} takes no argument of that name", nearest(key, parameters))


def _refuse_missing_package(path: str, target: str, error: BaseException | None) -> None:
    """Say what to install, where a target cannot be imported because one of our extras is missing."""
    while error is not None:
        package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if package in _EXTRAS:
            raise ConfigError(
                f"{path}: {target} needs the package {package}, which is not installed",
                f"type pip install 'lightune[{_EXTRAS[package]}]'",
            ) from error
        error = error.__cause__ or error.__context__


def refuse_untrusted(content: Any, trust: str | Iterable[str]) -> None:
    """Raise ConfigError where a checkpoint's configuration names code that is not on the list.

    Args:
        content: The configuration as plain data.
        trust: Modules that the user trusts besides.
    """
    modules = (trust,) if isinstance(trust, str) else tuple(trust)
    for target in _targets(content):
        own = any(target.startswith(f"{module}.") for module in modules)
        if not own and not _is_trusted(target):
            raise ConfigError(
                f"the checkpoint's configuration wants to run {target}, which is not part of lightune",
                f"if you trust it, type trust=[{target.rpartition('.')[0]}]",
            )


def _is_trusted(target: str) -> bool:
    if not _TRUSTED.fullmatch(target):
        return False
    # A module's own imports are reachable as its attributes (lightune.report.x.os.system): where it was defined
    # decides.
    try:
        defined_in = getattr(hydra.utils.get_object(target), "__module__", "") or ""
    except _NOT_FOUND:
        return False
    return defined_in.split(".")[0] == target.split(".")[0]


def _targets(content: Any) -> Iterable[str]:
    if isinstance(content, Mapping):
        if "_target_" in content:
            yield str(content["_target_"])
        content = list(content.values())
    if isinstance(content, list):
        for item in content:
            yield from _targets(item)


def as_config(content: Mapping[str, Any]) -> DictConfig:
    """Return plain data as a configuration."""
    return OmegaConf.create(dict(content))
