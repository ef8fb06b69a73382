"""Masked language modelling: what stood in the place of masked tokens."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import ConfigError
from lightune.losses import IGNORED
from lightune.metrics.perplexity import perplexity_metrics
from lightune.tasks.base import Batch, Output, Prediction, Task, model_inputs
from lightune.tasks.columns import Columns
from lightune.tasks.documents import summed
from lightune.tasks.language import measured_in_parts, run_starts
from lightune.tasks.texts import read_texts

_NO_WORD = -1
_MASKED, _RANDOM = 0.8, 0.1  # of the chosen tokens (Devlin et al. 2019, section 3.1); the others stay


@dataclass(frozen=True)
class MaskedLanguageModelling(Task):
    """Tokens of a document from all others.

    In training other tokens are chosen each time that a document is seen. In an evaluation the choice depends on
    the window's tokens alone, so that its numbers can be compared between epochs, runs and batch sizes.

    Args:
        columns: Canonical column (id, text) → the data's column.
        mask_probability: Share of the words (or tokens) that are predicted.
        whole_words: Whether all tokens of a word are chosen together.
        mask_token: Id of the token that stands for a masked one; the tokenizer's.
        vocabulary: Ids from which random replacements are drawn: all below this number.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    mask_probability: float = 0.15
    whole_words: bool = False
    mask_token: int | None = None
    vocabulary: int = 0
    architectures: tuple[str, ...] = ("encoder",)
    name: str = "mlm"
    monitor: str = "perplexity"

    auto_class: ClassVar[str] = "AutoModelForMaskedLM"
    peft_type: ClassVar[str] = "FEATURE_EXTRACTION"  # peft has no name for it
    padding: ClassVar[Mapping[str, int]] = {"units": _NO_WORD}
    eval_only: ClassVar[Sequence[str]] = ("seed",)
    unencoded: ClassVar[Sequence[str]] = ("mask_probability", "mask_token", "vocabulary")

    def __post_init__(self) -> None:
        if not 0 < self.mask_probability < 1:
            raise ConfigError(
                f"task.mask_probability={self.mask_probability}: a share of the words, above 0 and below 1",
                "type for instance task.mask_probability=0.15",
            )

    def read(self, table: Table) -> Table:
        """Return rows of id and text."""
        return read_texts(table, self.columns)

    def with_backbone(self, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task with the tokenizer's mask token and the size of its vocabulary."""
        if tokenizer.mask_token_id is None:
            raise ConfigError("model: its tokenizer has no mask token", "choose another backbone, e.g. model=minilm")
        return replace(self, mask_token=tokenizer.mask_token_id, vocabulary=len(tokenizer))

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return one feature a window, with the ``units`` that are chosen together and the evaluation's ``seed``."""
        encoded = tokenizer(rows["text"], truncation=True, max_length=max_length, return_overflowing_tokens=True)
        origin = encoded["overflow_to_sample_mapping"]
        units = [_units(encoded.word_ids(i), self.whole_words) for i in range(len(origin))]
        columns = {key: encoded[key] for key in ("input_ids", "token_type_ids") if key in encoded}
        return {
            **columns,
            "units": units,
            "seed": [zlib.crc32(repr(ids).encode()) for ids in encoded["input_ids"]],
            "example": [rows["example"][i] for i in origin],
            "truncated": [False] * len(origin),
        }

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the cross entropy of chosen tokens.

        Logits are loss and number of targets, and in an evaluation how many were found, ``(batch,)`` each.
        """
        sums, counts, *hits = measured_in_parts(model, batch, partial(self._measured, model))
        return Output(sums.sum(), counts.sum(), (sums.detach(), counts, *hits))

    def _measured(self, model: nn.Module, batch: Batch) -> tuple[Tensor, ...]:
        assert self.mask_token is not None
        units = batch["units"]
        draws = _free_draws(units) if model.training else _fixed_draws(batch["seed"], units)
        chosen = chosen_tokens(units, draws[0], self.mask_probability)
        inputs = model_inputs(batch)
        masked = corrupted(inputs["input_ids"], chosen, draws[1], draws[2], self.mask_token, self.vocabulary)
        logits = model(**{**inputs, "input_ids": masked}).logits
        labels = inputs["input_ids"].where(chosen, IGNORED)
        found = losses.sequence_cross_entropy(logits, labels)
        # What a hit is matters to an evaluation only, and looking for it goes through the vocabulary once more.
        return found if model.training else (*found, _hits(logits, labels, chosen))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, loss, targets, hits) for each window."""
        sums, counts, hits = output.logits
        return list(zip(batch["example"].tolist(), sums.double().tolist(), counts.tolist(), hits.tolist(), strict=True))

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the share of chosen tokens that were found, for each document."""
        return [_prediction(example, examples[example], *found) for example, found in summed(evidence).items()]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return perplexity and accuracy over chosen tokens."""
        loss, tokens, hits = ([p.scores[key] for p in predictions] for key in ("loss", "tokens", "hits"))
        accuracy = sum(hits) / sum(tokens) if sum(tokens) else 0.0
        return {**perplexity_metrics(loss, tokens), "accuracy": accuracy}


def _units(word_ids: Sequence[int | None], whole_words: bool) -> list[int]:
    """Return the unit of each token: its word, or its own place; -1 for special tokens."""
    return [_NO_WORD if w is None else w if whole_words else place for place, w in enumerate(word_ids)]


def _hits(logits: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
    """Return how many of each window's chosen tokens are the likeliest, ``(batch,)``."""
    found = (logits[chosen].argmax(-1) == labels[chosen]).long()
    return torch.zeros_like(labels).masked_scatter(chosen, found).sum(1)


def _prediction(example: int, row: Row, loss: float, tokens: float, hits: float) -> Prediction:
    scores = {"loss": loss, "tokens": tokens, "hits": hits}
    return Prediction(example, row["id"], hits / tokens if tokens else None, None, scores)


def _free_draws(like: Tensor) -> Tensor:
    """Return other random numbers each time, ``(3, batch, length)``."""
    return torch.rand(3, *like.shape, device=like.device)


def _fixed_draws(seeds: Tensor, like: Tensor) -> Tensor:
    """Return random numbers that depend on each row's seed and on nothing else, ``(3, batch, length)``.

    Longer rows draw more numbers, but a position's own are the same however far the batch is padded.
    """
    rows = []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(like.size(1), 3, generator=generator).T)
    return torch.stack(rows, 1).to(like.device)


def chosen_tokens(units: Tensor, draws: Tensor, probability: float) -> Tensor:
    """Return which tokens are to be predicted: those of units whose first token drew a small number.

    Args:
        units: Number of the unit that each token belongs to, -1 where none, ``(batch, length)``.
        draws: Uniform random numbers from 0 to 1, ``(batch, length)``.
        probability: Share of units that are chosen.

    Returns:
        True at chosen tokens, ``(batch, length)``.
    """
    return (draws.gather(1, run_starts(units)) < probability) & (units != _NO_WORD)


def corrupted(
    input_ids: Tensor, chosen: Tensor, fates: Tensor, replacements: Tensor, mask_token: int, vocabulary: int
) -> Tensor:
    """Return the input with most chosen tokens masked, some replaced at random, and the others left alone.

    Args:
        input_ids: ``(batch, length)``.
        chosen: True at tokens that are to be predicted, ``(batch, length)``.
        fates: Uniform random numbers that decide what becomes of a token, ``(batch, length)``.
        replacements: Uniform random numbers that decide what replaces it, ``(batch, length)``.
        mask_token: Id of the mask.
        vocabulary: Replacements are below this id.
    """
    random_ids = (replacements * vocabulary).long().clamp(max=vocabulary - 1)
    masked = input_ids.masked_fill(chosen & (fates < _MASKED), mask_token)
    return random_ids.where(chosen & (fates >= _MASKED) & (fates < _MASKED + _RANDOM), masked)
