"""Causal language modelling: the next token of running text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.losses import IGNORED
from lightune.metrics.perplexity import perplexity_metrics
from lightune.tasks.base import Batch, Output, Prediction, Task
from lightune.tasks.columns import Columns
from lightune.tasks.documents import boundary_tokens, plain_ids, summed, windows
from lightune.tasks.language import language_inputs, measured_in_parts
from lightune.tasks.texts import read_texts


@dataclass(frozen=True)
class CausalLanguageModelling(Task):
    """Each token of a document from those before it.

    A document stands between a token that begins and one that ends it. One that is longer than the model is cut
    into windows; each begins with the last token of the one before, so that every token is predicted exactly once.

    Args:
        columns: Canonical column (id, text) → the data's column.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    architectures: tuple[str, ...] = ("decoder",)
    name: str = "clm"
    monitor: str = "perplexity"

    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    peft_type: ClassVar[str] = "CAUSAL_LM"
    padding: ClassVar[Mapping[str, int]] = {"labels": IGNORED}
    packable: ClassVar[bool] = True

    def read(self, table: Table) -> Table:
        """Return rows of id and text."""
        return read_texts(table, self.columns)

    def with_backbone(self, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task itself, for a tokenizer that can say where a document ends."""
        boundary_tokens(tokenizer)
        return self

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return one feature a window; its labels are its input ids, the first one aside, which nothing predicts."""
        begin, end = boundary_tokens(tokenizer)
        documents = zip(rows["example"], plain_ids(rows["text"], tokenizer), strict=True)
        cut = [(e, list(part)) for e, ids in documents for part in windows([begin, *ids, end], max_length, overlap=1)]
        return {
            "input_ids": [part for _, part in cut],
            "labels": [[IGNORED, *part[1:]] for _, part in cut],
            "example": [example for example, _ in cut],
            "truncated": [False] * len(cut),
        }

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the cross entropy of next tokens; logits are loss and number of targets, (batch,) each."""

        def measured(part: Batch) -> tuple[Tensor, ...]:
            logits = model(**language_inputs(model, part)).logits
            return losses.sequence_cross_entropy(logits, part["labels"], shift=True)

        sums, counts = measured_in_parts(model, batch, measured)
        return Output(sums.sum(), counts.sum(), (sums.detach(), counts))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, loss, targets) for each window."""
        sums, counts = output.logits
        return list(zip(batch["example"].tolist(), sums.double().tolist(), counts.tolist(), strict=True))

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the perplexity of each document; it has no target."""
        return [
            Prediction(
                example,
                examples[example]["id"],
                perplexity_metrics([loss], [tokens])["perplexity"],
                None,
                {"loss": loss, "tokens": tokens, "bytes": len(examples[example]["text"].encode())},
            )
            for example, (loss, tokens) in summed(evidence).items()
        ]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return perplexity per token and per byte, and bits per byte."""
        return perplexity_metrics(*([p.scores[key] for p in predictions] for key in ("loss", "tokens", "bytes")))
