"""Which strategy goes with what: sharing a model out over processes asks more of it than copying it to each."""

from collections.abc import Iterator
from importlib.util import find_spec

from omegaconf import DictConfig

from lightune.check.methods import adapter_name
from lightune.check.rule import reads
from lightune.errors import ConfigError

_SHARED_PRECISIONS = ("32", "bf16", "16-true")
_ONE_BY_ONE = ("Adam", "AdamW", "SGD")  # optimisers that look at no number beside a parameter's own
_SPLIT = ("Full", "Partial")  # methods without adapters, whose matrices are split like any other


def strategy_name(cfg: DictConfig) -> str:
    """Return the last part of the strategy's name in lower case, such as ``auto``, ``ddpstrategy`` or ``sharded``."""
    strategy = cfg.trainer.strategy
    named = strategy.get("_target_", "") if isinstance(strategy, DictConfig) else strategy
    return str(named).rpartition(".")[2].lower()


def _shards(cfg: DictConfig) -> bool:
    return strategy_name(cfg) in ("sharded", "deepspeed")


def _flattens(cfg: DictConfig) -> bool:
    return strategy_name(cfg) == "deepspeed"


def _splits(cfg: DictConfig) -> bool:
    return strategy_name(cfg) == "sharded" and cfg.trainer.strategy.get("tensor_parallel_size", 1) != 1


@reads("peft", "strategy")
def _ranks_can_be_shared_out(cfg: DictConfig) -> Iterator[ConfigError]:
    if _shards(cfg) and adapter_name(cfg) == "AdaLora":
        yield ConfigError(
            "peft=adalora: its ranks are shared out by weights and gradients of whole layers, which no process has",
            "type strategy=ddp, or peft=lora",
        )


@reads("peft", "strategy")
def _networks_beside_can_be_shared_out(cfg: DictConfig) -> Iterator[ConfigError]:
    if strategy_name(cfg) == "sharded" and adapter_name(cfg) == "Shadow":
        yield ConfigError(
            "peft=shadow: its network beside the layers still needs weights that FSDP has let go of",
            "type strategy=ddp or strategy=deepspeed_2, or peft=lora",
        )


@reads("model", "strategy")
def _layers_can_be_split(cfg: DictConfig) -> Iterator[ConfigError]:
    if _splits(cfg) and cfg.model.get("architecture") == "encoder-decoder":
        yield ConfigError(
            "strategy: nothing says how the layers of an encoder-decoder are split over processes",
            "type strategy=fsdp",
        )


@reads("peft", "strategy")
def _adapters_can_be_split(cfg: DictConfig) -> Iterator[ConfigError]:
    if not _splits(cfg) or str(cfg.peft.get("_target_", "")).endswith(_SPLIT):
        return
    config = cfg.peft.get("config") or {}
    if adapter_name(cfg) != "Lora" or config.get("use_dora") or config.get("lora_bias"):
        yield ConfigError(
            "strategy: nothing says how this method's adapters are split over processes",
            "type strategy=fsdp, or peft=lora",
        )


@reads("peft", "strategy")
def _quantized_weights_can_be_shared_out(cfg: DictConfig) -> Iterator[ConfigError]:
    if _shards(cfg) and cfg.get("quantization"):
        yield ConfigError(
            "quantization: quantised weights cannot be shared out over processes",
            "type strategy=ddp, or quantization=none",
        )


@reads("precision", "strategy")
def _weights_of_a_precision_can_be_shared_out(cfg: DictConfig) -> Iterator[ConfigError]:
    precision = str(cfg.trainer.precision)
    if _flattens(cfg) and not precision.startswith("32"):
        yield ConfigError(
            f"precision={precision}: with DeepSpeed it would not be what it is with other strategies",
            "type precision=32 or precision=tf32, or strategy=fsdp",
        )
    elif _shards(cfg) and not precision.startswith(_SHARED_PRECISIONS):
        yield ConfigError(
            f"precision={precision}: Lightning cannot share out a model that is computed in it",
            "type precision=32 or precision=bf16-mixed, or strategy=ddp",
        )


@reads("strategy")
def _shared_layers_stay_frozen(cfg: DictConfig) -> Iterator[ConfigError]:
    if _shards(cfg) and _has_callback(cfg, "GradualUnfreezing"):
        yield ConfigError(
            "callbacks.gradual_unfreezing: what is trained has to be known before a model is shared out over processes",
            "leave it out, or type strategy=ddp",
        )


def _has_callback(cfg: DictConfig, name: str) -> bool:
    nodes = (node for node in (cfg.callbacks or {}).values() if node)
    return any(str(node.get("_target_", "")).endswith(f".{name}") for node in nodes)


@reads("strategy")
def _deepspeed_is_there(cfg: DictConfig) -> Iterator[ConfigError]:
    if _flattens(cfg) and find_spec("deepspeed") is None:
        yield ConfigError(
            "strategy: DeepSpeed is not installed", "type pip install 'lightune[deepspeed]', or strategy=fsdp"
        )


def _deepspeed_goes_with(cfg: DictConfig) -> Iterator[ConfigError]:
    """Refuse what looks at gradients, weights or states as they are when nobody has flattened them."""
    if not _flattens(cfg):
        return
    optimizer = str(cfg.optimizer.get("_target_", "")).rpartition(".")[2]
    if optimizer not in _ONE_BY_ONE:
        yield ConfigError(
            f"optimizer: {optimizer} would look at whole matrices, of which DeepSpeed makes parts of one long vector",
            "type optimizer=adamw, or strategy=fsdp",
        )
    if _has_callback(cfg, "WeightAveraging"):
        yield ConfigError(
            "callbacks.weight_averaging: DeepSpeed would train on from the averaged weights",
            "leave it out, or type strategy=fsdp",
        )
    yield from _deepspeed_takes(cfg)


def _deepspeed_takes(cfg: DictConfig) -> Iterator[ConfigError]:
    """Refuse settings that DeepSpeed has no counterpart of."""
    if cfg.trainer.get("gradient_clip_algorithm") == "value":
        yield ConfigError(
            "trainer.gradient_clip_algorithm=value: DeepSpeed clips by the norm only",
            "type trainer.gradient_clip_algorithm=norm, or strategy=fsdp",
        )
    if (cfg.callbacks or {}).get("non_finite") and cfg.callbacks.non_finite.get("action") == "skip":
        yield ConfigError(
            "callbacks.non_finite.action=skip: DeepSpeed leaves out no step",
            "type callbacks.non_finite.action=stop, or strategy=fsdp",
        )
    if cfg.model.get("compile"):
        yield ConfigError("model.compile=true: not with DeepSpeed", "type model.compile=false, or strategy=fsdp")


RULES = (
    _deepspeed_is_there,
    _ranks_can_be_shared_out,
    _networks_beside_can_be_shared_out,
    _layers_can_be_split,
    _adapters_can_be_split,
    _quantized_weights_can_be_shared_out,
    _weights_of_a_precision_can_be_shared_out,
    _shared_layers_stay_frozen,
    _deepspeed_goes_with,
)
