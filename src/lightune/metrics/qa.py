"""Exact match and F1 of extractive question answering, by SQuAD's definition (Rajpurkar et al. 2016 and 2018).

The normalisation is that of the official evaluation script, versions 1.1 and 2.0. Where an answer and a reference
are both empty once normalised, F1 is 1 as in version 2.0 (version 1.1 has no unanswerable questions). Scores lie
between 0 and 1, not 0 and 100.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def worded(references: Sequence[str]) -> list[str]:
    """Return the references that are not empty once normalised: version 2.0 does not count the others."""
    return [reference for reference in references if normalize_answer(reference)]


def no_answer_metrics(
    exact_matches: ArrayLike, f1s: ArrayLike, no_answer_scores: ArrayLike, answerable: ArrayLike, threshold: float
) -> dict[str, float]:
    """Return SQuAD 2.0's metrics, where some questions have no answer.

    Args:
        exact_matches: Exact match of each example's best span, whether or not it is given as the answer,
            ``(examples,)``; so are the others.
        f1s: F1 of that span.
        no_answer_scores: The higher, the surer is the model that there is no answer.
        answerable: Whether there is one.
        threshold: No answer is given where the score is above it. That counts 1 where there is none, else 0.

    Returns:
        ``exact_match`` and ``f1`` over all examples; ``has_answer_exact_match`` and ``has_answer_f1`` over those that
        have an answer; ``no_answer_accuracy`` over the others (the official script's NoAns_exact and NoAns_f1, which
        are equal). What the best threshold for each would give: ``best_exact_match`` at
        ``best_exact_match_threshold``, and ``best_f1`` at ``best_threshold``. A mean over no examples is 0.0.
    """
    with_answer = np.asarray(answerable, bool)
    silent = np.asarray(no_answer_scores, np.float64) > threshold
    metrics, best = {}, {}
    for key, spans in (("exact_match", exact_matches), ("f1", f1s)):
        given = np.where(silent, ~with_answer, np.asarray(spans, np.float64))
        metrics[key] = _mean(given)
        metrics[f"has_answer_{key}"] = _mean(given[with_answer])
        metrics["no_answer_accuracy"] = _mean(given[~with_answer])
        best[f"best_{key}"] = best_threshold(spans, no_answer_scores, answerable)
    metrics |= {key: score for key, (_, score) in best.items()}
    return {**metrics, "best_exact_match_threshold": best["best_exact_match"][0], "best_threshold": best["best_f1"][0]}


def best_threshold(scores: ArrayLike, no_answer_scores: ArrayLike, answerable: ArrayLike) -> tuple[float, float]:
    """Return the threshold with the highest mean score, and that score.

    The official script tries the examples' own no-answer scores, from the lowest on, and takes the first of the best.
    The predictions stay the same up to the next example's, and the middle between the two is returned, so that no
    rounding of the scores tips an example over. Equal ones are taken together here, which the script does not do; and
    where to answer nothing is best, the threshold is below all of them, where the script has 0.

    Args:
        scores: Of each example's best span, ``(examples,)``; so are the others.
        no_answer_scores: The higher, the surer is the model that there is no answer.
        answerable: Whether there is one.

    Returns:
        Both 0.0 where there are no examples.
    """
    spans, silence = np.asarray(scores, np.float64), 1.0 - np.asarray(answerable, bool)
    if not len(spans):
        return 0.0, 0.0
    levels, level = np.unique(np.asarray(no_answer_scores, np.float64), return_inverse=True)
    gains = np.bincount(level, weights=spans - silence)  # of giving the answers at each level
    totals = silence.sum() + np.concatenate([[0.0], gains.cumsum()])
    between = np.concatenate([[levels[0] - 1], (levels[:-1] + levels[1:]) / 2, [levels[-1] + 1]])
    best = int(totals.argmax())
    return float(between[best]), float(totals[best]) / len(spans)


def _mean(scores: NDArray[np.float64]) -> float:
    return float(scores.mean()) if len(scores) else 0.0


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
