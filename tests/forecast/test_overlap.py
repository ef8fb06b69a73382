"""What is found twice, against a comparison of every pair."""

import random
from itertools import product

import pytest

from lightune.forecast.overlap import Overlap, bag_of, doubles, overlap, similarity, words_of

WORDS = ("red", "green", "blue", "one", "two", "three")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's RED, isn't it?", ("it", "s", "red", "isn", "t", "it")),
        ("  \n\t ", ()),
        ("", ()),
        ("ＦＵＬＬ width", ("full", "width")),
        ("Straße 7", ("strasse", "7")),
        ("東京 Tokyo", ("東", "京", "tokyo")),
        ("снег идёт", ("снег", "идёт")),
    ],
)
def test_words_are_what_is_read(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


def test_a_word_counts_as_often_as_it_occurs() -> None:
    once, twice = bag_of(("a", "b")), bag_of(("a", "b", "a"))
    assert similarity(once, twice) == pytest.approx(2 / 3)
    assert similarity(once, once) == 1
    assert similarity(once, bag_of(("c",))) == 0
    assert similarity(bag_of(()), bag_of(())) == 1
    assert similarity(bag_of(()), once) == 0


def test_what_was_planted_is_found() -> None:
    test = [
        "The ferry to the island leaves at noon from the old harbour.",
        "Nobody had told the gardener about the frost.",
        "A match was lit.",
        "",
    ]
    train = [
        "Something else altogether.",
        "the FERRY to the island leaves at noon, from the old harbour",
        "nobody had told the new gardener about the frost",
        "A fire was lit.",
    ]
    assert overlap(test, train, 0.8) == Overlap(exact={0: 1}, near={1: 2})
    assert overlap(test, train, 0.6) == Overlap(exact={0: 1}, near={1: 2, 2: 3})
    assert overlap(test, [], 0.8) == Overlap()
    assert overlap([], train, 0.8) == Overlap()


def test_the_first_of_several_is_named_and_each_text_counted() -> None:
    assert overlap(["a b", "a b"], ["c", "b a", "a b", "a b"], 0.9) == Overlap(exact={0: 2, 1: 2})


def test_texts_that_repeat_an_earlier_one() -> None:
    texts = ["", "a b c d e", "A b, c d e!", "", "a b c d f", "e d c b a", "x", "f d c b a"]
    # In another order are the same words, but not in the same places: nearly alike.
    assert doubles(texts, 0.9) == Overlap(exact={2: 1, 3: 0}, near={5: 1, 7: 4})
    assert doubles(texts, 0.6) == Overlap(exact={2: 1, 3: 0}, near={4: 1, 5: 1, 7: 1})
    assert doubles([], 0.8) == Overlap()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_no_double_is_missed(seed: int, threshold: float) -> None:
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randrange(12))) for _ in range(80)]
    expected, kept = Overlap(), list[int]()
    read = [words_of(text) for text in texts]
    for number, words in enumerate(read):
        alike = (place for place in kept if similarity(bag_of(words), bag_of(read[place])) >= threshold)
        if words in read[:number]:
            expected.exact[number] = read.index(words)
        elif (place := next(alike, None)) is not None:
            expected.near[number] = place
        else:
            kept.append(number)
    assert doubles(texts, threshold) == expected


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_no_pair_is_missed(seed: int, threshold: float) -> None:
    draw = random.Random(seed)
    texts, others = ([" ".join(draw.choices(WORDS, k=draw.randrange(12))) for _ in range(count)] for count in (40, 60))
    found = overlap(texts, others, threshold)
    exact: dict[int, int] = {}
    near: set[int] = set()
    for number, place in product(range(len(texts)), range(len(others))):
        one, other = words_of(texts[number]), words_of(others[place])
        if one == other:
            exact.setdefault(number, place)
        elif similarity(bag_of(one), bag_of(other)) >= threshold:
            near.add(number)
    assert found.exact == exact
    assert found.near.keys() == near - exact.keys()
    for number, place in found.near.items():
        assert similarity(bag_of(words_of(texts[number])), bag_of(words_of(others[place]))) >= threshold
