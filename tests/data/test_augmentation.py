"""Altered copies: each alteration by hand, the same everywhere, and nothing altered that was not to be."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lightune.data.augmentation import Augmentation, delete, insert, read_thesaurus, replace, swap
from lightune.data.table import Table
from lightune.errors import ConfigError, DataError
from lightune.tasks.base import Task
from lightune.tasks.classification import Classification
from lightune.tasks.ner import EntityRecognition

WORDS = "the quick brown fox jumps over the lazy dog".split()
SYNONYMS = {"quick": ["fast"], "lazy": ["idle", "slow"], "big": ["large"]}
SEEDS = range(50)


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_words_are_left_out(count: int) -> None:
    for seed in SEEDS:
        left = delete(WORDS, count, random.Random(seed), {})
        assert len(left) == max(len(WORDS) - count, 1)
        remaining = iter(WORDS)
        assert all(word in remaining for word in left)  # in their order


@pytest.mark.parametrize("count", [1, 4])
def test_words_change_places(count: int) -> None:
    for seed in SEEDS:
        swapped = swap(WORDS, count, random.Random(seed), {})
        assert Counter(swapped) == Counter(WORDS)
        moved = sum(one != other for one, other in zip(swapped, WORDS, strict=True))
        assert moved <= 2 * count
    assert WORDS[0] == "the"  # the given list is left alone


def test_synonyms_stand_where_their_words_stood() -> None:
    found = {" ".join(replace(WORDS, 2, random.Random(seed), SYNONYMS)) for seed in SEEDS}
    assert found == {f"the fast brown fox jumps over the {word} dog" for word in ("idle", "slow")}
    assert replace(["(Big),", "BIG", "small"], 3, random.Random(0), SYNONYMS) == ["(Large),", "Large", "small"]


def test_synonyms_are_put_in() -> None:
    for seed in SEEDS:
        more = insert(WORDS, 2, random.Random(seed), SYNONYMS)
        added = Counter(more) - Counter(WORDS)
        assert added.total() == 2
        assert set(added) <= {"fast", "idle", "slow"}
    assert insert(["no", "synonyms"], 2, random.Random(0), SYNONYMS) == ["no", "synonyms"]


def _table(*texts: str) -> Table:
    return Table([{"id": str(i), "text": t, "label": "x"} for i, t in enumerate(texts)], "a.csv", lines=[2, 5])


def test_copies_follow_their_rows() -> None:
    augmented = Augmentation(copies=2, delete=0.3, swap=0.3).copies_of(_table("a b c d", "e f g h"), ["text"], seed=1)
    assert [row["id"] for row in augmented.rows] == ["0", "1", "0~1", "1~1", "0~2", "1~2"]
    assert [row["label"] for row in augmented.rows] == ["x"] * 6
    assert [augmented.locate(i) for i in range(6)] == ["a.csv, line 2", "a.csv, line 5"] * 3
    assert [row["text"] for row in augmented.rows[:2]] == ["a b c d", "e f g h"]
    for position, row in enumerate(augmented.rows[2:], 2):
        original = augmented.rows[position % 2]["text"].split()
        assert row["text"].split() != original
        assert set(row["text"].split()) <= set(original)
    assert augmented.rows[2]["text"] != augmented.rows[4]["text"]


def test_copies_depend_on_the_seed_and_the_text_alone() -> None:
    plan = Augmentation()
    texts = (" ".join(WORDS), "another text of several words")
    one, other = plan.copies_of(_table(*texts), ["text"], 3), plan.copies_of(_table(*texts[::-1]), ["text"], 3)
    assert [row["text"] for row in one.rows[2:]] == [row["text"] for row in other.rows[2:]][::-1]
    assert one.rows != plan.copies_of(_table(*texts), ["text"], 4).rows
    code = (
        "from tests.data.test_augmentation import _table, Augmentation;"
        f"print([r['text'] for r in Augmentation().copies_of(_table(*{texts!r}), ['text'], 3).rows])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str([row["text"] for row in one.rows])


def test_only_texts_of_the_columns_that_were_named_are_altered() -> None:
    row = {"id": "0", "text": "a b c d e f", "text_pair": None, "label": "long label of words"}
    (_, copy) = Augmentation().copies_of(Table([row], "x"), ["text", "text_pair"], 0).rows
    assert (copy["text_pair"], copy["label"]) == (None, "long label of words")
    assert copy["text"] != row["text"]
    assert Augmentation().altered("one", random.Random(0), {}) == "one"


@pytest.mark.parametrize(("task", "columns"), [(Classification, ("text", "text_pair")), (EntityRecognition, ())])
def test_a_task_says_what_may_be_altered(task: type[Task], columns: tuple[str, ...]) -> None:
    assert tuple(task.augmentable) == columns


def test_a_thesaurus_is_read(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.tsv"
    path.write_text("Big\tlarge, huge\n\nbig\tgreat\nold\tancient\n")
    assert read_thesaurus(str(path)) == {"big": ["large", "huge", "great"], "old": ["ancient"]}
    path.write_text("big\tlarge\nold ancient\n")
    with pytest.raises(DataError, match=r"synonyms\.tsv, line 2: expected a word, a tab, and synonyms"):
        read_thesaurus(str(path))
    with pytest.raises(DataError, match=r"thesaurus=none\.tsv: there is no such file"):
        read_thesaurus("none.tsv")


def test_wordnet_is_asked_for_where_it_is_not() -> None:
    nltk = pytest.importorskip("nltk")
    try:
        nltk.data.find("corpora/wordnet.zip")
    except LookupError:
        with pytest.raises(DataError, match="NLTK has no WordNet here"):
            read_thesaurus("wordnet")
    else:
        assert "large" in read_thesaurus("wordnet")["big"]


@pytest.mark.parametrize(
    ("settings", "says", "remedy"),
    [
        ({"copys": 2}, r"data\.augment\.copys: there is no such setting", "'copies'"),
        ({"copies": 0}, r"data\.augment\.copies=0: expected 1 or more", "data.augment=null"),
        ({"swap": "often"}, r"data\.augment\.swap=often: expected a number", "swap: 0.1"),
        ({"swap": 2}, r"data\.augment\.swap=2: expected a share", "data.augment.swap=0.1"),
        ({"swap": 0, "delete": 0}, "every alteration is 0", "data.augment.swap=0.1"),
        ({"insert": 0.1}, "replace and insert need synonyms", "thesaurus"),
        (True, r"data\.augment=True: expected settings", "copies: 1"),
    ],
)
def test_settings_of_no_use_are_refused(settings: Any, says: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Augmentation.of(settings)
    assert remedy in caught.value.remedy
