"""What is logged is the same in history.csv, in a W&B run file, in TensorBoard's events and in MLflow's database."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from lightune.data import world
from lightune.report.history import HistoryLogger
from tests import command, running

RUN = running.ALL_LOGGERS


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _wandb_history(records: list[Any]) -> dict[int, dict[str, float]]:
    """Return step → what was logged at it."""
    rows: dict[int, dict[str, float]] = {}
    for record in records:
        if record.WhichOneof("record_type") == "history":
            row = _items(record.history.item)
            if "trainer/global_step" in row:
                rows.setdefault(row["trainer/global_step"], {}).update(row)
    return rows


def _wandb_summary(records: list[Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for record in records:
        if record.WhichOneof("record_type") == "summary":
            summary.update(_items(record.summary.update))
    return summary


def _tensorboard(run_dir: Path) -> dict[str, dict[int, float]]:
    """Return name → step → value."""
    events = _events(run_dir)
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def _events(run_dir: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    return events.Reload()


def _mlflow(run_dir: Path) -> tuple[Any, Any]:
    """Return the client of the database beside a run folder, and the run in it that the folder names."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run_dir.parent}/mlflow.db")
    return client, client.get_run((run_dir / "mlflow_run_id.txt").read_text(encoding="utf-8").strip())


def _columns(run_dir: Path) -> dict[str, dict[int, float]]:
    """Return history.csv as name → step → value."""
    table: dict[str, dict[int, float]] = {}
    for row in running.history(run_dir):
        for name in row.keys() - {"step"}:
            table.setdefault(name, {})[int(row["step"])] = float(row[name])
    return table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that all loggers followed."""
    return running.followed(tmp_path_factory)


def test_the_final_numbers_are_the_same_everywhere(run: Path) -> None:
    found = running.metrics(run)
    (records,) = running.wandb_records(run)
    summary, events, (_, recorded) = _wandb_summary(records), _tensorboard(run), _mlflow(run)
    last = running.history(run)[-1]
    assert {"test/f1_macro", "val/loss", "train/loss", "best/step", "time/train_s"} <= found.keys()
    for name, value in found.items():
        assert float(last[name]) == value
        assert summary[name] == recorded.data.metrics[name] == value
        assert [*events[name].values()][-1] == pytest.approx(value, rel=1e-6)  # its files hold float32


def test_each_step_is_the_same_everywhere(run: Path) -> None:
    table, events = _columns(run), _tensorboard(run)
    (records,) = running.wandb_records(run)
    history = _wandb_history(records)
    assert [*table["train/loss"]] == [0, 1, 2, 3, 4, 5, 6]  # two epochs of three steps, and the final numbers
    client, recorded = _mlflow(run)
    for name in ("train/loss", "train/grad_norm/layer.1", "speed/tokens_per_s", "val/f1_macro", "lr-AdamW/backbone"):
        theirs = {step: row[name] for step, row in history.items() if name in row}
        assert {m.step: m.value for m in client.get_metric_history(recorded.info.run_id, name)} == pytest.approx(theirs)
        assert theirs == pytest.approx(table[name])
        assert events[name] == pytest.approx(table[name])


def test_wandb_holds_the_configuration(run: Path) -> None:
    (records,) = running.wandb_records(run)
    kept: dict[str, Any] = {}
    for record in records:
        if record.WhichOneof("record_type") == "config":
            kept.update(_items(record.config.update))
        elif record.WhichOneof("record_type") == "run":
            kept.update(_items(record.run.config.update))
            assert (record.run.project, record.run.run_group) == ("lightune", "classification")
    assert kept["task.monitor"] == "f1_macro"
    assert kept["optimizer.lr"] == 5e-4
    assert kept["data.limit.train"] == 24


def _wandb_artifacts(records: list[Any]) -> dict[str, Any]:
    """Return type → artifact."""
    found = [record.request.log_artifact.artifact for record in records if record.HasField("request")]
    found += [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
    return {artifact.type: artifact for artifact in found if artifact.type}


def _files(artifact: Any) -> set[str]:
    return {entry.path for entry in artifact.manifest.contents}


SMALL_FILES = {"config.yaml", "environment.json", "history.csv", "overrides.yaml", "predictions.jsonl"}
TABLES = {"per_class", "confusion", "calibration", "predictions"}


def test_wandb_holds_tables_pictures_files_and_the_model(run: Path) -> None:
    (records,) = running.wandb_records(run)
    summary, artifacts = _wandb_summary(records), _wandb_artifacts(records)
    assert {summary[f"test/{name}/_type"] for name in TABLES} == {"table-file"}
    assert {summary[f"test/{name}_picture/_type"] for name in ("confusion", "calibration")} == {"image-file"}
    assert SMALL_FILES | {"test_confusion.png"} <= _files(artifacts["results"])
    assert {"adapter_model.safetensors", "README.md"} <= _files(artifacts["model"])
    lineage = json.loads(artifacts["model"].metadata)
    assert (lineage["task"], lineage["base_model"]) == ("classification", "sentence-transformers/all-MiniLM-L6-v2")
    assert "lightune.data.sources.BuiltIn" in lineage["data"]


def test_tensorboard_holds_tables_pictures_curves_and_the_configuration(run: Path) -> None:
    events = _events(run)
    tags = events.Tags()
    rows = json.loads((run / "test_per_class.json").read_text(encoding="utf-8"))
    labels = {row["label"] for row in rows if row["support"]}
    assert {f"test/{name}/text_summary" for name in TABLES} | {"model/text_summary"} <= {*tags["tensors"]}
    assert {f"test/{label}" for label in labels} <= {*tags["tensors"]}
    assert set(tags["images"]) == {"test/confusion", "test/calibration"}
    (configuration,) = events.Tensors("configuration/text_summary")
    assert b"| optimizer.lr | 0.0005 |" in configuration.tensor_proto.string_val[0]


def test_mlflow_holds_files_tables_the_configuration_and_what_is_registered(run: Path) -> None:
    client, recorded = _mlflow(run)
    run_id = recorded.info.run_id
    assert recorded.info.run_name == "classification-all-MiniLM-L6-v2-lora-42"
    assert recorded.info.status == "FINISHED"
    assert (recorded.data.params["optimizer.lr"], recorded.data.params["task.monitor"]) == ("0.0005", "f1_macro")
    assert recorded.data.params["environment.versions.torch"]
    assert {file.path for file in client.list_artifacts(run_id)} >= SMALL_FILES | {"test_confusion.png"}
    assert {file.path for file in client.list_artifacts(run_id, "tables")} == {f"tables/{name}.csv" for name in TABLES}
    assert recorded.inputs.dataset_inputs[0].dataset.name == "BuiltIn"
    assert client.get_model_version("topics", "1").run_id == run_id


def test_the_model_in_mlflow_predicts_what_the_run_did(run: Path) -> None:
    import mlflow

    client, recorded = _mlflow(run)
    mlflow.set_registry_uri(f"sqlite:///{run.parent}/mlflow.db")
    (logged,) = client.search_logged_models([recorded.info.experiment_id])
    model = mlflow.pyfunc.load_model(logged.model_uri)
    assert model.metadata.signature.inputs.input_names() == ["text"]
    assert model.metadata.metadata["task"] == "classification"
    wanted = running.predictions(run)
    texts = {row["id"]: row["text"] for row in world.generate("classification")["test"]}
    found = model.predict([{"text": texts[row["id"]]} for row in wanted])
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
    assert [row["confidence"] for row in found] == pytest.approx([row["confidence"] for row in wanted], abs=1e-6)


def test_a_resumed_run_goes_on_in_each_logger(tmp_path: Path) -> None:
    place = f"paths.runs={tmp_path}"
    run = running.train(tmp_path / "run", *RUN, place, "scheduler=constant", "trainer.max_epochs=1")
    _, first = _mlflow(run)
    before = running.history(run)[:3]
    running.resume(run, place, "trainer.max_epochs=2")
    assert running.history(run)[:3] == before
    table, events = _columns(run), _tensorboard(run)
    assert [*table["train/loss"]] == [0, 1, 2, 3, 4, 5, 6]
    assert events["train/loss"] == pytest.approx(table["train/loss"])
    ids = [
        r.run.run_id for records in running.wandb_records(run) for r in records if r.WhichOneof("record_type") == "run"
    ]
    assert len(ids) >= 2
    assert len(set(ids)) == 1
    client, second = _mlflow(run)
    assert second.info.run_id == first.info.run_id
    assert len(client.search_runs([second.info.experiment_id])) == 1
    assert {m.step: m.value for m in client.get_metric_history(second.info.run_id, "train/loss")} == table["train/loss"]
    assert (first.data.params["trainer.max_epochs"], second.info.status) == ("1", "FINISHED")


def test_each_job_of_a_multirun_has_a_wandb_run_of_its_own(tmp_path: Path) -> None:
    loggers = "logger=[csv,wandb]"
    command.run("train", ["-m", *running.SMALL, *RUN, loggers, "seed=1,2", f"run_dir={tmp_path}/both"], tmp_path)
    files = [[*(tmp_path / "both" / f"trial_000{n}").glob("wandb/offline-run-*/run-*.wandb")] for n in (0, 1)]
    assert [len(found) for found in files] == [1, 1]
    assert len({file.name for found in files for file in found}) == 2


def test_a_long_history_is_not_written_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("lightune.report.history.time.perf_counter", lambda: next(ticks) / 100)
    history = HistoryLogger(str(tmp_path))

    def log(steps: range) -> int:
        for step in steps:
            history.log_metrics({"train/loss": 1.0}, step)
            history.save()
        return len(running.history(tmp_path))

    assert log(range(400)) == 400  # a short one is
    assert log(range(400, 1000)) in range(900, 1000)
    history.finalize("success")
    assert len(running.history(tmp_path)) == 1000


def test_folds_have_names_of_their_own(tmp_path: Path) -> None:
    typed = ("task=classification", "logger=wandb", "data.folds=3", "data.fold=2")
    experiment = running.assembled(tmp_path / "run", *typed)
    run = experiment.trainer.loggers[-1].experiment  # type: ignore[attr-defined]
    assert run.name == "classification-all-MiniLM-L6-v2-adapter-42-fold_2"
    run.finish()
