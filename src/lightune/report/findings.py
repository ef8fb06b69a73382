"""What loggers are given when a run has ended: the one place that decides it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightune.commanded import method
from lightune.report import show
from lightune.report.artefacts import flat

if TYPE_CHECKING:
    from lightune.evaluation import Evaluation
    from lightune.tasks.base import Prediction, Task

Rows = Sequence[Mapping[str, Any]]

# The run folder's small files. Checkpoints and the model are large, and the loggers' own files lie there too.
SMALL = ("*.yaml", "*.json", "*.jsonl", "*.csv", "*.png")
_WORST = 300  # predictions in the table of them
_LONGEST = 300  # characters of a text in it
_CURVES = 50  # labels that have a curve
_POINTS = 2_000  # texts in a projector
_WRONG = ("exact_match", "f1", "accuracy")  # scores of a prediction that say how right it is


class Curve(NamedTuple):
    """What a precision-recall curve is drawn from.

    Args:
        label: Against all others.
        truth: Whether each example has it.
        scores: Its probability for each example.
    """

    label: str
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The model that a run made, and where it came from.

    Args:
        folder: Hugging Face format.
        checkpoint: Of the best weights.
        lineage: Task, data, base model, method, seed, and the step of the checkpoint.
        inputs: A row that it predicts from, by the user's columns.
        output: What it predicts for it.
    """

    folder: Path
    checkpoint: Path
    lineage: Mapping[str, str]
    inputs: Mapping[str, Any]
    output: Any


@dataclass(frozen=True)
class Findings:
    """What a run found.

    Args:
        run_dir: Its folder, with all files but ``metrics.json``.
        step: At which it ended.
        numbers: Those of ``metrics.json``.
        tables: Name → rows of plain values.
        pictures: Name → a picture's file.
        curves: One for each label.
        vectors: Of texts, ``(texts, size)``.
        texts: Theirs.
        model: That it made.
    """

    run_dir: Path
    step: int
    numbers: Mapping[str, float]
    tables: Mapping[str, Rows]
    pictures: Mapping[str, Path]
    curves: Sequence[Curve]
    vectors: NDArray[np.float32]
    texts: Sequence[str]
    model: Model

    def files(self) -> list[Path]:
        """Return the run folder's small files."""
        return sorted(path for pattern in SMALL for path in self.run_dir.glob(pattern))


def findings(
    run_dir: Path, step: int, numbers: Mapping[str, float], evaluation: "Evaluation", config: Mapping[str, Any]
) -> Findings:
    """Return what a run found on its test examples.

    Args:
        run_dir: Its folder, with all files but ``metrics.json``.
        step: At which it ended.
        numbers: Those of ``metrics.json``.
        evaluation: Of the test examples.
        config: Of the run, plain.
    """
    tables = {name: [flat(row) for row in rows] for name, rows in evaluation.tables().items()}
    predictions, examples = evaluation.predictions, evaluation.split.examples
    shown = [p for p in predictions if len(p.vector)][:_POINTS]
    return Findings(
        run_dir,
        step,
        numbers,
        {**tables, "predictions": [_row(p, examples[p.example]) for p in worst_first(predictions)[:_WORST]]},
        {path.stem.removeprefix("test_"): path for path in sorted(run_dir.glob("test_*.png"))},
        curves(evaluation.task, predictions),
        np.array([p.vector for p in shown], np.float32),
        [_short(next(iter(_texts(examples[p.example]).values()), p.id)) for p in shown],
        Model(
            run_dir / "model",
            run_dir / "checkpoints" / "best.ckpt",
            lineage(config, numbers),
            request(evaluation.task, examples[0]) if len(examples) else {},
            predictions[0].prediction if predictions else None,
        ),
    )


def lineage(config: Mapping[str, Any], numbers: Mapping[str, float]) -> dict[str, str]:
    """Return where a model came from.

    Args:
        config: Of its run, plain.
        numbers: Of its run.
    """
    return {
        "task": config["task"]["name"],
        "data": json.dumps(config["data"]["source"]),
        "base_model": str(config["model"]["path"]),
        "method": method(config["peft"]),
        "seed": str(config["seed"]),
        "step": str(numbers.get("best/step", "")),
    }


def request(task: "Task", example: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is to be predicted: by the user's columns, without what the task can do without.

    Args:
        task: Has ``columns``, canonical name → the user's.
        example: Canonical row.
    """
    columns: Mapping[str, Any] = getattr(task, "columns", {})
    row = {str(own): example[name] for name, own in columns.items() if own and name in example and name != "id"}
    return {own: value for own, value in row.items() if own not in task.stand_ins({**row, own: None})}


def worst_first(predictions: "Sequence[Prediction]") -> "list[Prediction]":
    """Return predictions in the order in which one looks at mistakes: the largest loss or lowest score first."""
    return sorted(predictions, key=_goodness)


def _goodness(prediction: "Prediction") -> float:
    """Return what is lower the worse a prediction is: a score, its loss, its error, its share of right tags.

    Of labels with a confidence mistakes that the model was sure of come first, right answers that it was sure of last.
    """
    scores, found, true = prediction.scores, prediction.prediction, prediction.target
    if "loss" in scores:
        return -scores["loss"] / max(scores.get("tokens", 1), 1)
    right = next((scores[name] for name in reversed(_WRONG) if name in scores), None)
    if right is None and isinstance(found, list) and isinstance(true, list):
        right = _overlap(found, true)
    if right is None and isinstance(found, float) and isinstance(true, int | float):
        return -abs(found - true)
    right = float(found == true) if right is None else right
    return right if right not in (0, 1) or "confidence" not in scores else (2 * right - 1) * scores["confidence"]


def _overlap(found: Sequence[Any], true: Sequence[Any]) -> float:
    """Return the share of places that agree, of tags; of labels, as sets, those in both among those in any."""
    if len(found) == len(true) > 0:
        return sum(a == b for a, b in zip(found, true, strict=True)) / len(true)
    return len({*found} & {*true}) / max(len({*found} | {*true}), 1)


def _row(prediction: "Prediction", example: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value if isinstance(value, int | float) else _short(value) for key, value in prediction.row().items()}
    texts = {name: _short(text) for name, text in _texts(example).items() if name not in found}
    return {**found, **texts}


def _texts(example: Mapping[str, Any]) -> dict[str, str]:
    """Return what a row says, a list of words as one text."""
    said = {key: " ".join(v) if _is_words(v) else v for key, v in example.items() if key not in ("id", "label")}
    return {key: value for key, value in said.items() if isinstance(value, str)}


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _short(value: Any) -> str:
    return show.cut(str(value), _LONGEST)


def curves(task: "Task", predictions: "Sequence[Prediction]") -> list[Curve]:
    """Return what the curves of labels that occur are drawn from, where predictions have a probability of each."""
    labels: Sequence[str] = getattr(task, "labels", None) or ()
    if not labels or any(len(p.probabilities) != len(labels) for p in predictions):
        return []
    scores = np.array([list(p.probabilities) for p in predictions], np.float64).reshape(-1, len(labels))
    owned = [p.target if isinstance(p.target, list) else [p.target] for p in predictions]
    truths = [np.array([label in of_one for of_one in owned]) for label in labels]
    found = [Curve(*parts) for parts in zip(labels, truths, scores.T, strict=True)]
    return [curve for curve in found if curve.truth.any()][:_CURVES]
