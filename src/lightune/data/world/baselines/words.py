"""What several baselines and their measures share: words, counts, F1."""

import re
from collections import Counter, defaultdict

from lightune.data.world.examples import Row


def words(text: str) -> list[str]:
    """Return a text's lower-case words without articles and punctuation."""
    return [word for word in re.findall(r"\w+", text.lower()) if word not in {"a", "an", "the"}]


def f1(shared: int, predicted: int, wanted: int) -> float:
    """Return the harmonic mean of precision and recall from counts."""
    return 2 * shared / (predicted + wanted) if shared else 0.0


def word_counts(train: list[Row]) -> dict[str, Counter[str]]:
    """Count in how many texts of each label a word occurs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for word in sorted(set(words(row["text"]))):
            counts[word][row["label"]] += 1
    return dict(counts)
