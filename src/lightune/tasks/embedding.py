"""Sentence embeddings: vectors of texts, close to each other where the texts say the same."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError, nearest
from lightune.metrics.regression import regression_metrics
from lightune.metrics.retrieval import Found, retrieval_metrics
from lightune.models.architecture import architecture_of
from lightune.tasks.base import Batch, Output, Prediction, Task, model_inputs
from lightune.tasks.columns import Columns, canonical, require_text
from lightune.tasks.negatives import NOBODY, in_batch, of_batch, searched, stacked
from lightune.tasks.pooling import EXAMPLE, EXAMPLES, NORMALIZED, POOLINGS
from lightune.tasks.texts import TEXTS, encode_texts, finite_number, regrouped

LOSSES = ("contrastive", "cosine", "cosent")


@dataclass(frozen=True)
class Embedding(Task):
    """A vector for each text, learnt from pairs of texts that belong together, or from pairs with a score.

    ``contrastive`` makes the first text of a pair find its second among all second texts and hard negatives of the
    batch (InfoNCE, also called multiple negatives ranking). ``cosine`` brings the cosine of a pair to its score,
    ``cosent`` brings the cosines into the order of the scores.

    Two of them compare the pairs of a micro-batch with each other, and so are the exception to the rule that a step
    does not depend on how it is split: accumulated micro-batches add pairs, and nothing to compare with.
    ``contrastive`` sees the negatives of all ranks, ``cosent`` the pairs of its own. The loss of an evaluation is that
    of the whole split, whatever its batches.

    Args:
        columns: Canonical column (id, text, text_pair, negative, score) → the data's column. ``negative`` holds a text,
            or a list of texts, that the first is not to be close to, and may be absent; ``score`` may be None.
        loss: ``contrastive``, ``cosine`` or ``cosent``.
        pooling: ``mean``, ``cls`` or ``last``; ``auto`` is the mean for encoders and the last token for decoders.
        normalize: Whether vectors have length 1, so that products are cosines.
        temperature: Divides similarities in ``contrastive`` and ``cosent``.
        symmetric: Whether the second text of a pair has to find the first as well, in ``contrastive``.
        positive_score: Score from which the texts of a scored pair belong together, for ``contrastive``; what has less
            only serves as a negative.
        score_range: The scores that ``cosine`` brings to a cosine of 0 and of 1.
        architectures: Kinds of backbone that it works on.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    loss: str = "contrastive"
    pooling: str = "auto"
    normalize: bool = True
    temperature: float = 0.05
    symmetric: bool = False
    positive_score: float | None = None
    score_range: tuple[float, float] = (0.0, 5.0)
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "embedding"
    monitor: str = "mrr"

    auto_class: ClassVar[str] = "AutoModel"
    peft_type: ClassVar[str] = "FEATURE_EXTRACTION"
    padding: ClassVar[Mapping[str, int]] = MappingProxyType({"key": NOBODY})
    augmentable: ClassVar[Sequence[str]] = ("text", "text_pair")
    unencoded: ClassVar[Sequence[str]] = (
        *("loss", "pooling", "normalize", "temperature", "symmetric", "positive_score", "score_range"),
    )

    def __post_init__(self) -> None:
        """Refuse settings that do not go together."""
        for key, value, known in (("loss", self.loss, LOSSES), ("pooling", self.pooling, ("auto", *POOLINGS))):
            if value not in known:
                raise ConfigError(f"task.{key}={value}: there is no such {key}", nearest(value, known))
        if not self.temperature > 0:
            raise ConfigError(f"task.temperature={self.temperature}: expected a number above 0", "type 0.05, say")
        if not self.score_range[0] < self.score_range[1]:
            raise ConfigError(
                f"task.score_range={list(self.score_range)}: expected the lowest and the highest score",
                "type 'task.score_range=[0,5]', say",
            )
        if self.loss != "contrastive" and not self.scored:
            raise ConfigError(f"task.loss={self.loss} needs scores", "type task.columns.score=<column>")
        if self.loss == "contrastive" and self.scored and self.positive_score is None:
            raise ConfigError(
                "task.loss=contrastive does not know which of the scored pairs belong together",
                "type task.positive_score=4, say, or task.loss=cosent",
            )

    @property
    def scored(self) -> bool:
        """Whether pairs have a score."""
        return self.columns.get("score") is not None

    @property
    def _positive_from(self) -> float:
        return self.positive_score or 0.0

    # Rows ---------------------------------------------------------------------------------------------------------

    def read(self, table: Table) -> Table:
        """Return rows of id, text, text_pair, and, where the data has them, negative (a list) and score (a float)."""
        read = canonical(table, self.columns, optional=("id", "negative", "score"), usual=("negative",))
        for column in TEXTS:
            require_text(read, column, self.columns[column])
        for index, row in enumerate(read.rows):
            if "negative" in row:
                row["negative"] = _negatives(row["negative"], read.locate(index), self.columns["negative"])
            if self.scored:
                row["score"] = self._score(row["score"], read.locate(index))
        return read

    def _score(self, value: Any, place: str) -> float:
        score, (low, high) = finite_number(value, place, self.columns["score"]), self.score_range
        if self.loss == "cosine" and not low <= score <= high:
            raise DataError(
                f"{place}: the score {score:g} lies outside of task.score_range=[{low:g},{high:g}]",
                "mend the row, or type the range of your scores",
            )
        return score

    def with_labels(self, train: Table) -> Self:
        """Return the task itself: texts have no labels.

        Raises:
            DataError: Nothing can be learnt from the scores.
        """
        scores = [row["score"] for row in train.rows] if self.scored else []
        if scores and self.loss == "contrastive" and max(scores) < self._positive_from:
            raise DataError(
                f"{train.origin}: no pair reaches task.positive_score={self._positive_from:g}",
                f"type a lower one: the highest score is {max(scores):g}",
            )
        if scores and self.loss != "contrastive" and len(set(scores)) < 2:
            raise DataError(
                f"{train.origin}: all pairs have the same score, {scores[0]}",
                "different ones are needed; is task.columns.score the right column?",
            )
        return self

    def group(self, row: Row) -> Hashable:
        """Return the first text: whatever forms a pair with it stays in one split."""
        return row["text"]

    # Features -----------------------------------------------------------------------------------------------------

    def with_backbone(self, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task with the pooling that suits the backbone."""
        suits = "last" if architecture_of(config) == "decoder" else "mean"
        return replace(self, pooling=suits if self.pooling == "auto" else self.pooling)

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids and a key for each text of an example: the pair, then its hard negatives."""
        negatives = rows.get("negative") or [[]] * len(rows["text"])
        texts = [[*pair, *others] for *pair, others in zip(rows["text"], rows["text_pair"], negatives, strict=True)]
        flat = [text for group in texts for text in group]
        encoded = encode_texts({"text": flat, "example": flat}, {}, tokenizer, max_length)
        grouped = {key: regrouped(values, texts) for key, values in encoded.items()}
        return {
            **grouped,
            "key": [[_key(text) for text in group] for group in texts],
            "example": rows["example"],
            "truncated": [any(cut) for cut in grouped["truncated"]],
            "length": [sum(map(len, group)) for group in grouped["input_ids"]],
            **({"score": rows["score"]} if self.scored else {}),
        }

    # Steps --------------------------------------------------------------------------------------------------------

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the loss over the batch's pairs, in training; logits are the vectors of first and of other texts.

        An evaluation has no loss yet: that is a matter of all texts of its split.
        """
        inputs = model_inputs(batch)
        # Texts are encoded by slot: the second texts of all examples, then their first negatives, and so on.
        slots = {name: values[:, 1:].transpose(0, 1).flatten(0, 1) for name, values in inputs.items()}
        firsts = self._embedded(model, {name: values[:, 0] for name, values in inputs.items()})
        others = self._embedded(model, slots)
        loss, count = firsts.new_zeros(()), torch.tensor(len(firsts), device=firsts.device)
        if model.training:
            # Products in half precision are too coarse for a softmax at a low temperature.
            with torch.autocast(firsts.device.type, enabled=False):
                loss, count = self._loss(firsts, others, batch)
        return Output(loss, count, (firsts.detach(), others.detach()))

    def _embedded(self, model: nn.Module, inputs: Batch) -> Tensor:
        """Return the vectors of the texts that are there, ``(texts, size)`` float32, padded no further than needed."""
        lengths = inputs["attention_mask"].sum(-1)
        there, longest = lengths > 0, int(lengths.max())
        trimmed = {name: values[there, :longest] for name, values in inputs.items()}
        hidden = model(**trimmed).last_hidden_state.float()
        vectors = POOLINGS[self.pooling](hidden, trimmed["attention_mask"])
        return functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def _loss(self, firsts: Tensor, others: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.loss != "contrastive":
            return self._loss_of_cosines(functional.cosine_similarity(firsts, others[: len(firsts)]), batch["score"])
        counted = batch["score"] >= self._positive_from if self.scored else None
        return in_batch(*of_batch(firsts, others, batch["key"]), self.temperature, counted, self.symmetric)

    def _loss_of_cosines(self, cosines: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        if self.loss == "cosent":
            return losses.cosent(cosines, scores, temperature=self.temperature)
        low, high = self.score_range
        return losses.squared_error(cosines, (scores - low) / (high - low))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, vectors of its texts) for each feature, ``(texts, size)`` float32."""
        slots = batch["key"][:, 1:].T
        owners = torch.arange(slots.size(1), device=slots.device).expand_as(slots)[slots != NOBODY].cpu().numpy()
        firsts, others = (vectors.float().cpu().numpy() for vectors in output.logits)
        examples = enumerate(batch["example"].tolist())
        return [(example, np.vstack([firsts[i], others[owners == i]])) for i, example in examples]

    # Examples -----------------------------------------------------------------------------------------------------

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return `_concluded` predictions, with the vectors of first texts."""
        firsts = {example: vectors[0] for example, vectors in evidence}
        return [replace(p, vector=firsts[p.example]) for p in self._concluded(evidence, examples)]

    def _concluded(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the cosine of scored pairs; of others the text of the split that is most similar to the first.

        Every second text and hard negative of the split is a candidate, once. Left out are the first text itself, and
        whatever else it forms a pair with.
        """
        vectors = dict(sorted(evidence, key=lambda piece: piece[0]))
        rows = [examples[example] for example in vectors]
        pairs = stacked(v[:2] for v in vectors.values())
        cosines = functional.cosine_similarity(pairs[:, 0], pairs[:, 1]).tolist()
        if self.loss != "contrastive":
            return [Prediction(e, r["id"], c, r["score"]) for e, r, c in zip(vectors, rows, cosines, strict=True)]
        texts, found = searched(list(vectors.values()), rows, self.temperature)
        whole = list(zip(vectors, rows, cosines, found, strict=True))
        if self.scored:
            return [Prediction(e, r["id"], c, r["score"], self._counted_loss(r, f)) for e, r, c, f in whole]
        return [
            Prediction(e, r["id"], texts[f.best], r["text_pair"], {"cosine": c, "rank": f.rank, "loss": f.log_loss})
            for e, r, c, f in whole
        ]

    def _counted_loss(self, row: Row, found: Found) -> dict[str, float]:
        return {"loss": found.log_loss} if row["score"] >= self._positive_from else {}

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return Spearman's and Pearson's correlation of scored pairs, else MRR, recall and NDCG; and the loss."""
        if not self.scored:
            return {**retrieval_metrics([p.scores["rank"] for p in predictions]), "loss": self._split_loss(predictions)}
        found = regression_metrics([p.prediction for p in predictions], [p.target for p in predictions])
        return {**{key: found[key] for key in ("spearman", "pearson")}, "loss": self._split_loss(predictions)}

    def _split_loss(self, predictions: Sequence[Prediction]) -> float:
        if self.loss == "contrastive":
            parts = [p.scores["loss"] for p in predictions if "loss" in p.scores]
            return sum(parts) / max(len(parts), 1)
        pairs = torch.tensor([[p.prediction, p.target] for p in predictions]).view(-1, 2)
        loss, count = self._loss_of_cosines(*pairs.T)
        return float(loss / count.clamp(min=1))

    def usage(self) -> str:
        """Return how vectors are had from the model: pooling is no part of it."""
        return EXAMPLE.format(pooled=EXAMPLES[self.pooling]) + (NORMALIZED if self.normalize else "")


def _negatives(value: Any, place: str, column: str | None) -> list[str]:
    """Return the hard negatives of a row as a list."""
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise DataError(
                f"{place}: column '{column}' should hold a text, or a list of texts, and holds {text!r:.60}",
                "mend or leave out the row, or name another column: task.columns.negative=…",
            )
    return texts


def _key(text: str) -> int:
    """Return a number from 0 to 2^63 - 1 that equal texts share, and others as good as never."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
