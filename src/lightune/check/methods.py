"""Which method of adaptation goes with what: one table of what cannot be, and the reason."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightune import machine
from lightune.check.combination import with_article
from lightune.check.rule import reads
from lightune.errors import ConfigError

# Configurations of peft whose layers can stand beside quantised ones, by the package that quantises.
QUANTIZED = {
    "bitsandbytes": frozenset("AdaLora BOFT Hira IA3 Lora Miss OFT Pvera RandLora Road Shira Vera".split()),
    "torchao": frozenset(("Lora",)),
}
# What of peft is not to be had, and why.
LEFT_OUT = {
    "CPTConfig": "its prompt is made of a few examples, whose tokens it wants to be told, and has a loss of its own",
    "CartridgeConfig": "it distils the cache of one long text, which is no task with examples",
    "MultitaskPromptTuningConfig": "it wants the number of a task beside each example, and a run has one task",
    "PolyConfig": "it wants the number of a task beside each example, and a run has one task",
    "XLoraConfig": "it mixes adapters that were trained before, and trains none",
}
# Initialisations of LoRA that compute from full weights.
_FROM_WEIGHTS = ("pissa", "olora", "loftq", "corda", "eva", "lora_ga")
# Methods for which peft computes in single precision what the half-precision weights of a layer are given.
_SINGLE = ("Adamss", "BOFT", "FourierFT")
# Tasks whose model has no head beside what its files hold; choices by likelihood, of decoders, are one more.
_HEADLESS = frozenset("clm prefix_lm instruct summarization translation embedding".split())
_KEEP_WEIGHTS = ("biases", "nothing")  # parts of the backbone without a quantised weight


def adapter_name(cfg: DictConfig) -> str:
    """Return what peft calls the method, such as ``Lora``; "" where it is none of peft's."""
    return _target(cfg.peft.get("config")).removeprefix("peft.").removesuffix("Config")


def _target(node: Any) -> str:
    return str(node.get("_target_", "")) if node else ""


def _part(cfg: DictConfig) -> str:
    """Return which part of the backbone is trained; "" where the method is not about parts."""
    return str(cfg.peft.part) if _target(cfg.peft).endswith(".Partial") else ""


def no_biases() -> ConfigError:
    """Return why BitFit cannot be."""
    return ConfigError("peft=bitfit: this backbone has no biases", "type peft=ln_tuning or peft=lora")


def _quantized_by(cfg: DictConfig) -> str:
    if not cfg.get("quantization"):
        return ""
    return "torchao" if _target(cfg.quantization).endswith(".torchao") else "bitsandbytes"


@reads("peft")
def _quantizer_is_installed(cfg: DictConfig) -> Iterator[ConfigError]:
    package = _quantized_by(cfg)
    if package and find_spec(package) is None:
        yield ConfigError(f"quantization: the package {package} is missing", "type pip install 'lightune[quant]'")


@reads("model", "peft")
def _quantized_weights_come_from_files(cfg: DictConfig) -> Iterator[ConfigError]:
    if _quantized_by(cfg) and not cfg.model.pretrained:
        yield ConfigError(
            "quantization: model.pretrained=false gives random weights, and quantised ones cannot be trained",
            "type quantization=none",
        )


@reads("peft")
def _quantized_weights_stay(cfg: DictConfig) -> Iterator[ConfigError]:
    whole = _target(cfg.peft).endswith(".Full") or (_part(cfg) and _part(cfg) not in _KEEP_WEIGHTS)
    if _quantized_by(cfg) and whole:
        yield ConfigError(
            "quantization: this method trains weights of the backbone, and quantised ones cannot be trained",
            "type peft=lora, or quantization=none",
        )


@reads("peft")
def _quantized_layers_can_be_adapted(cfg: DictConfig) -> Iterator[ConfigError]:
    package, name = _quantized_by(cfg), adapter_name(cfg)
    if not package or not name or cfg.peft.get("target_modules") in (None, "norms"):
        return
    start = OmegaConf.select(cfg.peft, "config.init_lora_weights")
    if name not in QUANTIZED[package]:
        able = ", ".join(sorted(QUANTIZED[package]))
        yield ConfigError(
            f"quantization: peft has no {name} for layers that {package} quantised, but {able}",
            "type peft=lora, or quantization=none",
        )
    elif str(start).split("_niter")[0] in _FROM_WEIGHTS:
        yield ConfigError(
            f"quantization: peft.config.init_lora_weights={start} computes from weights that are not quantised",
            "type peft=lora, or quantization=none",
        )


def method_error(takes: Iterable[str] | None, architecture: str | None) -> ConfigError | None:
    """Return why a method cannot adapt an architecture; None where it can, or either side does not say."""
    if takes is None or architecture is None or architecture in takes:
        return None
    return ConfigError(
        f"peft: this method is for {' and '.join(takes)} models, and the backbone is {with_article(architecture)}",
        "type peft=lora, or choose another backbone",
    )


@reads("peft")
def _method_is_to_be_had(cfg: DictConfig) -> Iterator[ConfigError]:
    name = _target(cfg.peft.get("config")).removeprefix("peft.")
    if name in LEFT_OUT:
        yield ConfigError(f"peft.config._target_=peft.{name}: {LEFT_OUT[name]}", "type peft=lora, or another method")


@reads("model", "peft")
def _method_fits_model(cfg: DictConfig) -> Iterator[ConfigError]:
    if error := method_error(cfg.peft.get("architectures"), cfg.model.architecture):
        yield error


@reads("model", "peft")
def _biases_are_there(cfg: DictConfig) -> Iterator[ConfigError]:
    if _part(cfg) == "biases" and cfg.model.biases is False:
        yield no_biases()


def _head_alone(cfg: DictConfig) -> bool:
    return _part(cfg) == "nothing"


@reads("task", "model", "peft")
def _head_is_there(cfg: DictConfig) -> Iterator[ConfigError]:
    alone = _head_alone(cfg)
    by_likelihood = cfg.task.name == "choice" and cfg.model.architecture == "decoder"
    if alone and (cfg.task.name in _HEADLESS or by_likelihood):
        yield ConfigError(
            f"peft=head trains the head alone, and the model of task={cfg.task.name} has none of its own",
            "type peft=last_layers or peft=lora",
        )


@reads("task", "model", "peft")
def _choices_take_no_prompt(cfg: DictConfig) -> Iterator[ConfigError]:
    prompted = OmegaConf.select(cfg.peft, "config.num_virtual_tokens") is not None
    if prompted and cfg.task.name == "choice" and cfg.model.architecture == "encoder":
        yield ConfigError(
            "peft: peft puts a learnt prompt before rows of one text, and task=choice has several in each",
            "type peft=lora, or a decoder such as model=smollm2",
        )


@reads("peft")
def _noise_has_a_use(cfg: DictConfig) -> Iterator[ConfigError]:
    noisy = any(_target(node).endswith(".EmbeddingNoise") for node in (cfg.callbacks or {}).values())
    if noisy and _head_alone(cfg):
        yield ConfigError(
            "callbacks.neftune: with peft=head the backbone's features are fixed, and noise would not reach them",
            "leave it out, or type peft=lora",
        )


@reads("peft", "precision")
def _method_takes_half_precision(cfg: DictConfig) -> Iterator[ConfigError]:
    if str(cfg.trainer.precision) in ("bf16-true", "16-true") and adapter_name(cfg) in _SINGLE:
        yield ConfigError(
            f"precision={cfg.trainer.precision}: peft computes {adapter_name(cfg)} in single precision",
            "type precision=bf16-mixed, or peft=lora",
        )


@reads("peft")
def _loftq_has_a_gpu(cfg: DictConfig) -> Iterator[ConfigError]:
    if OmegaConf.select(cfg.peft, "config.init_lora_weights") == "loftq" and not machine.has_gpu():
        yield ConfigError(
            "peft=loftq: peft quantises on a GPU, and this machine has none", "type peft=pissa or peft=lora"
        )


RULES = (
    _method_is_to_be_had,
    _method_fits_model,
    _biases_are_there,
    _head_is_there,
    _choices_take_no_prompt,
    _noise_has_a_use,
    _method_takes_half_precision,
    _loftq_has_a_gpu,
    _quantized_weights_come_from_files,
    _quantized_weights_stay,
    _quantized_layers_can_be_adapted,
    _quantizer_is_installed,
)
