"""Metrics of texts: the libraries' own numbers, several references, and what they are called with at the edges."""

import pytest
import sacrebleu

from lightune.errors import ConfigError
from lightune.metrics.text import Bleu, Chrf, Meteor, Metric, Rouge, Ter, rouge_scorer

FOUND = ["The cat sat on the mat. It slept.", "A dog barks", "nothing"]
RIGHT = [["The cat is on the mat. It sleeps."], ["A dog barked.", "A dog barks loudly", "Dogs bark"], ["something"]]
ALL: list[Metric] = [Rouge(), Bleu(), Chrf(), Ter()]


def test_rouge_1_by_hand() -> None:
    # 2 of 3 predicted words stand in the reference of 4 words: F = 2 * 2 / (3 + 4).
    assert Rouge(("rouge1",))(["a b x"], [["a b c d"]]) == pytest.approx({"rouge1": 4 / 7})


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge_is_the_mean_of_the_best_references(stemmer: bool) -> None:
    scorer = rouge_scorer()(["rouge2", "rougeL"], use_stemmer=stemmer)
    found = Rouge(("rouge2", "rougeL"), use_stemmer=stemmer)(FOUND, RIGHT)
    for name, value in found.items():
        best = [max(scorer.score(r, f)[name].fmeasure for r in right) for f, right in zip(FOUND, RIGHT, strict=True)]
        assert value == pytest.approx(sum(best) / 3, abs=1e-12)


def test_rouge_lsum_goes_sentence_by_sentence() -> None:
    swapped = ["It sleeps. The cat is on the mat."]
    found = Rouge(("rougeL", "rougeLsum"))(swapped, [RIGHT[0]])
    assert found["rougeLsum"] == 1.0 > found["rougeL"]


def test_sacrebleu_with_one_reference() -> None:
    single = [right[0] for right in RIGHT]
    wrapped = [[text] for text in single]
    assert Bleu()(FOUND, wrapped)["bleu"] == pytest.approx(sacrebleu.corpus_bleu(FOUND, [single]).score, abs=1e-9)
    assert Chrf()(FOUND, wrapped)["chrf"] == pytest.approx(sacrebleu.corpus_chrf(FOUND, [single]).score, abs=1e-9)
    assert Ter()(FOUND, wrapped)["ter"] == pytest.approx(sacrebleu.corpus_ter(FOUND, [single]).score, abs=1e-9)


@pytest.mark.parametrize("metric", ALL[1:], ids=lambda metric: type(metric).__name__)
def test_any_of_several_references_will_do(metric: Metric) -> None:
    perfect = metric(["A dog barks loudly", "It sleeps."], [["Cats mew", "A dog barks loudly"], ["It sleeps."]])
    assert list(perfect.values()) == pytest.approx([0.0 if isinstance(metric, Ter) else 100.0])


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: type(metric).__name__)
def test_a_perfect_text_and_none(metric: Metric) -> None:
    perfect = metric(["The cat is on the mat, and sleeps."], [["The cat is on the mat, and sleeps."]])
    best = {"Rouge": 1.0, "Ter": 0.0}.get(type(metric).__name__, 100.0)
    assert perfect == pytest.approx(dict.fromkeys(perfect, best))
    assert metric([], []) == dict.fromkeys(perfect, 0.0)
    assert all(value < 50 for value in metric([""], [["words"]]).values()) or isinstance(metric, Ter)


def test_chrf_plus_plus_counts_words_too() -> None:
    assert Chrf(word_order=2)(FOUND, RIGHT) != Chrf()(FOUND, RIGHT)


def test_meteor_says_what_to_download(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    assert Meteor()([], []) == {"meteor": 0.0}
    with pytest.raises(ConfigError, match="NLTK does not find WordNet"):
        Meteor()(FOUND, RIGHT)
