"""Optuna's dashboard, started for real, shows a study that lies in its folder."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest

from lightune.sweep import dashboard
from lightune.sweep.storage import opened


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _asked(url: str, process: "subprocess.Popen[str]") -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(process.communicate()[0])


def test_the_dashboard_lists_a_study_and_its_trials(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="small", storage=opened(None, tmp_path))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    port = _free_port()
    command = [sys.executable, "-m", "lightune.sweep.dashboard", str(tmp_path), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            place = f"http://127.0.0.1:{port}/api/studies"
            (summary,) = _asked(place, process)["study_summaries"]
            trials = _asked(f"{place}/{summary['study_id']}", process)["trials"]
        finally:
            process.terminate()
    assert summary["study_name"] == "small"
    assert [trial["values"] for trial in trials] == [trial.values for trial in study.trials]


def test_it_says_what_it_cannot_show(tmp_path: Path) -> None:
    for typed, said in (([], "no study was named"), ([str(tmp_path)], f"no study.journal lies in {tmp_path}")):
        with pytest.raises(SystemExit, match=said):
            dashboard.main(typed)
    assert not [*tmp_path.iterdir()]
    optuna.create_study(storage=opened(None, tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit, match=r"Address already in use\n.*another --port"):
            dashboard.main([str(tmp_path), "--port", str(taken.getsockname()[1])])
