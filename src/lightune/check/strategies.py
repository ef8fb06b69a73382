"""Which strategy goes with what: sharing a model out over processes asks more of it than copying it to each."""

from collections.abc import Iterator

from omegaconf import DictConfig

from lightune.check.methods import adapter_name
from lightune.check.rule import reads
from lightune.errors import ConfigError

_SHARED_PRECISIONS = ("32", "bf16", "16-true")
_SPLIT = ("Full", "Partial")  # methods without adapters, whose matrices are split like any other


def strategy_name(cfg: DictConfig) -> str:
    """Return the last part of the strategy's name in lower case, such as ``auto``, ``ddpstrategy`` or ``sharded``."""
    strategy = cfg.trainer.strategy
    named = strategy.get("_target_", "") if isinstance(strategy, DictConfig) else strategy
    return str(named).rpartition(".")[2].lower()


def _shards(cfg: DictConfig) -> bool:
    return strategy_name(cfg) in ("sharded", "deepspeed")


def _splits(cfg: DictConfig) -> bool:
    return strategy_name(cfg) == "sharded" and cfg.trainer.strategy.get("tensor_parallel_size", 1) != 1


@reads("peft", "strategy")
def _ranks_can_be_shared_out(cfg: DictConfig) -> Iterator[ConfigError]:
    if _shards(cfg) and adapter_name(cfg) == "AdaLora":
        yield ConfigError(
            "peft=adalora: its ranks are shared out by weights and gradients of whole layers, which no process has",
            "type strategy=ddp, or peft=lora",
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
    if _shards(cfg) and not precision.startswith(_SHARED_PRECISIONS):
        yield ConfigError(
            f"precision={precision}: Lightning cannot share out a model that is computed in it",
            "type precision=32 or precision=bf16-mixed, or strategy=ddp",
        )


@reads("strategy")
def _shared_layers_stay_frozen(cfg: DictConfig) -> Iterator[ConfigError]:
    thawing = any(
        str(node.get("_target_", "")).endswith(".GradualUnfreezing") for node in (cfg.callbacks or {}).values() if node
    )
    if _shards(cfg) and thawing:
        yield ConfigError(
            "callbacks.gradual_unfreezing: what is trained has to be known before a model is shared out over processes",
            "leave it out, or type strategy=ddp",
        )


RULES = (
    _ranks_can_be_shared_out,
    _layers_can_be_split,
    _adapters_can_be_split,
    _quantized_weights_can_be_shared_out,
    _weights_of_a_precision_can_be_shared_out,
    _shared_layers_stay_frozen,
)
