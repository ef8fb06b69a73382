"""Exported models give what the checkpoint gives, by transformers alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel

from lightune.checkpoint import load_weights
from tests import command, running

TASKS = {
    "classification": ("task=classification", "model=tiny"),
    "ner": ("task=ner", "model=tiny-decoder"),
    "clm": ("task=clm", "model=tiny-decoder"),
    "translation": ("task=translation", "model=tiny-seq2seq", "task.max_target_length=24", "task.monitor=loss"),
}


def exported(run: Path, *typed: str) -> command.Outcome:
    return command.run("export", [f"checkpoint={run}", *typed], run.parent)


def outputs(model: Any) -> torch.Tensor:
    ids = torch.arange(1000, 1032).view(2, 16)
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits
    return found


CELLS = [*((task, "lora") for task in TASKS), ("ner", "ia3")]
CELLS += [("classification", method) for method in ("full", "ia3", "pissa", "bitfit")]


@pytest.mark.parametrize(("task", "method"), CELLS)
def test_a_merged_model_gives_the_same_outputs(task: str, method: str, tmp_path: Path) -> None:
    typed = (*TASKS[task], f"peft={method}", "trainer.max_steps=3")
    run = running.train(tmp_path / "run", *typed)
    checkpoint = run / "checkpoints" / "last.ckpt"
    outcome = exported(checkpoint)
    assert outcome.status == 0, outcome.err
    kind = running.assembled(tmp_path / "again", *typed)
    loaded = getattr(transformers, kind.task.auto_class).from_pretrained(run / "merged")
    load_weights(kind.module.model, checkpoint, kind.module.everything)
    assert torch.allclose(outputs(loaded), outputs(kind.module.model), atol=1e-4)


def test_adapters_can_stay_apart(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *TASKS["classification"], "peft=lora", "trainer.max_steps=3")
    outcome = exported(run, "merge=false", f"output={tmp_path / 'apart'}")
    assert outcome.status == 0, outcome.err
    backbone = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "apart" / "backbone")
    apart = PeftModel.from_pretrained(backbone, tmp_path / "apart")
    exported(run)
    merged = transformers.AutoModelForSequenceClassification.from_pretrained(run / "merged")
    assert torch.allclose(outputs(apart), outputs(merged), atol=1e-4)


@pytest.mark.parametrize("method", ["prompt_tuning", "lily"])
def test_what_cannot_be_merged_is_refused_and_nothing_is_written(method: str, tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *TASKS["classification"], f"peft={method}", "trainer.max_steps=2")
    outcome = exported(run)
    assert outcome.status == 1
    assert "cannot become part of the weights" in outcome.err
    assert "merge=false" in outcome.err
    assert not (run / "merged").exists()
    assert exported(run, "merge=false").status == 0


def test_data_of_the_run_need_not_be_there(tmp_path: Path) -> None:
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\tlabel\n" + "a good one\tyes\na bad one\tno\n" * 20, encoding="utf-8")
    run = running.train(tmp_path / "run", *TASKS["classification"], "data=files", f"data.train={rows}", "peft=lora")
    rows.unlink()
    outcome = exported(run)
    assert outcome.status == 0, outcome.err
    assert transformers.AutoConfig.from_pretrained(run / "merged").id2label == {0: "no", 1: "yes"}


def test_a_checkpoint_has_to_be_there(tmp_path: Path) -> None:
    outcome = command.run("export", [f"checkpoint={tmp_path / 'none.ckpt'}"], tmp_path)
    assert outcome.status == 1
    assert "there is no such" in outcome.err


def test_a_folder_with_bottlenecks_is_loaded_by_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = (*TASKS["classification"], "peft=houlsby", "trainer.max_steps=3")
    run = running.train(tmp_path / "run", *typed)
    code = (run / "model" / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    monkeypatch.chdir(run / "model")
    exec(code, names)
    again = running.assembled(tmp_path / "again", *typed)
    load_weights(again.module.model, run / "checkpoints" / "last.ckpt", again.module.everything)
    assert torch.allclose(outputs(names["model"]), outputs(again.module.model), atol=1e-6)
    bare = transformers.AutoModelForSequenceClassification.from_pretrained(run / "model")
    assert not torch.allclose(outputs(bare), outputs(again.module.model), atol=1e-6)
    outcome = exported(run)
    assert outcome.status == 1
    assert "bottleneck adapters cannot become part of the weights" in outcome.err
