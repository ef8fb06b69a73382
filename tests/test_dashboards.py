"""The pages that show runs, started as a user does, answer with what was logged."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from lightune import machine
from lightune.report.mlflow import logger
from tests import command, running

WRITERS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that all loggers followed."""
    return running.followed(tmp_path_factory)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answer(address: str, content: Any = None) -> str:
    """Return what a server answers, as soon as it does."""
    deadline = time.monotonic() + 120
    body = None if content is None else json.dumps(content).encode()
    request = Request(address, body, {"Content-Type": "application/json"})
    while True:
        try:
            with urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


@contextmanager
def _served(*words: str) -> Iterator[None]:
    server = subprocess.Popen(
        words, cwd=command.ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_mlflow_shows_runs(run: Path) -> None:
    port = _free_port()
    installed = ("-o", ".venv/.installed", f"PY={sys.executable}")
    with _served("make", *installed, "ui", f"RUNS={run.parent}", f"ARGS=--port {port}"):
        address = f"http://127.0.0.1:{port}"
        assert "MLflow" in _answer(address)
        (experiment,) = json.loads(
            _answer(f"{address}/api/2.0/mlflow/experiments/search", {"max_results": 9, "filter": "name = 'lightune'"})
        )["experiments"]
        wanted = {"experiment_ids": [experiment["experiment_id"]]}
        found = json.loads(_answer(f"{address}/api/2.0/mlflow/runs/search", wanted))["runs"]
        run_id = (run / "mlflow_run_id.txt").read_text(encoding="utf-8").strip()
        files = f"{address}/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}"
        assert "metrics.json" not in _answer(files)  # it is written when all else is done
        assert "test_confusion.png" in _answer(files)
    (ours,) = (one for one in found if one["info"]["run_id"] == run_id)
    metrics = {metric["key"]: metric["value"] for metric in ours["data"]["metrics"]}
    final = running.metrics(run)
    assert {name: metrics[name] for name in final} == final
    assert {tag["value"] for tag in ours["data"]["tags"] if tag["key"] == "group"} == {"classification"}


def test_tensorboard_shows_all_runs(run: Path, tmp_path: Path) -> None:
    typed = ("task=embedding", "logger=tensorboard", "data.limit={train: 16, val: 6, test: 6}", "data.max_length=48")
    running.train(tmp_path / "embedding", *typed, "trainer.max_epochs=1")
    (tmp_path / "classification").symlink_to(run)
    port = _free_port()
    options = ("--logdir", str(tmp_path), "--port", str(port), "--reload_interval", "1")
    with _served(sys.executable, "-m", "tensorboard.main", *options):
        plugins = f"http://127.0.0.1:{port}/data/plugin"
        assert "TensorBoard" in _answer(f"http://127.0.0.1:{port}")
        scalars: dict[str, Any] = {}
        while len(scalars) < 2:  # it reads files as it goes
            scalars = json.loads(_answer(f"{plugins}/scalars/tags"))
            time.sleep(0.2)
        name = "classification/tensorboard"
        assert {"train/grad_norm", "test/f1_macro", "best/f1_macro"} <= scalars[name].keys()
        (point,) = json.loads(_answer(f"{plugins}/scalars/scalars?tag=test/f1_macro&run={name}"))
        assert point[2] == pytest.approx(running.metrics(run)["test/f1_macro"])
        assert "test/biography" in json.loads(_answer(f"{plugins}/pr_curves/tags"))[name]
        assert "test/predictions/text_summary" in json.loads(_answer(f"{plugins}/text/tags"))[name]
        assert json.loads(_answer(f"{plugins}/projector/runs")) == ["embedding/tensorboard"]
        projected = json.loads(_answer(f"{plugins}/projector/info?run=embedding/tensorboard"))
        assert projected["embeddings"][0]["tensorShape"] == [6, 32]


def _log(folder: Path, number: int) -> None:
    os.environ[machine.TRIAL] = json.dumps({"study": "mine", "trial": f"trial_{number:04d}"})
    own = logger(str(folder / f"trial_{number:04d}"), f"sqlite:///{folder}/mlflow.db", str(folder / "mlflow"))
    own.log_hyperparams({"number": number})
    for step in range(20):
        own.log_metrics({f"value/{i}": float(number * step) for i in range(10)}, step)
        own.save()
    own.finalize("success")


def test_trials_write_into_one_database_at_once(tmp_path: Path, processes: ForkServerContext) -> None:
    from mlflow import MlflowClient

    trials = [processes.Process(target=_log, args=(tmp_path, number)) for number in range(WRITERS)]
    for trial in trials:
        trial.start()
    for trial in trials:
        trial.join(200)
    assert [trial.exitcode for trial in trials] == [0] * WRITERS
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments() if e.name == "lightune"]
    found = client.search_runs(experiments, "tags.study = 'mine'")
    assert sorted(one.info.run_name for one in found) == [f"trial_{number:04d}" for number in range(WRITERS)]
    for one in found:
        number = int(one.data.params["number"])
        assert one.data.tags["group"] == "mine"
        for i in (0, 9):
            history = client.get_metric_history(one.info.run_id, f"value/{i}")
            assert [(m.step, m.value) for m in history] == [(step, number * step) for step in range(20)]
