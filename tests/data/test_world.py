"""The built-in corpus: sound rows, splits that share nothing, and baselines that stay low."""

import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from lightune.data.world import baselines, facts, generate, tasks, trace
from lightune.data.world.baselines.ner import entities
from lightune.data.world.baselines.qa import answer_f1, closest
from lightune.data.world.baselines.words import words
from lightune.data.world.derive.qa_v2 import questioned
from lightune.data.world.examples import Example, Row
from lightune.data.world.relations import SPLITS, relations, topics
from lightune.data.world.render import Text, fill, mention
from lightune.data.world.scenes import Casting, duel
from lightune.errors import ConfigError

SIZES = {
    "qa": {"train": (1200, 2000), "val": (150, 250), "test": (250, 400)},
    "qa_v2": {"train": (1200, 2000), "val": (150, 250), "test": (250, 400)},
    "classification": {"train": (800, 2000), "val": (150, 250), "test": (250, 400)},
    "multilabel": {"train": (800, 2000), "val": (150, 250), "test": (250, 400)},
    "regression": {"train": (800, 2000), "val": (150, 250), "test": (250, 400)},
    "embedding": {"train": (800, 2000), "val": (150, 250), "test": (250, 400)},
    "choice": {"train": (1200, 2000), "val": (150, 250), "test": (250, 400)},
    "ner": {"train": (800, 2000), "val": (150, 250), "test": (250, 400)},
    "mlm": {"train": (800, 2000), "val": (150, 250), "test": (250, 400)},
    # For decoders, which take minutes.
    **{
        task: {"train": (300, 700), "val": (40, 80), "test": (100, 200)}
        for task in ("clm", "instruct", "prefix_lm", "summarization", "translation")
    },
}
CEILINGS = {
    "qa": {"first_span": 0.15, "first_of_shape": 0.40, "random_of_shape": 0.40, "nearest_sentence": 0.60},
    "qa_v2": {"never_answers": 0.34, "nearest_sentence": 0.50, "sure_sentence": 0.55},
    "classification": {"majority": 0.15, "keyword": 0.60, "naive_bayes": 0.78},
    "multilabel": {"most_frequent": 0.25, "each_naive_bayes": 0.85},
    "regression": {"shared_words": 0.65, "shared_rare_words": 0.83},
    "embedding": {"shared_words": 0.50, "tf_idf": 0.55},
    "choice": {"longest": 0.30, "shared_words": 0.78, "word_pairs": 0.75},
    "ner": {"capitals": 0.35, "memory": 0.35},
    "mlm": {"most_frequent_word": 0.15, "word_before": 0.30, "words_around": 0.35},
    "summarization": {"first_sentences": 0.50, "last_sentences": 0.50, "whole_passage": 0.50},
    "instruct": {"first_of_shape": 0.40, "nearest_sentence": 0.60},
    "translation": {"source": 0.25, "most_similar": 0.25},
    "clm": {"byte_frequencies": 5.0, "trigrams": 4.0, "compressed": 4.0},
    "prefix_lm": {"compressed": 5.0, "compressed_after_prefix": 4.0},
}
LESS_IS_BETTER = {"clm": 2.5, "prefix_lm": 2.5}  # bits per byte, and what no baseline may reach
FINGERPRINT = """
from hashlib import sha256
from lightune.data.world import generate
import sys
assert "torch" not in sys.modules
print(sha256(repr(generate("{task}", 3)).encode()).hexdigest())
"""

every_task = pytest.mark.parametrize("task", sorted(SIZES))


def test_the_table_covers_every_task() -> None:
    """A new task of the corpus has to be added to this file's tables."""
    assert tasks() == sorted(SIZES) == sorted(CEILINGS)


@every_task
def test_sizes_and_ids(task: str) -> None:
    """Every split has the size that the documentation promises, and ids count up."""
    for split, rows in generate(task).items():
        low, high = SIZES[task][split]
        assert low <= len(rows) <= high
        assert [row["id"] for row in rows] == [f"{task}-{split}-{i:04d}" for i in range(len(rows))]


@every_task
def test_same_rows_in_every_process(task: str) -> None:
    """Neither the process nor its hash seed changes a row, and no torch is needed."""
    script = FINGERPRINT.format(task=task)
    prints = {sha256(repr(generate(task, 3)).encode()).hexdigest()}
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        prints.add(done.stdout.strip())
    assert len(prints) == 1


@every_task
def test_another_seed_is_another_world(task: str) -> None:
    """The seed moves names between splits, so the rows differ."""
    assert generate(task, 0)["train"] != generate(task, 1)["train"]
    moved = {name for example in trace(task, 0)["train"] for name in example.entities}
    assert moved & {name for example in trace(task, 1)["test"] for name in example.entities}


def test_rows_are_fresh_copies() -> None:
    """Whoever changes a row does not change the corpus."""
    rows = generate("qa")["val"]
    rows[0]["answers"]["text"][0] = "changed"
    rows[0]["context"] = "changed"
    assert generate("qa")["val"][0]["context"] != "changed"
    assert generate("qa")["val"][0]["answers"]["text"] != ["changed"]


@every_task
@pytest.mark.parametrize("seed", [0, 7])
def test_no_entity_and_no_template_in_two_splits(task: str, seed: int) -> None:
    """What test asks about, and how, was never seen in training."""
    traced = trace(task, seed)
    for one, other in combinations(SPLITS, 2):
        for part in ("entities", "templates"):
            shared = _parts(traced[one], part) & _parts(traced[other], part)
            assert not shared, f"{one} and {other} share {part}: {sorted(shared)[:5]}"


def _parts(examples: list[Example], part: str) -> set[str]:
    return {item for example in examples for item in getattr(example, part)}


def test_provenance_belongs_to_its_row() -> None:
    """What `trace` names does stand in the row: otherwise the test above would prove nothing."""
    for examples in trace("qa").values():
        for example in examples:
            text = example.row["context"].lower()
            assert all(name.lower() in text for name in example.entities)
            assert len(example.templates) == text.count(". ") + 2  # one per sentence, and the question's


def test_no_answer_in_two_splits() -> None:
    """Held-out entities hold for the rows themselves: answers and questions, whatever the provenance says."""
    rows = generate("qa")
    for one, other in combinations(SPLITS, 2):
        assert not _answers(rows[one]) & _answers(rows[other])
        assert not {row["question"] for row in rows[one]} & {row["question"] for row in rows[other]}


def _answers(rows: list[Row]) -> set[str]:
    return {text for row in rows for text in row["answers"]["text"]}


@every_task
def test_no_duplicates(task: str) -> None:
    """No two rows are equal, within a split or across splits."""
    rows = [row | {"id": ""} for part in generate(task).values() for row in part]
    assert len({repr(row) for row in rows}) == len(rows)


@pytest.mark.parametrize(("task", "most"), [("qa", 1), ("qa_v2", 3)])
def test_answers_stand_at_their_offset(task: str, most: int) -> None:
    """The SQuAD layout: every answer is a piece of its passage; of `most` questions one may have none."""
    for i, row in enumerate(row for part in generate(task).values() for row in part):
        assert set(row) == {"id", "context", "question", "answers"}
        assert len(row["answers"]["text"]) == len(row["answers"]["answer_start"]) == (most == 1 or i % most > 0)
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
            assert text
            assert row["context"][start : start + len(text)] == text
        assert row["question"].endswith("?")


def test_every_asked_fact_has_a_rival() -> None:
    """Each passage holds a second object of the same relation, so that its shape alone does not give it away."""
    world = facts.build(0)["test"]
    casting = Casting(world, random.Random(0))
    for topic in topics():
        told, rivals = duel(casting, topic, shared=2)
        assert len(told) in (4, 5)
        assert len(rivals) == 4
        for fact in rivals:
            same = [other for other in rivals if other.relation == fact.relation and other.object != fact.object]
            assert len(same) == 1
            assert same[0].subject != fact.subject


def test_what_is_left_out_has_a_rival_that_is_told() -> None:
    """A question without an answer asks what the passage tells of another subject, about a subject that it names."""
    world = facts.build(0)["test"]
    rng = random.Random(0)
    for topic in topics():
        _, rivals = duel(Casting(world, rng), topic, shared=2)
        left_out, rival, other = questioned(rivals, rng)
        assert rival.relation == left_out.relation != other.relation
        assert rival.subject != left_out.subject
        assert left_out.subject in {fact.subject for fact in rivals if fact not in (left_out, rival)}


def test_questions_come_in_threes() -> None:
    """Two of each passage have an answer, and length does not tell which."""
    for rows in generate("qa_v2").values():
        for one, two, three in _threes(rows):
            assert one["context"] == two["context"] == three["context"]
            assert not one["answers"]["text"]
            assert two["answers"]["text"] != three["answers"]["text"]
            assert len({row["question"] for row in (one, two, three)}) == 3


def _threes(rows: list[Row]) -> Iterator[tuple[Row, Row, Row]]:
    return zip(rows[::3], rows[1::3], rows[2::3], strict=True)


def test_shared_words_do_not_tell_whether_there_is_an_answer() -> None:
    """The sentence nearest to a question without an answer is often as near as that of its rival."""

    def nearness(row: Row) -> int:
        return len(set(words(row["question"])) & set(words(closest(row["context"], row["question"]))))

    pairs = [(nearness(one), nearness(two)) for one, two, _ in _threes(generate("qa_v2")["train"])]
    assert sum(one >= two for one, two in pairs) > 0.4 * len(pairs)


def test_bio_is_valid() -> None:
    """As many tags as tokens, and no I- without its B- or I- of the same type before it."""
    kinds = set()
    for row in (row for part in generate("ner").values() for row in part):
        assert set(row) == {"id", "tokens", "tags"}
        assert len(row["tokens"]) == len(row["tags"])
        assert all(row["tokens"])
        for before, tag in pairwise(["O", *row["tags"]]):
            assert tag[:2] != "I-" or before[2:] == tag[2:], row
        kinds |= {tag[2:] for tag in row["tags"] if tag != "O"}
    assert kinds == {"PER", "LOC", "ORG", "WORK", "EVENT", "DATE"}


def test_names_are_tagged_whole() -> None:
    """A tagged entity is a name of the world, full or short."""
    for split, world in facts.build(0).items():
        known = [entity for members in world.entities.values() for entity in members]
        spelt = {name.replace(" ", "") for entity in known for name in (entity.name, entity.short)}
        for row in generate("ner")[split]:
            for _, start, end in entities(row["tags"]):
                assert "".join(row["tokens"][start:end]) in spelt


def test_capitals_do_not_decide() -> None:
    """Some capitalised words name nothing, some names wear lower case, and one word plays several roles."""
    rows = generate("ner")["test"]
    tagged = [zip(row["tokens"], row["tags"], strict=True) for row in rows]
    pairs = [(i, token, tag) for row in tagged for i, (token, tag) in enumerate(row)]
    assert sum(token[0].isupper() and tag == "O" for i, token, tag in pairs if i) > 300
    assert sum(token[0].islower() and tag != "O" for _, token, tag in pairs) > 100
    roles: dict[str, set[str]] = {}
    for _, token, tag in pairs:
        if token[0].isupper() and tag != "O":
            roles.setdefault(token, set()).add(tag[2:])
    assert sum(len(kinds) >= 3 for kinds in roles.values()) >= 20


def test_a_text_has_one_to_three_topics() -> None:
    """Every number of labels occurs, and every topic about as often as the others."""
    for rows in generate("multilabel").values():
        assert set(Counter(len(row["label"]) for row in rows)) == {1, 2, 3}
        assert all(row["label"] == sorted(set(row["label"])) for row in rows)
        counts = Counter(label for row in rows for label in row["label"])
        assert sorted(counts) == list(topics())
        assert max(counts.values()) < 1.6 * min(counts.values())


def test_scores_tell_the_share_of_facts_that_agree() -> None:
    """Equal sets of sentences' facts score 5; every score is a third of that, and all occur about equally often."""
    for rows in generate("regression").values():
        counts = Counter(round(row["score"] * 3 / 5) for row in rows)
        assert all(row["score"] == 5 * round(row["score"] * 3 / 5) / 3 for row in rows)
        assert sorted(counts) == [0, 1, 2, 3]
        assert max(counts.values()) < 1.6 * min(counts.values())
        assert all(len(row["text"].split(". ")) == len(row["text_pair"].split(". ")) == 3 for row in rows)


def test_a_continuation_ends_its_passage() -> None:
    """Prefix and continuation are the passage that language modelling has, cut before its last two sentences."""
    whole = {row["text"] for row in generate("clm")["train"]}
    for row in generate("prefix_lm")["val"]:
        assert row["continuation"].count(".") == 2
        assert row["prefix"].endswith(".")
    rows = generate("prefix_lm")["train"]
    assert all(len(text.split(". ")) >= 6 for text in whole)
    assert all(len(f"{row['prefix']} {row['continuation']}".split(". ")) >= 6 for row in rows)


def test_a_summary_tells_the_main_facts_in_other_words() -> None:
    """Three of seven sentences are about one subject; the summary says them again, none of them word by word."""
    for row in (row for part in generate("summarization").values() for row in part):
        document, summary = (text.rstrip(".").split(". ") for text in (row["document"], row["summary"]))
        assert (len(document), len(summary)) == (7, 3)
        assert not set(document) & set(summary)


def test_a_translation_keeps_the_names() -> None:
    """Every name of the German text, months aside, stands in the English one."""
    for part in trace("translation").values():
        for example in part:
            assert example.row["de"].count(".") == example.row["en"].count(".") == 2
            bare = [name for name in example.entities if not re.search(r"\d", name)]
            assert all(name.lower() in example.row["de"].lower() for name in bare)


def test_one_passage_answers_each_question() -> None:
    """Both of a subject's passages name it and tell what is asked for, but the negative tells it of another."""
    world = facts.build(0)["test"]
    known = {subject.name: told for subject, told in world.facts.items()}
    rows = [example.row for example in trace("embedding")["test"]]
    passages = {row[part] for row in rows for part in ("text_pair", "negative")}
    assert len(passages) == len(rows)  # two a subject, each the pair of one question and the negative of another
    for row in rows:
        subject = max((name for name in known if name in row["text"]), key=len)
        (asked,) = [f for f in known[subject] if row["text"] in _questions(f, "test")]
        assert all(subject.lower() in row[part].lower() for part in ("text_pair", "negative"))
        named, *others = _statements(asked, "test")
        assert any(sentence in row["text_pair"] for way in (named, *others) for sentence in way)
        assert not [other for other in passages - {row["text_pair"]} if any(sentence in other for sentence in named)]


def _questions(fact: facts.Fact, split: str) -> list[str]:
    return [fill(phrase, mention(fact.subject)).text for phrase in fact.relation.questions(split)]


def _statements(fact: facts.Fact, split: str) -> list[list[str]]:
    """Return the ways in which a passage can tell a fact: with the subject's name, its short name, or a pronoun."""
    subjects = [mention(fact.subject), mention(fact.subject, fact.subject.short), Text(fact.subject.pronoun)]
    told = mention(fact.object)
    return [[fill(phrase, name, told).text for phrase in fact.relation.statements(split)] for name in subjects]


def test_choices_are_two_sentences_about_each_of_two_subjects() -> None:
    """Neither the subject alone nor what is said of it tells the right one; every place is right equally often."""
    for split in SPLITS:
        examples, told = trace("choice")[split], _facts_told(split)
        for example in examples:
            facts_of = [told[choice] for choice in example.row["choices"]]
            assert sorted(Counter(fact.subject for fact in facts_of).values()) == [2, 2]
            assert sorted(Counter(fact.relation for fact in facts_of).values()) == [2, 2]
        places = Counter(example.row["answer"] for example in examples)
        assert sorted(places) == [0, 1, 2, 3]
        assert max(places.values()) < 1.6 * min(places.values())


def _facts_told(split: str) -> dict[str, facts.Fact]:
    """Return every sentence with a subject's full name, and the fact that it tells."""
    known = [fact for told in facts.build(0)[split].facts.values() for fact in told]
    sentences = {sentence: fact for fact in known for sentence in _statements(fact, split)[0]}
    assert len(sentences) == sum(len(_statements(fact, split)[0]) for fact in known)
    return sentences


def test_choices_answer_their_question() -> None:
    """The right choice tells the fact that is asked for; the world says so."""
    told = _facts_told("test")
    for example in trace("choice")["test"]:
        fact = told[example.row["choices"][example.row["answer"]]]
        questions = [fill(question, mention(fact.subject)).text for question in fact.relation.questions("test")]
        assert example.row["question"] in questions


def test_topics_are_balanced() -> None:
    """Every topic is equally frequent in each split, up to one round of the deal."""
    for rows in generate("classification").values():
        counts = Counter(row["label"] for row in rows)
        assert sorted(counts) == list(topics())
        assert 6 <= len(counts) <= 10
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, rows in CEILINGS.items() for name in rows])
def test_baselines_stay_low(task: str, name: str) -> None:
    """A score on the corpus cannot come from a trick; and no baseline is broken to zero."""
    scores = baselines.measure(task)
    assert set(scores) == set(CEILINGS[task])
    assert LESS_IS_BETTER.get(task, 0.05) < scores[name] < CEILINGS[task][name]


def test_documented_table_is_what_is_measured() -> None:
    """The figures in docs/corpus.md are those that the command prints."""
    page = Path(__file__).parents[2] / "docs" / "corpus.md"
    assert baselines.table() in page.read_text(encoding="utf-8")


def test_documented_sizes_are_true() -> None:
    """So are the sizes of the splits."""
    page = (Path(__file__).parents[2] / "docs" / "corpus.md").read_text(encoding="utf-8")
    for task in tasks():
        sizes = " / ".join(str(len(rows)) for rows in generate(task).values())
        assert re.search(rf"^\| `{task}` \|.*\| {sizes} \|$", page, flags=re.MULTILINE), (task, sizes)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["O", "B-PER", "I-PER", "O"], [("PER", 1, 3)]),
        (["B-PER", "B-PER"], [("PER", 0, 1), ("PER", 1, 2)]),
        (["B-PER", "I-LOC"], [("PER", 0, 1), ("LOC", 1, 2)]),
        (["B-PER", "O", "I-PER"], [("PER", 0, 1), ("PER", 2, 3)]),
    ],
)
def test_entities_of_bio(tags: list[str], expected: list[tuple[str, int, int]]) -> None:
    """Entities as conlleval counts them."""
    assert entities(tags) == expected


def test_answer_f1_by_hand() -> None:
    """One of two words right, nothing else: precision 1, recall 1/2, F1 2/3; articles do not count."""
    rows = [{"answers": {"text": [text]}} for text in ("Ada Knight", "the Velm")]
    assert answer_f1(["Knight", "Velm"], rows) == pytest.approx((2 / 3 + 1) / 2)
    none: list[Row] = [{"answers": {"text": []}}] * 2
    assert answer_f1(["Knight", ""], none) == 1 / 2


@pytest.mark.parametrize("task", tasks())
def test_generation_is_quick(task: str) -> None:
    """A third of a second on two cores; five are promised, with a slow machine allowed for."""
    started = time.process_time()
    trace.__wrapped__(task, 11)
    assert time.process_time() - started < 5


def test_phrases_are_well_formed() -> None:
    """Each template names its slots, and each relation has several phrases for training."""
    for relation in relations():
        assert len(relation.statements("train")) >= 3
        assert len(relation.questions("train")) >= 3
        for split in SPLITS:
            for phrase in relation.statements(split):
                assert phrase.count("{s}") == phrase.count("{o}") == 1
                assert phrase.endswith(".")
            for phrase in relation.questions(split):
                assert phrase.count("{s}") == 1
                assert "{o}" not in phrase
                assert phrase.endswith("?")


def test_unknown_task_names_the_nearest() -> None:
    """A typo is answered with what there is."""
    with pytest.raises(ConfigError, match=r"task='clasification'[\s\S]*'classification'"):
        generate("clasification")
