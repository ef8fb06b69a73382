"""What a GPU changes and what it must not: precisions, what a run says of itself, resume, and the same predictions."""

from pathlib import Path

import pytest

from lightune import machine
from tests import running

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not machine.has_gpu(), reason="there is no GPU")]

ON_GPU = ("trainer=gpu", "trainer.devices=1")
TASKS = {
    "qa": ("task=qa", "model=tiny"),
    "classification": ("task=classification", "model=tiny"),
    "ner": ("task=ner", "model=tiny-decoder"),
    "embedding": ("task=embedding", "model=tiny"),
    "choice": ("task=choice", "model=tiny-decoder"),
    "clm": ("task=clm", "model=tiny-decoder"),
    "mlm": ("task=mlm", "model=tiny"),
    "translation": ("task=translation", "model=tiny-seq2seq", "task.max_target_length=32"),
}


@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed", "bf16-true"])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_trains_in_every_precision(task: str, precision: str, tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *TASKS[task], "peft=lora", f"precision={precision}", *ON_GPU)
    found = running.metrics(run)
    losses = running.losses(run)
    assert all(loss == loss for loss in losses)
    assert found["memory/peak_gpu_mb"] > 0
    again = running.evaluate(run / "checkpoints" / "best.ckpt", tmp_path / "eval", *ON_GPU)
    assert running.metrics(again, "test/") == pytest.approx(running.metrics(run, "test/"), abs=1e-6)


@pytest.mark.parametrize("peft", ["lora", "full"])
def test_a_gpu_takes_the_steps_of_a_cpu(peft: str, tmp_path: Path) -> None:
    plain = ("task=classification", f"peft={peft}", *running.BERT_WITHOUT_DROPOUT, *running.PLAIN)
    plain = (*plain, *((running.ADAPTER_WITHOUT_DROPOUT,) if peft == "lora" else ()))
    here = running.train(tmp_path / "cpu", *plain)
    there = running.train(tmp_path / "gpu", *plain, *ON_GPU)
    assert running.losses(there) == pytest.approx(running.losses(here), abs=1e-4)
    assert [row["prediction"] for row in running.predictions(there)] == [
        row["prediction"] for row in running.predictions(here)
    ]


@pytest.mark.parametrize("precision", ["32", "16-mixed"])
def test_a_run_goes_on_where_it_was(precision: str, tmp_path: Path) -> None:
    """Dropout's generator on the GPU and the loss scale are restored as well."""
    plain = ("task=classification", "peft=full", f"precision={precision}", "scheduler=constant", *ON_GPU)
    cut = running.train(tmp_path / "cut", *plain, "trainer.max_steps=5")
    gone_on = running.resume(cut, "trainer.max_steps=8")
    through = running.train(tmp_path / "through", *plain, "trainer.max_steps=8")
    assert running.losses(gone_on)[-3:] == pytest.approx(running.losses(through)[-3:], abs=1e-5)


def test_an_evaluation_on_the_cpu_reads_what_a_gpu_trained(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", "task=qa", "peft=lora", *ON_GPU)
    found = running.evaluate(run / "checkpoints" / "best.ckpt", tmp_path / "eval", "trainer=cpu")
    assert running.metrics(found, "test/loss") == pytest.approx(running.metrics(run, "test/loss"), abs=1e-4)


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
@pytest.mark.parametrize("kind", ["nf4", "fp4", "int8", "int8_weight_only"])
def test_quantised_backbones_train_and_the_cpu_reads_them(
    kind: str, precision: str, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    few = ("data.limit.train=8", "trainer.max_epochs=12", "scheduler=constant", "optimizer.lr=2e-3")
    typed = ("task=classification", "model=auto", f"model.path={pretrained['encoder']}", f"quantization={kind}", *few)
    run = running.train(tmp_path / "run", *typed, "peft=lora", f"precision={precision}", *ON_GPU)
    losses = running.losses(run)
    assert sum(losses[-5:]) < sum(losses[:5])
    best = run / "checkpoints" / "best.ckpt"
    again = running.evaluate(best, tmp_path / "again", *ON_GPU)
    assert running.metrics(again, "test/") == pytest.approx(running.metrics(run, "test/"), abs=1e-6)
    here = running.evaluate(best, tmp_path / "cpu", "trainer=cpu", "precision=32")
    assert running.metrics(here, "test/loss") == pytest.approx(running.metrics(run, "test/loss"), rel=0.1)


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
def test_states_of_eight_bits_give_nearly_the_steps_of_adamw(optimizer: str, tmp_path: Path) -> None:
    typed = ("task=classification", "peft=full", *running.BERT_WITHOUT_DROPOUT, "scheduler=constant", *ON_GPU)
    exact = running.train(tmp_path / "exact", *typed)
    rough = running.train(tmp_path / "rough", *typed, f"optimizer={optimizer}")
    assert running.losses(rough) == pytest.approx(running.losses(exact), abs=0.02)


def test_qlora_trains_a_decoder_and_goes_on(pretrained: dict[str, Path], tmp_path: Path) -> None:
    model = ("model=auto", f"model.path={pretrained['decoder']}", "precision=bf16-mixed", *ON_GPU)
    typed = ("task=clm", "peft=qlora", "scheduler=constant", "optimizer.lr=2e-3", *model)
    cut = running.train(tmp_path / "cut", *typed, "trainer.max_steps=6")
    gone_on = running.resume(cut, "trainer.max_steps=10")
    losses = running.losses(gone_on)
    assert sum(losses[-3:]) < sum(losses[:3])
    through = running.losses(running.train(tmp_path / "through", *typed, "trainer.max_steps=10"))
    assert losses[-3:] == pytest.approx(through[-3:], abs=1e-2)
