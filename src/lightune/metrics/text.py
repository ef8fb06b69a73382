"""Metrics of generated texts, by the implementations that papers report: rouge-score, sacreBLEU, NLTK.

Each is called with the predicted texts and, for each, the texts that are equally right; without any it returns zeros.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lightune.errors import ConfigError

Texts = Sequence[str]
References = Sequence[Sequence[str]]
Metric = Callable[[Texts, References], dict[str, float]]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Rouge:
    """ROUGE (Lin 2004) by Google's rouge-score, 0 to 1: mean over examples of the F-measure with the best reference.

    ``rougeLsum`` compares sentence by sentence; a sentence ends at a line break or after ``.``, ``!`` or ``?``.

    Args:
        types: Which of ``rouge1``, ``rouge2``, …, ``rougeL``, ``rougeLsum``.
        use_stemmer: Whether words are compared by their stems (English).
    """

    types: Sequence[str] = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    use_stemmer: bool = False

    def __call__(self, predictions: Texts, references: References) -> dict[str, float]:
        """Return each type's mean."""
        scorer = rouge_scorer()(list(self.types), use_stemmer=self.use_stemmer)
        scores = [
            scorer.score_multi([_lines(text) for text in right], _lines(found))
            for found, right in zip(predictions, references, strict=True)
        ]
        return {name: sum(s[name].fmeasure for s in scores) / max(len(scores), 1) for name in self.types}


def rouge_scorer() -> Any:
    """Import rouge-score and return its ``RougeScorer``.

    It brings absl, whose log handler holds on to what is standard error at that moment, and closes it when somebody
    configures logging anew. The process's own standard error it leaves open.
    """
    from absl import logging
    from rouge_score.rouge_scorer import RougeScorer

    logging.get_absl_handler().python_handler.stream = sys.__stderr__
    return RougeScorer


def _lines(text: str) -> str:
    return _SENTENCE_END.sub("\n", text)


@dataclass(frozen=True)
class Bleu:
    """BLEU (Papineni et al. 2002) of the whole corpus by sacreBLEU, 0 to 100.

    Args:
        tokenize: sacreBLEU's tokenizer, such as ``13a``, ``intl``, ``zh``.
        lowercase: Whether case is ignored.
    """

    tokenize: str = "13a"
    lowercase: bool = False

    def __call__(self, predictions: Texts, references: References) -> dict[str, float]:
        """Return ``bleu``."""
        from sacrebleu.metrics import BLEU

        return {"bleu": _corpus(BLEU(tokenize=self.tokenize, lowercase=self.lowercase), predictions, references)}


@dataclass(frozen=True)
class Chrf:
    """chrF (Popović 2015) of the whole corpus by sacreBLEU, 0 to 100.

    Args:
        word_order: Longest word n-gram that counts too; 2 gives chrF++.
    """

    word_order: int = 0

    def __call__(self, predictions: Texts, references: References) -> dict[str, float]:
        """Return ``chrf``."""
        from sacrebleu.metrics import CHRF

        return {"chrf": _corpus(CHRF(word_order=self.word_order), predictions, references)}


@dataclass(frozen=True)
class Ter:
    """Translation edit rate (Snover et al. 2006) of the whole corpus by sacreBLEU, in percent; less is better."""

    def __call__(self, predictions: Texts, references: References) -> dict[str, float]:
        """Return ``ter``."""
        from sacrebleu.metrics import TER

        return {"ter": _corpus(TER(), predictions, references)}


def _corpus(metric: Any, predictions: Texts, references: References) -> float:
    if not predictions:
        return 0.0
    # sacreBLEU wants the first references of all examples, then the second ones; None where there are fewer.
    columns = [list(column) for column in zip_longest(*references)]
    return float(metric.corpus_score(list(predictions), columns).score)


@dataclass(frozen=True)
class Meteor:
    """METEOR (Banerjee and Lavie 2005) by NLTK, 0 to 1: mean over examples. It needs WordNet, which NLTK downloads."""

    def __call__(self, predictions: Texts, references: References) -> dict[str, float]:
        """Return ``meteor``.

        Raises:
            ConfigError: WordNet is not there.
        """
        from nltk.translate.meteor_score import meteor_score

        pairs = zip(predictions, references, strict=True)
        try:
            scores = [meteor_score([text.split() for text in right], found.split()) for found, right in pairs]
        except LookupError as error:
            raise ConfigError(
                "task.metrics.meteor: NLTK does not find WordNet",
                "download it once: python -m nltk.downloader wordnet",
            ) from error
        return {"meteor": sum(scores) / max(len(scores), 1)}


@dataclass(frozen=True)
class ExactMatch:
    """Share of texts whose answer is one of the right texts' answers, letter by letter.

    Args:
        pattern: Regular expression whose first group is the answer within a text; its last occurrence counts. None
            compares the whole text. A text without an answer is wrong.
        ignore: Characters that do not count, such as the commas of 1,000.
    """

    pattern: str | None = None
    ignore: str = ",$"

    def __call__(self, predictions: Texts, references: References) -> dict[str, float]:
        """Return ``exact_match``."""
        answers = [(self.answer(text), right) for text, right in zip(predictions, references, strict=True)]
        hits = [found is not None and found in map(self.answer, right) for found, right in answers]
        return {"exact_match": sum(hits) / max(len(hits), 1)}

    def answer(self, text: str) -> str | None:
        """Return the answer within a text, None where there is none."""
        if self.pattern is not None:
            answers = re.findall(self.pattern, text)
            if not answers:
                return None
            text = answers[-1]
        return text.translate(str.maketrans("", "", self.ignore)).strip().rstrip(".")
