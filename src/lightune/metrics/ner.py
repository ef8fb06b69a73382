"""Entity-level scores of token tagging, counted as conlleval and seqeval's default mode count them.

An entity is right if its type and both of its ends are. The reading of tags is lenient: an entity may begin with any
prefix, so IOB1, IOB2, IOE and BIOES are all understood. Definition: Tjong Kim Sang and De Meulder 2003 (CoNLL-2003).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from lightune.errors import DataError

Entity = tuple[str, int, int]

OUTSIDE = "O"
_PREFIXES = frozenset("BIES")


def split_tag(tag: str) -> tuple[str, str]:
    """Return a tag's prefix and entity type: ``"B-PER"`` gives ``("B", "PER")``, ``"O"`` gives ``("O", "")``.

    A prefix alone (``"B"``) has the type ``"_"``, as in seqeval.

    Raises:
        DataError: The tag is neither ``O`` nor begins with ``B-``, ``I-``, ``E-`` or ``S-``.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, _, kind = tag.partition("-")
    if prefix not in _PREFIXES:
        raise DataError(
            f"the tag {tag!r} is neither O nor begins with B-, I-, E- or S-",
            "write tags as BIO or BIOES, such as B-PER, I-PER, O (BILOU: write E- for L- and S- for U-)",
        )
    return prefix, kind or "_"


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of one sequence as ``(type, start, end)``, in order.

    A token continues the entity before it only if both have the same type, it is tagged I or E, and the token
    before it B or I. Any other token but O begins a new entity.

    Args:
        tags: One tag per token.

    Returns:
        Type, index of the first token, and index *after* the last one (seqeval's own ends are inclusive).

    Raises:
        DataError: See `split_tag`.
    """
    found: list[Entity] = []
    before = (OUTSIDE, "")
    for index, tag in enumerate(tags):
        prefix, kind = split_tag(tag)
        if prefix in {"I", "E"} and before in {("B", kind), ("I", kind)}:
            found[-1] = (kind, found[-1][1], index + 1)
        elif prefix != OUTSIDE:
            found.append((kind, index, index + 1))
        before = (prefix, kind)
    return found


def ner_metrics(predicted: Sequence[Sequence[str]], target: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the summary metrics over sequences.

    Args:
        predicted: Predicted tags of each sequence.
        target: True tags of each sequence, as many as there are predicted ones.

    Returns:
        ``f1``, ``precision`` and ``recall`` over all entities (micro), ``f1_macro`` as the mean over the entity
        types that occur in either, and ``accuracy`` over tokens; 0 to 1, and 0.0 where there is nothing to count.
    """
    hits, found, wanted = _counts(predicted, target)
    precision, recall, f1 = _scores(hits.total(), found.total(), wanted.total())
    # Sorted: a set's order differs from process to process, and with it the last digit of a sum.
    kinds = sorted(found.keys() | wanted.keys())
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "f1_macro": _ratio(sum(_scores(hits[kind], found[kind], wanted[kind])[2] for kind in kinds), len(kinds)),
        "accuracy": _token_accuracy(predicted, target),
    }


def per_type_table(
    predicted: Sequence[Sequence[str]], target: Sequence[Sequence[str]]
) -> list[dict[str, str | float | int]]:
    """Return one row per entity type that occurs among predictions or targets, sorted by type.

    Args:
        predicted: Predicted tags of each sequence.
        target: True tags of each sequence.

    Returns:
        Rows with ``type``, ``precision``, ``recall``, ``f1`` (0 to 1) and ``support`` (entities in the target).
    """
    hits, found, wanted = _counts(predicted, target)
    rows: list[dict[str, str | float | int]] = []
    for kind in sorted(found.keys() | wanted.keys()):
        precision, recall, f1 = _scores(hits[kind], found[kind], wanted[kind])
        rows.append({"type": kind, "precision": precision, "recall": recall, "f1": f1, "support": wanted[kind]})
    return rows


def _counts(
    predicted: Sequence[Sequence[str]], target: Sequence[Sequence[str]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Count by type: entities in both, in the predictions, in the targets."""
    hits, found, wanted = Counter[str](), Counter[str](), Counter[str]()
    for ours, true in zip(predicted, target, strict=True):
        here, there = set(entities(ours)), set(entities(true))
        hits.update(_kinds(here & there))
        found.update(_kinds(here))
        wanted.update(_kinds(there))
    return hits, found, wanted


def _kinds(spans: Iterable[Entity]) -> list[str]:
    return [kind for kind, _, _ in spans]


def _scores(hits: int, found: int, wanted: int) -> tuple[float, float, float]:
    """Return precision, recall and F1."""
    return _ratio(hits, found), _ratio(hits, wanted), _ratio(2 * hits, found + wanted)


def _token_accuracy(predicted: Sequence[Sequence[str]], target: Sequence[Sequence[str]]) -> float:
    same = [ours == true for pair in zip(predicted, target, strict=True) for ours, true in zip(*pair, strict=True)]
    return _ratio(sum(same), len(same))


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
