"""How likely a language model finds each choice: prompts, their tokens, and log-likelihoods.

The way of GPT-3 (Brown et al. 2020, section 2.4) and of the LM Evaluation Harness: a prompt ends where the answer
begins, and each choice is scored by the log-probability of its tokens after the prompt.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row
from lightune.errors import ConfigError
from lightune.losses import IGNORED
from lightune.tasks.choices import LETTERS
from lightune.tasks.documents import leading_tokens

NORMALIZATIONS = ("none", "tokens", "bytes")
_SLOTS = ("context", "question", "choices", "subject")
_BETWEEN = "\n\n"  # examples of a prompt


@dataclass(frozen=True)
class Prompt:
    """How an example is put to a language model.

    Args:
        template: Its text up to the answer, with ``{context}``, ``{question}``, ``{choices}`` and ``{subject}``. A line
            all of whose slots are empty is left out.
        instruction: What comes before everything else; may name the ``{subject}``.
        letters: Whether the choices are listed with letters and the answer is a letter, as in MMLU (Hendrycks et al.
            2021); else they are not listed, and the answer is the choice's own text.
        shots: Solved examples that are shown before the question.
    """

    template: str = "{context}\n{question}\n{choices}\nAnswer:"
    instruction: str | None = None
    letters: bool = True
    shots: int = 0

    def __post_init__(self) -> None:
        """Refuse slots that there are not.

        Raises:
            ConfigError: Template or instruction has another slot, or `shots` is negative.
        """
        for key, text in (("template", self.template), ("instruction", self.instruction or "")):
            try:
                text.format(**dict.fromkeys(_SLOTS, ""))
            except (LookupError, ValueError, AttributeError) as error:
                raise ConfigError(
                    f"task.prompt.{key}: {text!r:.60} cannot be filled in: {error}",
                    f"its slots are {', '.join(f'{{{slot}}}' for slot in _SLOTS)}; a brace itself is written {{{{",
                ) from error
        if self.shots < 0:
            raise ConfigError(f"task.prompt.shots={self.shots}: expected a whole number of at least 0", "type 5")

    def texts(self, row: Row, shown: Sequence[Row] = ()) -> tuple[str, list[str]]:
        """Return the text before the answer, and each choice as the text that could follow.

        Args:
            row: The canonical row.
            shown: Solved examples.
        """
        solved = [self._question(other) + self._answers(other)[other["answer"]] for other in shown]
        head = [_filled(self.instruction, row, "")] if self.instruction else []
        return _BETWEEN.join([*head, *solved, self._question(row)]), self._answers(row)

    def _question(self, row: Row) -> str:
        listed = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, row["choices"], strict=False)]
        return _filled(self.template, row, "\n".join(listed) if self.letters else "")

    def _answers(self, row: Row) -> list[str]:
        """Return the answers with the space before them, which belongs to their first token."""
        return [f" {answer}" for answer in (LETTERS[: len(row["choices"])] if self.letters else row["choices"])]


def _filled(template: str, row: Row, choices: str) -> str:
    # Data sets write subjects as file names.
    subject = str(row.get("subject") or "").replace("_", " ")
    values = {"context": row["context"], "question": row["question"], "choices": choices, "subject": subject}
    lines = []
    for line in template.split("\n"):
        slots = re.findall(r"{(\w+)}", line)
        if not slots or any(values.get(slot) for slot in slots):
            lines.append(line.format(**values))
    return "\n".join(lines)


def demonstrations(train: Sequence[Row], shots: int) -> list[Row]:
    """Return the rows to show: of each subject the first `shots` of train, and one more.

    The spare one takes the place of a training example's own row, which must not be shown before it.
    """
    # Checkpoints keep them in their configuration, which would take ${ for a reference.
    chosen: dict[Any, list[Row]] = {}
    for row in (row for row in train if "${" not in str(row)):
        of_subject = chosen.setdefault(row.get("subject"), [])
        if len(of_subject) <= shots:
            of_subject.append(row)
    return [row for rows in chosen.values() for row in rows] if shots else []


def shown_before(row: Row, known: Sequence[Row], shots: int) -> list[Row]:
    """Return the demonstrations for a row: of its own subject where there are any, and never the row itself."""
    others = [other for other in known if not _same(row, other)]
    of_subject = [other for other in others if other.get("subject") == row.get("subject")]
    return (of_subject or others)[:shots]


def _same(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("context", "question", "choices"))


def encode_example(
    row: Row, prompt: Prompt, known: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Any]:
    """Return the feature of one example.

    Choices that differ in their last token only, such as letters, have the same input, which is run once.

    Args:
        row: The canonical row.
        prompt: How it is put.
        known: Rows that can be shown before it.
        tokenizer: Of the backbone.
        max_length: Tokens of an input. What is longer loses demonstrations first, then the beginning of its text.

    Returns:
        ``input_ids``, the distinct inputs, lists of tokens; for each choice ``input`` (its place among them),
        ``target_ids`` (its tokens) and ``bytes`` (its length in UTF-8); ``start``, the position in every input whose
        output predicts the first token of a choice; ``truncated``.
    """
    shown = shown_before(row, known, prompt.shots)
    before, targets = _tokens(*prompt.texts(row, shown), tokenizer)
    whole = _length(before, targets)
    while shown and _length(before, targets) > max_length:
        shown = shown[1:]
        before, targets = _tokens(*prompt.texts(row, shown), tokenizer)
    targets = [target[:max_length] for target in targets]
    before = _beginning_cut(before, max_length - max(map(len, targets)) + 1, tokenizer)
    inputs = [(*before, *target[:-1]) for target in targets]
    distinct = list(dict.fromkeys(inputs))
    return {
        "input_ids": [list(ids) for ids in distinct],
        "input": [distinct.index(ids) for ids in inputs],
        "target_ids": targets,
        "bytes": [len(answer.strip().encode()) for answer in prompt.texts(row)[1]],
        "start": len(before) - 1,
        "truncated": whole > max_length,
        "length": len(distinct) * max(map(len, distinct)),
    }


def _length(before: Sequence[int], targets: Sequence[Sequence[int]]) -> int:
    """Return the tokens of the longest input; a choice's last token is predicted, and never read."""
    return len(before) + max(map(len, targets)) - 1


def _tokens(
    before: str, answers: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[int], list[list[int]]]:
    """Return the tokens that all texts begin with, and those in which each goes on.

    A text is tokenised together with its answer, as a model would read it: a tokenizer may join characters on either
    side of the boundary.
    """
    opening = leading_tokens(tokenizer)
    texts = [before, *(before + answer for answer in answers)]
    prompt, *wholes = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    shared = min(_common(prompt, whole) for whole in wholes)
    if shared == 0 and not opening:
        opening = [tokenizer.eos_token_id]  # something has to come before the first token that is predicted
    return [*opening, *prompt[:shared]], [whole[shared:] for whole in wholes]


def _common(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """Return how many tokens two texts have in common; at least one is left of the second."""
    for place, (one, other) in enumerate(zip(prompt, whole[:-1], strict=False)):
        if one != other:
            return place
    return min(len(prompt), len(whole) - 1)


def _beginning_cut(tokens: list[int], longest: int, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the end of a prompt; where there is room, after the token that begins every text."""
    if len(tokens) <= longest:
        return tokens
    opening = leading_tokens(tokenizer)[: longest - 1]
    return [*opening, *tokens[len(tokens) - longest + len(opening) :]]


def choice_log_likelihoods(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the log-probability of each choice's tokens after its prompt, summed.

    Only inputs that exist are run: what fills up an example's choices to those of another costs nothing. And logits are
    computed only at the positions that predict tokens of choices.

    Args:
        model: A causal language model.
        batch: ``input_ids`` and ``attention_mask`` ``(batch, inputs, length)``, ``input`` ``(batch, choices)``,
            ``target_ids`` ``(batch, choices, longest choice)`` filled up with `losses.IGNORED`, ``start`` ``(batch,)``.

    Returns:
        ``(batch, choices)`` float32; minus infinity where an example has no such choice.
    """
    exists = batch["attention_mask"].any(-1)
    targets = batch["target_ids"]
    counted = targets != IGNORED
    places = batch["start"][:, None] + torch.arange(targets.size(-1), device=targets.device)  # (batch, longest choice)
    kept = places.clamp(max=batch["input_ids"].size(-1) - 1).unique()  # sorted
    logits = model(
        input_ids=batch["input_ids"][exists],
        attention_mask=batch["attention_mask"][exists],
        logits_to_keep=kept,
    ).logits.float()  # (inputs that exist, kept positions, vocabulary)
    numbers = exists.flatten().cumsum(0).view_as(exists) - 1  # of each input among those that exist
    # Lists of numbers may have been filled up further than lists of lists, to a round length.
    rows = numbers.gather(1, batch["input"][:, : targets.size(1)])[:, :, None]  # (batch, choices, 1)
    columns = torch.searchsorted(kept, places).clamp(max=len(kept) - 1)[:, None, :]  # (batch, 1, longest choice)
    picked = logits[rows, columns, targets.where(counted, 0)] - logits.logsumexp(-1)[rows, columns]
    sums = picked.where(counted, 0.0).sum(-1)
    return sums.masked_fill(~counted.any(-1), -torch.inf)
