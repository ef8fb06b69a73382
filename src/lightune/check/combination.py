"""What may not be combined, or is missing, beside data and machine."""

from collections.abc import Iterable, Iterator

from omegaconf import DictConfig

from lightune.check.rule import reads
from lightune.errors import ConfigError

_OFFLINE = {"encoder": "minilm", "decoder": "smollm2", "encoder-decoder": "minilm-seq2seq"}  # backbones by kind


def with_article(architecture: str) -> str:
    """Return ``a decoder`` or ``an encoder``."""
    return f"{'a' if architecture == 'decoder' else 'an'} {architecture}"


def architecture_error(task: str, takes: Iterable[str] | None, architecture: str | None) -> ConfigError | None:
    """Return why a task cannot use an architecture; None where it can, or either side does not say."""
    if takes is None or architecture is None or architecture in takes:
        return None
    examples = " or ".join(f"model={_OFFLINE[kind]} ({kind})" for kind in takes if kind in _OFFLINE)
    return ConfigError(
        f"task={task} does not work on {with_article(architecture)} model: it needs one of {', '.join(takes)}",
        f"choose another backbone, e.g. {examples}",
    )


@reads("peft")
def _new_embeddings_are_trained(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.get("tokenizer") and not str(cfg.peft.get("_target_", "")).endswith(".Full"):
        yield ConfigError(
            "tokenizer=train: all embeddings start anew, and an adapter would leave them as they are",
            "type peft=full",
        )


@reads("task", "model")
def _task_fits_model(cfg: DictConfig) -> Iterator[ConfigError]:
    error = architecture_error(cfg.task.name, cfg.task.get("architectures"), cfg.model.architecture)
    if error:
        yield error


def _has_a_folder(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.run_dir is None and "checkpoint" not in cfg:
        yield ConfigError("run_dir=null: a run needs a folder", "type run_dir=<folder>, or leave it out")


def _resumes_nothing(cfg: DictConfig) -> Iterator[ConfigError]:
    if "checkpoint" in cfg and cfg.resume is not None:
        yield ConfigError(f"resume={cfg.resume}: an evaluation resumes nothing", "leave it out, or use train.py")


def _ends_somewhere(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.trainer.max_epochs in (None, -1) and cfg.trainer.max_steps == -1:
        yield ConfigError("training would never end", "type trainer.max_epochs=3 or trainer.max_steps=1000")


def _data_is_drawn_in_a_plan(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.get("plots") and not cfg.get("plan"):
        yield ConfigError("plots=true: the data is drawn where a run is planned", "type plan=true plots=true")


RULES = (
    _has_a_folder,
    _resumes_nothing,
    _ends_somewhere,
    _data_is_drawn_in_a_plan,
    _task_fits_model,
    _new_embeddings_are_trained,
)
