"""A checkpoint as a function of rows: what MLflow loads a model by."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from lightune import assemble, checkpoint_card
from lightune.checkpoint import load_weights
from lightune.data.encoding import EncodedSplit, encoded
from lightune.data.table import Table
from lightune.evaluation import Evaluation
from lightune.instantiate import as_config, refuse_untrusted

# On this machine, whatever the run had.
_HERE = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "fast_dev_run": False}


class Predictor:
    """Predicts rows as an evaluation does, with the thresholds that were decided on val.

    Args:
        checkpoint: That lightune wrote; the backbone is had from where its configuration says.

    Raises:
        UserError: The checkpoint cannot be used, or its configuration names code that is not trusted.
    """

    def __init__(self, checkpoint: Path) -> None:
        card = checkpoint_card.read(checkpoint)
        refuse_untrusted(card["config"], ())
        cfg = as_config({**card["config"], "trainer": {**card["config"]["trainer"], **_HERE}})
        cfg.callbacks, cfg.logger = {}, {}
        self._experiment = assemble.experiment(cfg, card, need=())
        self._size = int(cfg.data.eval_batch_size or cfg.data.batch_size)
        load_weights(self._experiment.module.model, checkpoint, self._experiment.module.everything)
        self._experiment.tune(card["metrics"])
        self._experiment.module.eval()

    def predict(self, frame: Any, params: Any = None) -> list[dict[str, Any]]:
        """Return the prediction of each row and its scores.

        Args:
            frame: Rows by the columns of the data that the run had, a DataFrame or mappings; targets may be left out.
            params: Nothing reads them.
        """
        rows: Iterable[Mapping[str, Any]] = frame.to_dict("records") if hasattr(frame, "to_dict") else frame
        task, model = self._experiment.task, self._experiment.module.model
        given = [{key: _plain(value) for key, value in row.items()} for row in rows]
        table = task.read(Table([{**row, **task.stand_ins(row)} for row in given], "rows"))
        features = encoded(table.rows, 0, task, self._experiment.tokenizer, self._experiment.max_length)
        evaluation = Evaluation(task, EncodedSplit(table.rows, features, features["length"], 0), labelled=False)
        kept = features.remove_columns([name for name in ("length", "truncated") if name in features.columns])
        with torch.inference_mode():
            for begin in range(0, len(kept), self._size):
                some = [kept[i] for i in range(begin, min(begin + self._size, len(kept)))]
                batch = self._experiment.data.collate(some)
                evaluation.update(task.step(model, batch), batch)
        evaluation.finish()
        return [{key: value for key, value in p.row().items() if key != "target"} for p in evaluation.predictions]


def _plain(value: Any) -> Any:
    """Return what pandas holds as Python has it."""
    return value.tolist() if hasattr(value, "tolist") else value


def _load_pyfunc(path: str) -> Predictor:
    """Return the model that lies in a folder, or is a file; MLflow calls this."""
    place = Path(path)
    return Predictor(place / "best.ckpt" if place.is_dir() else place)
