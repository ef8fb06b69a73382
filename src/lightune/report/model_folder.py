"""model/: the result in Hugging Face format, with a card that says how to use it."""

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune.adapt.bottleneck import has_bottlenecks
from lightune.models.adapted import changed_weights, without_adapters
from lightune.models.architecture import takes_no_pooler
from lightune.models.quantization import constructor, weight_count
from lightune.tasks.base import Task

_CARD = """---
library_name: {library}{base_model}
tags: [lightune, {task}]
---

# {title}

Fine-tuned with lightune: task `{task}`, method `{method}`, {trained:,} of {total:,} parameters trained.

| metric | value |
|---|---|
{metrics}

## Use

```python
{usage}
```
"""

_FULL = """from transformers import AutoTokenizer, {auto}

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto}.from_pretrained(folder{bare})"""

_BOTTLENECKS = """from lightune.adapt.bottleneck import load  # a package is needed that knows bottlenecks
from transformers import AutoTokenizer, {auto}

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = load(folder, {auto})"""

_ADAPTER = """from peft import PeftConfig, PeftModel
from transformers import AutoConfig, AutoTokenizer, {auto}{imports}

folder = "."  # this folder: adapter and head; the backbone is loaded from where it was
base = PeftConfig.from_pretrained(folder).base_model_name_or_path
config = AutoConfig.from_pretrained(folder)  # knows the labels{sizes}{quantization}
backbone = {auto}.from_pretrained(base, config=config{mapping}{bare}{quantized})
tokenizer = AutoTokenizer.from_pretrained(folder){room}
model = PeftModel.from_pretrained(backbone, folder)"""

# Where tokens are new: the backbone's embeddings are loaded without their rows, which are in the adapter.
_ROOM = (
    "\nconfig.vocab_size = AutoConfig.from_pretrained(base).vocab_size  # before there were new tokens",
    "\nbackbone.resize_token_embeddings(len(tokenizer), mean_resizing=False)",
)

_ADAPTER_AND_BACKBONE = """from peft import PeftModel
from transformers import AutoTokenizer, {auto}

folder = "."  # this folder: adapter and head, and the backbone, which was never anywhere else
backbone = {auto}.from_pretrained(f"{{folder}}/backbone"{bare})
tokenizer = AutoTokenizer.from_pretrained(folder)
model = PeftModel.from_pretrained(backbone, folder)"""


def write(
    folder: Path,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    base: str,
    metrics: Mapping[str, float],
    pretrained: bool = True,
) -> None:
    """Write an adapter folder or a full model, with tokenizer, configuration and model card.

    Args:
        folder: Is replaced.
        model: The adapted model with its best weights.
        tokenizer: Of the backbone.
        task: Names the head.
        base: Public name of the backbone.
        metrics: Shown in the card.
        pretrained: Whether the backbone's weights came from files; else they are written too.
    """
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    saved: Any = model
    # Names that were changed for loading would be changed back, and whoever loads the folder would not know.
    renamed = not isinstance(model, PeftModel) and hasattr(saved.config, "key_mapping")
    saved.save_pretrained(unfinished, **({"save_original_format": False} if renamed else {}))
    _without_quantization(saved.config, isinstance(model, PeftModel)).save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    if isinstance(model, PeftModel):
        _add_loose_parameters(model, unfinished / "adapter_model.safetensors")
        if not pretrained or changed_weights(model):
            _write_backbone(model, unfinished, folder)
    (unfinished / "README.md").write_text(_card(model, task, base, metrics, pretrained), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _without_quantization(config: PretrainedConfig, adapter: bool) -> PretrainedConfig:
    """Return the configuration to write: no file of an adapter's folder holds quantised weights."""
    config = copy.deepcopy(config)
    if adapter and hasattr(config, "quantization_config"):
        del config.quantization_config
    return config


def _add_loose_parameters(model: PeftModel, path: Path) -> None:
    """Add what is trained in full without being a whole module, such as the bias of a tied language-model head.

    peft leaves it out when it writes an adapter, and puts it in its place when it reads one.
    """
    kept = load_file(path)
    adapter = f".{model.active_adapter}."
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    loose = {name: p.detach().cpu() for name, p in trained.items() if adapter not in f"{name}." and name not in kept}
    if loose:
        save_file({**kept, **loose}, path, metadata={"format": "pt"})


def _write_backbone(model: PeftModel, unfinished: Path, folder: Path) -> None:
    """Write the frozen weights that no file has, and tell the adapter where they will lie.

    A method that changed them at its start must not do so again when the adapter is loaded.
    """
    without_adapters(copy.deepcopy(model)).save_pretrained(unfinished / "backbone")
    path = unfinished / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = str(folder.absolute() / "backbone")
    settings |= {key: True for key in ("init_lora_weights", "init_weights") if isinstance(settings.get(key), str)}
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _has_new_tokens(model: Any) -> bool:
    return any(getattr(config, "trainable_token_indices", None) for config in model.peft_config.values())


def _card(model: nn.Module, task: Task, base: str, metrics: Mapping[str, float], pretrained: bool) -> str:
    adapter = isinstance(model, PeftModel)
    counts = parameter_counts(model)
    config: Any = model.config
    mapping = ", key_mapping=config.key_mapping" if hasattr(config, "key_mapping") else ""
    bare = ", add_pooling_layer=False" if takes_no_pooler(task.auto_class, config) else ""
    rows = [f"| {name} | {value:.4f} |" for name, value in metrics.items() if name.startswith("test/")]
    elsewhere = pretrained and not changed_weights(model)
    template = (
        (_ADAPTER if elsewhere else _ADAPTER_AND_BACKBONE)
        if adapter
        else _BOTTLENECKS
        if has_bottlenecks(model)
        else _FULL
    )
    sizes, room = _ROOM if adapter and _has_new_tokens(model) else ("", "")
    places = {"auto": task.auto_class, "mapping": mapping, "bare": bare, "sizes": sizes, "room": room}
    loading = template.format(**places, **_quantization(config))
    return _CARD.format(
        library="peft" if adapter else "transformers",
        base_model=f"\nbase_model: {base}" if pretrained else "",
        task=task.name,
        title=f"{base.rpartition('/')[2]} for {task.name}",
        method=_method(model),
        trained=counts["trainable"],
        total=counts["total"],
        metrics="\n".join(rows),
        usage="\n\n".join(part for part in (loading, task.usage()) if part),
    )


def _method(model: nn.Module) -> str:
    if isinstance(model, PeftModel):
        return type(model).__name__
    if has_bottlenecks(model):
        return "bottleneck adapters"
    return "full fine-tuning" if all(p.requires_grad for p in model.parameters()) else "fine-tuning of a part"


def _quantization(config: Any) -> dict[str, str]:
    """Return what the code that loads a backbone says of its quantisation."""
    if not hasattr(config, "quantization_config"):
        return dict.fromkeys(("imports", "quantization", "quantized"), "")
    imports, expression = constructor(config.quantization_config)
    return {
        "imports": f"\n{imports}",
        "quantization": f"\nquantization = {expression}  # as when it was trained",
        "quantized": ", quantization_config=quantization",
    }


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Return how many parameters there are and how many are trained."""
    return {
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "total": sum(weight_count(p) for p in model.parameters()),
    }
