"""model/: the result in Hugging Face format, with a card that says how to use it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedTokenizerBase

from lightune.tasks.base import Task

_CARD = """---
library_name: {library}
base_model: {base}
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
model = {auto}.from_pretrained(folder)"""

_ADAPTER = """from peft import PeftConfig, PeftModel
from transformers import AutoConfig, AutoTokenizer, {auto}

folder = "."  # this folder: adapter and head; the backbone is loaded from where it was
base = PeftConfig.from_pretrained(folder).base_model_name_or_path
config = AutoConfig.from_pretrained(folder)  # knows the labels
backbone = {auto}.from_pretrained(base, config=config{mapping})
tokenizer = AutoTokenizer.from_pretrained(folder)
model = PeftModel.from_pretrained(backbone, folder)"""


def write(
    folder: Path,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    base: str,
    metrics: Mapping[str, float],
) -> None:
    """Write an adapter folder or a full model, with tokenizer, configuration and model card.

    Args:
        folder: Is replaced.
        model: The adapted model with its best weights.
        tokenizer: Of the backbone.
        task: Names the head.
        base: Public name of the backbone.
        metrics: Shown in the card.
    """
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    saved: Any = model
    saved.save_pretrained(unfinished)
    saved.config.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    (unfinished / "README.md").write_text(_card(model, task, base, metrics), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _card(model: nn.Module, task: Task, base: str, metrics: Mapping[str, float]) -> str:
    adapter = isinstance(model, PeftModel)
    counts = parameter_counts(model)
    config: Any = model.config
    mapping = ", key_mapping=config.key_mapping" if hasattr(config, "key_mapping") else ""
    rows = [f"| {name} | {value:.4f} |" for name, value in metrics.items() if name.startswith("test/")]
    return _CARD.format(
        library="peft" if adapter else "transformers",
        base=base,
        task=task.name,
        title=f"{base.rpartition('/')[2]} for {task.name}",
        method=type(model).__name__ if adapter else "full fine-tuning",
        trained=counts["trainable"],
        total=counts["total"],
        metrics="\n".join(rows),
        usage=(_ADAPTER if adapter else _FULL).format(auto=task.auto_class, mapping=mapping),
    )


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Return how many parameters there are and how many are trained."""
    return {
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "total": sum(p.numel() for p in model.parameters()),
    }
