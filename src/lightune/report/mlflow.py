"""MLflow: runs, tables, files and models in one SQLite file, without an account or a server."""

import csv
import hashlib
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from lightune import machine
from lightune.checkpoint import write_weights
from lightune.report.artefacts import write_text
from lightune.report.findings import Findings, Rows
from lightune.report.guarded import Guarded

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger

_RUN_ID = "mlflow_run_id.txt"  # in the run folder, by which a resumed run finds its own again
_KIND = "mlflow.experimentKind"  # which pages the dashboard begins with
_SQLITE = "sqlite:///"
_LONGEST = 6_000  # characters of a parameter
_AT_ONCE = 100  # parameters
_NEEDED = ("torch", "lightning", "transformers", "peft", "datasets", "torchmetrics", "hydra-core", "safetensors")


def logger(
    run_dir: str,
    tracking_uri: str,
    artifact_location: str | None = None,
    experiment: str = "lightune",
    name: str | None = None,
    group: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: bool = True,
    registered_model_name: str | None = None,
) -> Guarded:
    """Return Lightning's MLflow logger, guarded.

    In a run folder that has an MLflow run already, that one is continued. mlflow, whose import takes seconds, is
    imported when something is logged.

    Args:
        run_dir: The run folder.
        tracking_uri: Of the database, or of a server.
        artifact_location: Folder for files of runs; None leaves it to the server.
        experiment: What runs lie in.
        name: Of the run.
        group: Tag ``group``; a trial's is its study.
        tags: Further tags.
        model: Whether the model is logged.
        registered_model_name: Name in the registry, of which the model becomes a version; None: it is not registered.
    """
    remote = artifact_location is None or "://" in artifact_location
    place = artifact_location if remote else str(Path(str(artifact_location)).absolute())
    trial = machine.trial()
    told = {"group": trial.get("study", group), "study": trial.get("study"), **(tags or {})}
    marks = {key: str(value) for key, value in told.items() if value is not None}

    def make() -> "tuple[MLFlowLogger, MlflowSink]":
        _be_quiet()
        with _alone(tracking_uri):
            own = _opened(Path(run_dir), tracking_uri, place, experiment, trial.get("trial", name), marks)
        return own, MlflowSink(own, Path(run_dir), model, registered_model_name)

    return Guarded("mlflow", make)


def _opened(
    run_dir: Path, uri: str, artifacts: str | None, experiment: str, name: str | None, tags: dict[str, str]
) -> "MLFlowLogger":
    """Return the logger with its run, a new one or that of the run folder."""
    from lightning.pytorch.loggers import MLFlowLogger

    own = MLFlowLogger(experiment, name, uri, tags, artifact_location=artifacts, run_id=_earlier_id(run_dir, uri))
    assert own.run_id is not None  # it is made now
    own.experiment.update_run(own.run_id, status="RUNNING")
    own.experiment.set_experiment_tag(own.experiment_id, _KIND, "custom_model_development")
    write_text(run_dir / _RUN_ID, f"{own.run_id}\n")
    return own


def _earlier_id(run_dir: Path, uri: str) -> str | None:
    """Return the id of the MLflow run that a run folder has, if the database knows it."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    path = run_dir / _RUN_ID
    if not path.is_file():
        return None
    run_id = path.read_text(encoding="utf-8").strip()
    try:
        return str(MlflowClient(uri).get_run(run_id).info.run_id)
    except MlflowException:
        return None


def _be_quiet() -> None:
    """Keep MLflow from telling of every table it creates, and from telling its makers of us."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    logging.getLogger("lightning.pytorch.loggers.mlflow").setLevel(logging.ERROR)


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let one process at a time create the tables of an SQLite file, and the experiment: MLflow's own fail at it."""
    if not uri.startswith(_SQLITE):
        yield
        return
    path = Path(uri.removeprefix(_SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


@dataclass(frozen=True)
class MlflowSink:
    """Logs parameters, tables, files, and the model with its signature and lineage.

    Args:
        logger: Lightning's.
        run_dir: The run folder.
        model: Whether the model is logged.
        registered: Its name in the registry.
    """

    logger: "MLFlowLogger"
    run_dir: Path
    model: bool
    registered: str | None

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Log the parameters that the run does not have yet: those of an MLflow run never change."""
        from mlflow.entities import Param

        client, run_id = self.logger.experiment, self.logger.run_id
        known = client.get_run(run_id).data.params
        new = [Param(key, str(value)[:_LONGEST]) for key, value in parameters.items() if key not in known]
        for begin in range(0, len(new), _AT_ONCE):
            client.log_batch(run_id, params=new[begin : begin + _AT_ONCE])

    def conclude(self, findings: Findings) -> None:
        """Log what the run found."""
        client, run_id = self.logger.experiment, self.logger.run_id
        for path in findings.files():
            client.log_artifact(run_id, str(path))
        for name, rows in findings.tables.items():
            client.log_text(run_id, as_csv(rows), f"tables/{name}.csv")
        client.log_inputs(run_id, datasets=[_dataset(findings.model.lineage)])
        if self.model and findings.model.checkpoint.is_file():
            self._log_model(findings)

    def _log_model(self, findings: Findings) -> None:
        import mlflow
        from mlflow.models import infer_signature

        made = findings.model
        warnings.filterwarnings("ignore", ".*input example was not provided", module="mlflow")
        with tempfile.TemporaryDirectory() as folder, mlflow.start_run(self.logger.run_id):
            write_weights(made.checkpoint, Path(folder) / "best.ckpt")
            mlflow.pyfunc.log_model(
                name="model",
                loader_module="lightune.served",
                data_path=folder,
                signature=infer_signature([dict(made.inputs)], [{"prediction": made.output}]),
                metadata=dict(made.lineage),
                pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
                registered_model_name=self.registered,
            )


def as_csv(rows: Rows) -> str:
    """Return rows as CSV, with a column for whatever a row has."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _dataset(lineage: Mapping[str, str]) -> Any:
    from mlflow.entities import Dataset, DatasetInput

    source = lineage["data"]
    name = str(json.loads(source).get("_target_", "data")).rpartition(".")[2]
    return DatasetInput(Dataset(name, hashlib.sha256(source.encode()).hexdigest()[:8], "lightune", source))
