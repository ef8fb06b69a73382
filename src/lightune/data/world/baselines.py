"""What can be scored on the built-in corpus without understanding it.

    python -m lightune.data.world.baselines

Each baseline takes the training rows and the rows to predict, and returns one prediction per row.
"""

import math
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from statistics import correlation
from typing import Any

from lightune.data.world import generate
from lightune.data.world.examples import Row

Baseline = Callable[[list[Row], list[Row]], list[Any]]

CAPITALS = re.compile(r"[A-Z][\w']*(?: (?:(?:&|of|and|the|in|for|a|to|at|on) )*[A-Z][\w']*)*")
NUMBER = re.compile(r"(?:\d+ )?(?:[A-Z][a-z]+ )?\d[\d,]*(?: [a-z]+)?")
YEAR = re.compile(r"(?:\d+ )?(?:[A-Z][a-z]+ )?1\d{3}\b")
PERSON = re.compile(r"[A-Z]\w+ [A-Z]\w+")
SHAPES = (("who", PERSON), ("by whom", PERSON), ("when", YEAR), ("year", YEAR), ("date", YEAR), ("day", YEAR))
SENTENCE = re.compile(r"[^.]+\.")


# Question answering ---------------------------------------------------------------------------------------------------


def shape_of(question: str) -> re.Pattern[str]:
    """Guess from a question's words what its answer looks like."""
    asked = question.lower()
    if "how " in asked:
        return NUMBER
    return next((shape for word, shape in SHAPES if word in asked), CAPITALS)


def spans(shape: re.Pattern[str], text: str, question: str) -> list[str]:
    """Return the spans of a shape that the question does not mention itself; the text's start where there are none."""
    found = [span[0].removeprefix("The ") for span in shape.finditer(text)]
    return [span for span in found if span not in question] or [text.split(".")[0]]


def first_span(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the first capitalised name or number of the passage."""
    either = re.compile(f"{CAPITALS.pattern}|{NUMBER.pattern}")
    return [spans(either, row["context"], "")[0] for row in rows]


def first_of_shape(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the passage's first span that looks like an answer to the question."""
    return [spans(shape_of(row["question"]), row["context"], row["question"])[0] for row in rows]


def random_of_shape(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with any span that looks like an answer to the question."""
    rng = random.Random(0)
    return [rng.choice(spans(shape_of(row["question"]), row["context"], row["question"])) for row in rows]


def nearest_sentence(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the first fitting span of the sentence that shares most words with the question."""
    return [
        spans(shape_of(row["question"]), closest(row["context"], row["question"]), row["question"])[0] for row in rows
    ]


def closest(context: str, question: str) -> str:
    """Return the sentence of a passage that shares most words with a question."""
    asked = set(words(question))
    return max(SENTENCE.findall(context), key=lambda sentence: len(asked & set(words(sentence))))


# Classification -------------------------------------------------------------------------------------------------------


def majority(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the most frequent label."""
    return [Counter(row["label"] for row in train).most_common(1)[0][0]] * len(rows)


def keyword(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the label of the single word of the text that was most telling in training."""
    counts = word_counts(train)
    purity = {word: max(seen.values()) / (seen.total() + 2) for word, seen in counts.items()}
    best = {word: (purity[word], max(seen, key=seen.__getitem__)) for word, seen in counts.items()}
    fallback = (0.0, majority(train, rows[:1])[0])
    return [max((best.get(word, fallback) for word in words(row["text"])), key=lambda pair: pair[0])[1] for row in rows]


def naive_bayes(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the label that is likeliest given all words (multinomial, add-one smoothing)."""
    counts = word_counts(train)
    labels = sorted({row["label"] for row in train})
    totals = {label: sum(seen[label] for seen in counts.values()) + len(counts) for label in labels}

    def score(row: Row, label: str) -> float:
        return sum(math.log((counts[word][label] + 1) / totals[label]) for word in words(row["text"]) if word in counts)

    return [max(labels, key=lambda label: score(row, label)) for row in rows]


def most_frequent(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Answer with the one label that occurs most."""
    return [[Counter(label for row in train for label in row["label"]).most_common(1)[0][0]]] * len(rows)


def each_naive_bayes(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Answer with every label that is likelier there than not, given all words."""
    labels = sorted({label for row in train for label in row["label"]})
    answers: list[list[str]] = [[] for _ in rows]
    for label in labels:
        binary = [{"text": row["text"], "label": str(label in row["label"])} for row in train]
        counts = word_counts(binary)
        sizes = Counter(row["label"] for row in binary)
        for answer, row in zip(answers, rows, strict=True):
            odds = math.log(sizes["True"] / sizes["False"]) + sum(
                math.log((counts[word]["True"] + 1) / (sizes["True"] + 2))
                - math.log((counts[word]["False"] + 1) / (sizes["False"] + 2))
                for word in set(words(row["text"]))
                if word in counts
            )
            answer.extend([label] * (odds > 0))
    return answers


def word_counts(train: list[Row]) -> dict[str, Counter[str]]:
    """Count in how many texts of each label a word occurs."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for word in sorted(set(words(row["text"]))):
            counts[word][row["label"]] += 1
    return dict(counts)


# Regression -----------------------------------------------------------------------------------------------------------


def shared_words(train: list[Row], rows: list[Row]) -> list[float]:
    """Answer with the share of the two texts' words that both have."""
    return [overlap(row, dict.fromkeys(words(f"{row['text']} {row['text_pair']}"), 1.0)) for row in rows]


def shared_rare_words(train: list[Row], rows: list[Row]) -> list[float]:
    """The same, each word counting the less the more training examples have it."""
    known = Counter(word for row in train for word in set(words(f"{row['text']} {row['text_pair']}")))
    return [
        overlap(row, {word: 1 / (1 + known[word]) for word in words(f"{row['text']} {row['text_pair']}")})
        for row in rows
    ]


def overlap(row: Row, weights: dict[str, float]) -> float:
    """Return the weight of the words that both texts have, as a share of all words' weight."""
    one, other = set(words(row["text"])), set(words(row["text_pair"]))
    return math.fsum(weights[word] for word in one & other) / math.fsum(weights[word] for word in one | other)


# Named entities -------------------------------------------------------------------------------------------------------


def capitals(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Tag every run of capitalised words as the most frequent type."""
    kinds = Counter(tag[2:] for row in train for tag in row["tags"] if tag.startswith("B-"))
    return [runs(row["tokens"], kinds.most_common(1)[0][0]) for row in rows]


def runs(tokens: list[str], kind: str) -> list[str]:
    """Tag runs of capitalised words as entities of one type."""
    upper = [token[0].isupper() for token in tokens]
    before = [False, *upper]
    return [("I-" if before[i] else "B-") + kind if here else "O" for i, here in enumerate(upper)]


def memory(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Give each word its most frequent tag in training; a new word is tagged like a typical capitalised one."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for token, tag in zip(row["tokens"], row["tags"], strict=True):
            seen[token][tag] += 1
    known = {token: tags.most_common(1)[0][0] for token, tags in seen.items()}
    guesses = capitals(train, rows)
    return [
        [known.get(token, guess) for token, guess in zip(row["tokens"], tags, strict=True)]
        for row, tags in zip(rows, guesses, strict=True)
    ]


# Scores ---------------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Return a text's lower-case words without articles and punctuation."""
    return [word for word in re.findall(r"\w+", text.lower()) if word not in {"a", "an", "the"}]


def f1(shared: int, predicted: int, wanted: int) -> float:
    """Return the harmonic mean of precision and recall from counts."""
    return 2 * shared / (predicted + wanted) if shared else 0.0


def answer_f1(predictions: list[str], rows: list[Row]) -> float:
    """Return the mean F1 of the words of predicted answers."""
    scores = []
    for prediction, row in zip(predictions, rows, strict=True):
        guess, gold = Counter(words(prediction)), Counter(words(row["answers"]["text"][0]))
        scores.append(f1((guess & gold).total(), guess.total(), gold.total()))
    return sum(scores) / len(scores)


def accuracy(predictions: list[str], rows: list[Row]) -> float:
    """Return the share of right labels."""
    return sum(guess == row["label"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


def micro_f1(predictions: list[list[str]], rows: list[Row]) -> float:
    """Return F1 over all pairs of an example and a label."""
    shared = sum(len(set(guess) & set(row["label"])) for guess, row in zip(predictions, rows, strict=True))
    return f1(shared, sum(map(len, predictions)), sum(len(row["label"]) for row in rows))


def pearson(predictions: list[float], rows: list[Row]) -> float:
    """Return Pearson's correlation with the true scores."""
    return correlation(predictions, [row["score"] for row in rows])


def entity_f1(predictions: list[list[str]], rows: list[Row]) -> float:
    """Return micro F1 over entities: type, start and end must all be right."""
    guess = {(i, *entity) for i, tags in enumerate(predictions) for entity in entities(tags)}
    gold = {(i, *entity) for i, row in enumerate(rows) for entity in entities(row["tags"])}
    return f1(len(guess & gold), len(guess), len(gold))


def entities(tags: Iterable[str]) -> list[tuple[str, int, int]]:
    """Return (type, start, end) of the entities of a BIO sequence; an I- after another type begins a new one."""
    found: list[tuple[str, int, int]] = []
    for i, tag in enumerate(tags):
        if tag == "O":
            continue
        if found and tag.startswith("I-") and found[-1][2] == i and found[-1][0] == tag[2:]:
            found[-1] = (found[-1][0], found[-1][1], i + 1)
        else:
            found.append((tag[2:], i, i + 1))
    return found


BASELINES: dict[str, tuple[str, Callable[[list[Any], list[Row]], float], tuple[Baseline, ...]]] = {
    "qa": ("F1", answer_f1, (first_span, first_of_shape, random_of_shape, nearest_sentence)),
    "classification": ("accuracy", accuracy, (majority, keyword, naive_bayes)),
    "multilabel": ("micro F1", micro_f1, (most_frequent, each_naive_bayes)),
    "regression": ("Pearson", pearson, (shared_words, shared_rare_words)),
    "ner": ("entity F1", entity_f1, (capitals, memory)),
}


def measure(task: str, seed: int = 0) -> dict[str, float]:
    """Score every baseline of a task on its test split.

    Args:
        task: Name of the task.
        seed: Seed of the corpus.

    Returns:
        Score between 0 and 1 by the name of the baseline.
    """
    data = generate(task, seed)
    _, score, chosen = BASELINES[task]
    return {run.__name__: score(run(data["train"], data["test"]), data["test"]) for run in chosen}


def table(seed: int = 0) -> str:
    """Return a Markdown table of all baselines."""
    lines = ["| task | measure | baseline | test |", "|---|---|---|---:|"]
    for task, (name, _, _) in BASELINES.items():
        lines += [f"| {task} | {name} | `{run}` | {score:.3f} |" for run, score in measure(task, seed).items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
