"""Exact match and F1 of extractive question answering, by SQuAD's definition (Rajpurkar et al. 2016).

The normalisation is that of the official evaluation script, versions 1.1 and 2.0. Where an answer and a reference
are both empty once normalised, F1 is 1 as in version 2.0 (version 1.1 has no unanswerable questions). Scores lie
between 0 and 1, not 0 and 100.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Return the text in lower case without ASCII punctuation, English articles and surplus white space.

    Punctuation is dropped, not replaced: ``"U.S."`` becomes ``"us"``. Other scripts' punctuation stays.
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 if the prediction equals any reference once both are normalised, else 0.0.

    Args:
        prediction: The predicted answer; ``""`` says that there is none.
        references: The accepted answers. No references at all means that the question has no answer, ``[""]``.
    """
    return _best(_same, prediction, references)


def f1(prediction: str, references: Sequence[str]) -> float:
    """Return the highest F1 of shared words between the prediction and any reference.

    Args:
        prediction: The predicted answer; ``""`` says that there is none.
        references: The accepted answers. No references at all means that the question has no answer, ``[""]``.
    """
    return _best(_overlap, prediction, references)


def qa_metrics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean exact match and F1 over examples.

    Args:
        predictions: One answer per example.
        references: The accepted answers of each example, in the same order.

    Returns:
        ``exact_match`` and ``f1``, 0 to 1; both 0.0 where there are no examples.
    """
    pairs = list(zip(predictions, references, strict=True))
    count = max(len(pairs), 1)
    return {
        "exact_match": sum(exact_match(*pair) for pair in pairs) / count,
        "f1": sum(f1(*pair) for pair in pairs) / count,
    }


def _best(score: Callable[[str, str], float], prediction: str, references: Sequence[str]) -> float:
    answer = normalize_answer(prediction)
    return max(score(answer, normalize_answer(reference)) for reference in references or [""])


def _same(answer: str, reference: str) -> float:
    return float(answer == reference)


def _overlap(answer: str, reference: str) -> float:
    found, wanted = answer.split(), reference.split()
    if not found or not wanted:
        return float(found == wanted)
    shared = sum((Counter(found) & Counter(wanted)).values())
    # 2PR / (P + R) with P = shared / found and R = shared / wanted.
    return 2 * shared / (len(found) + len(wanted))
