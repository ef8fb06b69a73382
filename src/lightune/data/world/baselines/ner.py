"""Named entities: capital letters, and what words were in training."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from lightune.data.world.baselines.words import f1
from lightune.data.world.examples import Row


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


MEASURE = ("entity F1", entity_f1)
BASELINES = (capitals, memory)
