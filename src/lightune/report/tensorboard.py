"""What TensorBoard shows besides curves: texts, tables, pictures, precision-recall curves, and vectors of texts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightune.report.findings import Findings, Rows

if TYPE_CHECKING:
    from lightning.pytorch.loggers import TensorBoardLogger


@dataclass(frozen=True)
class TensorBoardSink:
    """Writes into the same event files as the logger.

    Args:
        logger: Lightning's.
    """

    logger: "TensorBoardLogger"

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Write the configuration and the environment, as hyper-parameters and to read."""
        self.logger.log_hyperparams(dict(parameters))
        rows = [{"key": key, "value": value} for key, value in parameters.items()]
        self.logger.experiment.add_text("configuration", markdown(rows))

    def conclude(self, findings: Findings) -> None:
        """Write what the run found."""
        from matplotlib.image import imread

        writer, step = self.logger.experiment, findings.step
        for name, rows in findings.tables.items():
            writer.add_text(f"test/{name}", markdown(rows), step)
        for name, path in findings.pictures.items():
            writer.add_image(f"test/{name}", imread(path)[..., :3], step, dataformats="HWC")
        for curve in findings.curves:
            writer.add_pr_curve(f"test/{curve.label}", curve.truth, curve.scores, step)
        if findings.texts:
            metadata = [" ".join(text.split()) for text in findings.texts]  # a line each
            writer.add_embedding(findings.vectors, metadata, global_step=step, tag="test")
        lineage = [{"key": key, "value": value} for key, value in findings.model.lineage.items()]
        writer.add_text("model", markdown(lineage), step)


def markdown(rows: Rows) -> str:
    """Return rows as a table of Markdown, with a column for whatever a row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([_cell(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.replace("|", "\\|").split())
