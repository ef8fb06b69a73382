"""From the evidence of single batches to predictions and metrics over whole examples."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from lightune import ranks
from lightune.data.encoding import EncodedSplit
from lightune.data.table import PART
from lightune.tasks.base import Batch, Output, Prediction, Task


@dataclass
class Evaluation:
    """One split's evaluation: what is gathered batch by batch, and what follows from it.

    Only small evidence is kept for each feature (a label, a span), never logits, so memory does not grow with
    the vocabulary or the length. All ranks end with the same predictions and metrics: evidence is gathered, and each
    example counts once.

    Args:
        task: Turns outputs into evidence, evidence into predictions, predictions into metrics.
        split: The examples.
        tunes: Whether decisions (a threshold) are made as suits these examples best, as on a validation split.
        labelled: Whether the examples have targets; without there are predictions and no metrics.
    """

    task: Task
    split: EncodedSplit
    tunes: bool = False
    labelled: bool = True
    predictions: list[Prediction] = field(default_factory=list)
    _evidence: list[Any] = field(default_factory=list)
    _loss: list[Tensor] = field(default_factory=list)

    def update(self, output: Output, batch: Batch, counts: bool = True) -> None:
        """Take in one batch, unless it is there only so that this rank does as much as others."""
        evidence = self.task.predict(output, batch)
        if not counts:
            return
        self._evidence += evidence
        self._loss.append(torch.stack([output.loss_sum.detach().double(), output.count.double()]))

    def finish(self) -> dict[str, float]:
        """Return the metrics and ``loss`` over all ranks' examples, and start anew."""
        evidence, loss_sum, count = _gathered(self._evidence, self._loss)
        self._evidence, self._loss = [], []
        if not self.labelled:
            self.predictions = [_without_target(p, self.task) for p in self._predicted(self.task, evidence)]
            return {}
        metrics = self._concluded(self.task, evidence)
        tuned = self.task.tuned(metrics) if self.tunes else self.task
        if tuned != self.task:
            metrics = self._concluded(tuned, evidence)
        # A task whose loss depends on what is batched together measures it over the whole split.
        return {**metrics, "loss": metrics.get("loss", loss_sum / max(count, 1.0))}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the task's finer tables, and for examples of several sources the metrics of each."""
        tables = self.task.tables(self.predictions)
        parts = dict.fromkeys(row[PART] for row in self.split.examples if PART in row)
        if len(parts) < 2 or not self.labelled:
            return tables
        of_part = {part: [p for p in self.predictions if self._part(p) == part] for part in parts}
        measured = {part: self.task.measure(predictions) for part, predictions in of_part.items()}
        rows = [{"part": part, "examples": len(of_part[part]), **metrics} for part, metrics in measured.items()]
        return {**tables, "per_part": rows}

    def _part(self, prediction: Prediction) -> Any:
        return self.split.examples[prediction.example].get(PART)

    def _concluded(self, task: Task, evidence: list[Any]) -> dict[str, float]:
        self.predictions = self._predicted(task, evidence)
        return task.measure(self.predictions)

    def _predicted(self, task: Task, evidence: list[Any]) -> list[Prediction]:
        # Sums over examples are taken in the order of the data, so that no batch size or rank changes a digit.
        return sorted(task.conclude(evidence, self.split.examples), key=lambda p: p.example)


def _without_target(prediction: Prediction, task: Task) -> Prediction:
    scores = {name: value for name, value in prediction.scores.items() if name in task.free_scores}
    return replace(prediction, target=None, scores=scores)


def _gathered(evidence: list[Any], losses: list[Tensor]) -> tuple[list[Any], float, float]:
    total = torch.stack(losses).sum(0).tolist() if losses else [0.0, 0.0]
    of_all = ranks.objects_of_all((evidence, total), of_data=True)
    joined = [piece for part, _ in of_all for piece in part]
    return joined, sum(t[0] for _, t in of_all), sum(t[1] for _, t in of_all)
