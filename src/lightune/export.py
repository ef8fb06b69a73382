"""From a checkpoint to a folder that transformers loads by itself."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from peft import PeftModel

from lightune import assemble, checkpoint_card
from lightune.adapt.combining import Combination
from lightune.adapt.export import merged
from lightune.checkpoint import load_weights
from lightune.commanded import typed
from lightune.continuation import continued
from lightune.instantiate import build, plain
from lightune.report import model_folder, show
from lightune.report.quiet import quiet
from lightune.run import learnt


def export(cfg: DictConfig) -> None:
    """Write a checkpoint's model in Hugging Face format.

    Args:
        cfg: The configuration composed from the checkpoint's overrides and the typed ones.

    Raises:
        UserError: The checkpoint cannot be used, or its adapters cannot be combined or merged.
    """
    quiet()
    path, merge, output = Path(cfg.checkpoint), cfg.merge, cfg.output
    combination: Combination = build(cfg.combine, "combine")
    cfg = continued(cfg, path, typed())
    folder = (
        Path(output).expanduser() if output else checkpoint_card.home_of(path) / ("merged" if merge else "exported")
    )
    OmegaConf.update(cfg, "run_dir", str(folder))
    experiment = assemble.experiment(cfg, {"config": plain(cfg), "overrides": [], **learnt(path)}, need=())
    load_weights(experiment.module.model, path, experiment.module.everything)
    model = combination.of(experiment.module.model)
    model = merged(model) if merge else model
    metrics = {} if combination.adapters else checkpoint_card.read(path)["metrics"]
    pretrained = experiment.backbone.pretrained
    model_folder.write(
        folder, model.eval(), experiment.tokenizer, experiment.task, cfg.model.path, metrics, pretrained=pretrained
    )
    kind = "adapters and head" if isinstance(model, PeftModel) else "the whole model"
    show.note(f"Written to {folder}/: {kind}, with a model card that shows how to load it")
