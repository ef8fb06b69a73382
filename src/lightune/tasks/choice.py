"""Multiple choice: which of several answers to a question, or endings of a text, is the right one."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError, nearest
from lightune.metrics.calibration import calibration_table
from lightune.metrics.choice import accuracy, macro_accuracy, per_subject_table
from lightune.metrics.qa import exact_match, f1
from lightune.models.architecture import architecture_of
from lightune.tasks.base import Batch, Output, Prediction, Task, absent, model_inputs
from lightune.tasks.choices import LETTERS, NOTATIONS, ChoiceColumns, read_choices
from lightune.tasks.likelihood import (
    NORMALIZATIONS,
    Prompt,
    choice_log_likelihoods,
    demonstrations,
    encode_example,
)
from lightune.tasks.pairs import encode_pairs


@dataclass(frozen=True)
class MultipleChoice(Task):
    """One of several choices for each example; their number may differ from example to example.

    An encoder reads each choice beside the context and gives it a score with a head of its own. A decoder needs none: a
    choice's score is its log-likelihood after a prompt, which an untrained model has too. Both learn by the cross
    entropy over the scores of an example's choices, since their order is what accuracy looks at (for likelihoods: Liu
    et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning").

    Args:
        columns: Canonical column (id, context, question, choices, answer, subject) → the data's column; choices may be
            a list of columns, and context, question and subject None.
        answers: How the data writes answers: ``index``, ``letter``, ``text``, or ``auto``.
        first: The number of the first choice, where answers are numbers.
        repeated: Whether a row may have its right choice twice.
        placeholder: What stands in the question where the choice belongs, as in ReCoRD; None where it follows.
        compare_texts: Whether the picked text is measured by exact match and F1 of words too, as SQuAD's.
        prompt: How a decoder is asked.
        normalize: What a decoder's log-likelihoods are divided by: ``none``, the number of ``tokens`` or of ``bytes``.
        demonstrations: Canonical rows of which the prompt's shots are taken; None takes them from train.
        architectures: Kinds of backbone it works with.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
        likelihood: Whether the backbone is a decoder; `with_backbone` finds out.
    """

    columns: ChoiceColumns
    answers: str = "auto"
    first: int = 0
    repeated: bool = False
    placeholder: str | None = None
    compare_texts: bool = False
    prompt: Prompt = field(default_factory=Prompt)
    normalize: str = "none"
    demonstrations: Sequence[Row] | None = None
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "choice"
    monitor: str = "accuracy"
    likelihood: bool = False

    padding: ClassVar[Mapping[str, int]] = {
        "input": 0,
        "target_ids": losses.IGNORED,
        "bytes": 1,
        "right": losses.IGNORED,
    }
    kept: ClassVar[Sequence[str]] = ("demonstrations",)
    unencoded: ClassVar[Sequence[str]] = ("answers", "first", "repeated", "compare_texts", "normalize")

    def __post_init__(self) -> None:
        """Refuse settings that do not exist.

        Raises:
            ConfigError: `answers` or `normalize` is none of its options.
        """
        for key, value, options in (
            ("answers", self.answers, NOTATIONS),
            ("normalize", self.normalize, NORMALIZATIONS),
        ):
            if value not in options:
                raise ConfigError(
                    f"task.{key}={value}: expected one of {', '.join(options)}", nearest(str(value), options)
                )

    @property
    def auto_class(self) -> str:
        """Return the name of the transformers auto class that builds the model."""
        return "AutoModelForCausalLM" if self.likelihood else "AutoModelForMultipleChoice"

    @property
    def peft_type(self) -> str:
        """Return peft's name of the task; it has none for heads over choices."""
        return "CAUSAL_LM" if self.likelihood else "SEQ_CLS"

    # Rows -------------------------------------------------------------------------------------------------------------

    def read(self, table: Table) -> Table:
        """Return rows of id, context, question, choices, answer and right (indices), and what `read_choices` adds."""
        return read_choices(table, self.columns, self.answers, self.first, self.repeated, self.placeholder)

    def stand_ins(self, row: Row) -> Row:
        """Return the first choice, as answers are written."""
        first = {"letter": LETTERS[0], "text": None}.get(self.answers, str(self.first))
        return {} if first is None else absent(row, str(self.columns["answer"]), first)

    def with_labels(self, train: Table) -> Self:
        """Return the task with its demonstrations, unless they were given."""
        if self.demonstrations is not None or not self.prompt.shots:
            return self
        return replace(self, demonstrations=demonstrations(train.rows, self.prompt.shots))

    def stratum(self, row: Row) -> Hashable:
        """Return the subject: every split gets its share of each."""
        return row.get("subject")

    def counted(self, row: Row) -> Sequence[str]:
        """Return which of the choices is right."""
        return [f"choice {row['answer'] + 1}"]

    def group(self, row: Row) -> Hashable:
        """Return the context: its questions stay in one split."""
        return (row["context"] or row["id"]) if self.columns.get("context") else None

    # Features ---------------------------------------------------------------------------------------------------------

    def with_backbone(self, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task that scores choices as the backbone can."""
        return replace(self, likelihood=architecture_of(config) == "decoder")

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return one feature an example: the inputs of its choices, and the right ones' indices.

        Raises:
            DataError: Choices are to be named by letters, and there are more of them.
        """
        table = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
        if self.likelihood:
            self._refuse_too_many(table)
            known = self.demonstrations or ()
            features = [encode_example(row, self.prompt, known, tokenizer, max_length) for row in table]
            encoded = {key: [feature[key] for feature in features] for key in features[0]}
        else:
            encoded = encode_pairs(table, tokenizer, max_length)
        return {**encoded, "labels": rows["answer"], "right": rows["right"], "example": rows["example"]}

    def _refuse_too_many(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if self.prompt.letters and len(row["choices"]) > len(LETTERS):
                raise DataError(
                    f"example {row['id']}: {len(row['choices'])} choices cannot be named by {len(LETTERS)} letters",
                    "let their texts be compared: task.prompt.letters=false",
                )

    # Steps ------------------------------------------------------------------------------------------------------------

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the cross entropy over each example's choices; where several are right, of any of them.

        Logits are the scores ``(batch, choices, ways)``, minus infinity where an example has no such choice. An encoder
        has one way to score, a decoder all of `NORMALIZATIONS`.
        """
        scores = self._likelihoods(model, batch) if self.likelihood else head_scores(model, batch)[:, :, None]
        joined = right_ones_joined(scores[:, :, self._decisive], batch["labels"], batch["right"])
        loss_sum, count = losses.cross_entropy(joined, batch["labels"])
        return Output(loss_sum, count, (scores.detach(),))

    def _likelihoods(self, model: nn.Module, batch: Batch) -> Tensor:
        sums = choice_log_likelihoods(model, batch)
        tokens = (batch["target_ids"] != losses.IGNORED).sum(-1).clamp(min=1)
        return torch.stack([sums, sums / tokens, sums / batch["bytes"][:, : sums.size(1)]], -1)

    @property
    def _decisive(self) -> int:
        """The place of the scores that decide."""
        return NORMALIZATIONS.index(self.normalize) if self.likelihood else 0

    @property
    def _ways(self) -> dict[str, int]:
        """The places of scores whose accuracies are worth telling apart; letters are equally long."""
        compared = self.likelihood and not self.prompt.letters
        return {f"accuracy_{name}": place for place, name in enumerate(NORMALIZATIONS)} if compared else {}

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, scores of its choices) for each feature, ``(choices, ways)``."""
        (scores,) = output.logits
        return [
            (example, part[part[:, 0] != -torch.inf].cpu().numpy())
            for example, part in zip(batch["example"].tolist(), scores.float(), strict=True)
        ]

    # Examples ---------------------------------------------------------------------------------------------------------

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the text of the likeliest choice of each example; of equally likely ones the first."""
        return [self._prediction(example, examples[example], torch.from_numpy(scores)) for example, scores in evidence]

    def _prediction(self, example: int, row: Row, scores: Tensor) -> Prediction:
        picks = scores.argmax(0).tolist()  # of each way
        pick = picks[self._decisive]
        probabilities = scores[:, self._decisive].softmax(0).tolist()
        right = {key: float(picks[place] in row["right"]) for key, place in self._ways.items()}
        found = {"confidence": probabilities[pick], "accuracy": float(pick in row["right"]), **right}
        texts = row.get("names") or row["choices"]
        answers = [texts[index] for index in row["right"]]
        if self.compare_texts:
            found |= {"exact_match": exact_match(texts[pick], answers), "f1": f1(texts[pick], answers)}
        target = answers if len(answers) > 1 else answers[0]
        return Prediction(example, row["id"], texts[pick], target, found, probabilities, row.get("subject"))

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return the accuracy; with subjects their mean; for likelihoods of whole texts that of each normalisation."""
        found = {key: accuracy(_right(predictions, key)) for key in ("accuracy", *self._ways)}
        if self.columns.get("subject"):
            found["accuracy_macro"] = macro_accuracy(_right(predictions), _subjects(predictions))
        if self.compare_texts:
            count = max(len(predictions), 1)
            found |= {key: sum(p.scores[key] for p in predictions) / count for key in ("exact_match", "f1")}
        return found

    def tables(self, predictions: Sequence[Prediction]) -> dict[str, list[dict[str, Any]]]:
        """Return the calibration, and each subject's accuracy where there are subjects."""
        calibration = calibration_table([p.scores["confidence"] for p in predictions], _right(predictions))
        if not self.columns.get("subject"):
            return {"calibration": calibration}
        subjects = per_subject_table(_right(predictions), _subjects(predictions))
        return {"per_subject": subjects, "calibration": calibration}


def _right(predictions: Sequence[Prediction], key: str = "accuracy") -> list[bool]:
    return [bool(p.scores[key]) for p in predictions]


def _subjects(predictions: Sequence[Prediction]) -> list[str]:
    return [str(p.group) for p in predictions]


def right_ones_joined(scores: Tensor, first: Tensor, right: Tensor) -> Tensor:
    """Return scores in which the first right choice has the log of the sum of all right ones' exponentials.

    The cross entropy with the first as target is then the negative log-probability that any right one is picked; where
    only one is right, nothing changes.

    Args:
        scores: Of each choice, ``(batch, choices)``.
        first: Index of the first right one, ``(batch,)``.
        right: Indices of all right ones, filled up with `losses.IGNORED`, ``(batch, most)``.
    """
    beyond = scores.size(1)  # where what only fills up is put
    places = torch.where(right == losses.IGNORED, beyond, right)
    is_right = scores.new_zeros(len(scores), beyond + 1, dtype=torch.bool).scatter(1, places, True)[:, :beyond]
    joined = scores.masked_fill(~is_right, -torch.inf).logsumexp(1, keepdim=True)
    return scores.masked_fill(is_right, -torch.inf).scatter(1, first[:, None], joined)


def head_scores(model: nn.Module, batch: Batch) -> Tensor:
    """Return the head's score of each choice, ``(batch, choices)`` float32; minus infinity where there is none.

    Only choices that exist are run, as those of one long example: what a score is does not depend on the others.

    Args:
        model: A transformers model for multiple choice.
        batch: Inputs ``(batch, choices, length)``.
    """
    exists = batch["attention_mask"].any(-1)
    inputs = {name: tensor[exists][None] for name, tensor in model_inputs(batch).items()}
    found = model(**inputs).logits.float().flatten()
    return found.new_full(exists.shape, -torch.inf).masked_scatter(exists, found)
