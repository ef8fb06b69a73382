"""Where Hugging Face's Trainer is right, lightune takes the same steps: AdamW, weight decay, schedule, clipping.

The Trainer shuffles in its own way, so each step here is made of all the data.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from tests import running

COUNT, STEPS, RATE, WARMUP, DECAY = 16, 8, 2e-3, 0.3, 0.1
# Where a gradient is 0 but for rounding, as the keys' biases' is, Adam would make whole steps of what is left of it.
EPS = 1e-5
OURS = (
    f"data.limit={{train: {COUNT}, val: 4, test: 4}}",
    f"data.batch_size={COUNT}",
    "data.max_length=48",
    f"trainer.max_epochs={STEPS}",
    "trainer.check_val_every_n_epoch=4",
    "optimizer=adamw",
    f"optimizer.lr={RATE}",
    "optimizer.head_lr=null",
    f"optimizer.weight_decay={DECAY}",
    f"optimizer.eps={EPS}",
    "optimizer.betas=[0.8,0.95]",
    "scheduler=linear",
    f"scheduler.warmup={WARMUP}",
    "+model.config.initializer_range=0.2",
    *running.BERT_WITHOUT_DROPOUT,
)
KINDS: dict[str, tuple[str, ...]] = {
    "classification-full": ("task=classification", "peft=full"),
    "ner-full": ("task=ner", "peft=full"),
    "ner-lora": ("task=ner", "peft=lora", running.ADAPTER_WITHOUT_DROPOUT),
}


def _global_mean(output: Any, labels: Tensor, num_items_in_batch: Tensor) -> Tensor:
    """Return what a micro-batch adds to the mean over all targets of the step.

    Without it the Trainer adds up means: a BERT takes any keyword, so the Trainer believes that it divides by the
    number of targets in the step, and does not divide by the number of micro-batches itself.
    """
    logits = output["logits"].flatten(0, -2)
    return functional.cross_entropy(logits, labels.flatten(), reduction="sum") / num_items_in_batch


def _train_theirs(
    model: Any, features: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, micro_batches: int
) -> list[float]:
    """Train with the Trainer, and return the norm of the gradient before it was clipped, step by step."""
    words = "words" in features.column_names
    collator: Callable[..., Any] = (DataCollatorForTokenClassification if words else DataCollatorWithPadding)(tokenizer)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=COUNT // micro_batches,
            gradient_accumulation_steps=micro_batches,
            num_train_epochs=STEPS,
            learning_rate=RATE,
            weight_decay=DECAY,
            adam_beta1=0.8,
            adam_beta2=0.95,
            adam_epsilon=EPS,
            lr_scheduler_type="linear",
            warmup_steps=WARMUP,
            max_grad_norm=1.0,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        ),
        train_dataset=features,
        data_collator=collator,
        compute_loss_func=_global_mean if micro_batches > 1 else None,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row]


@pytest.mark.parametrize("micro_batches", [1, 4], ids=["whole", "accumulated"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_trainer_ends_with_the_same_weights(kind: str, micro_batches: int, tmp_path: Path) -> None:
    share = (f"data.batch_size={COUNT // micro_batches}", f"trainer.accumulate_grad_batches={micro_batches}")
    ours = running.assembled(tmp_path / "ours", *OURS, *KINDS[kind], *share)
    theirs = deepcopy(ours.module.model)
    before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    ours.trainer.fit(ours.module, ours.data)
    features = ours.data.splits["train"].features
    norms = _train_theirs(theirs, features, ours.tokenizer, tmp_path / "theirs", micro_batches)

    assert len(norms) == ours.trainer.global_step == STEPS
    assert max(norms) > 1  # so that clipping has something to do
    after = theirs.state_dict()
    for name, tensor in ours.module.model.state_dict().items():
        torch.testing.assert_close(tensor, after[name], atol=1e-5, rtol=0, msg=f"{name} differs")
    assert max((after[name] - before[name]).abs().max().item() for name in after) > 0.5 * RATE * STEPS / 2
