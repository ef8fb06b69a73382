"""The table after a multirun: what differs, the numbers that stand for a run, and a mean where it means something."""

import csv
import json
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from matplotlib.image import imread
from omegaconf import OmegaConf, open_dict

from lightune import cli
from lightune.multirun import TABLE, Job, Multirun, comparison, shown_table, varying, write_table
from tests import running
from tests.command import ROOT, SMALL_RUN, composed, run


def _job(typed: dict[str, str], headline: tuple[str, ...] = ("f1",), **metrics: float) -> Job:
    return Job(typed, Path("runs/a"), headline, {name.replace("_", "/", 1): value for name, value in metrics.items()})


def test_what_differs() -> None:
    jobs = [_job({"task": "qa", "seed": "1"}), _job({"task": "qa", "seed": "2", "lr": "1"})]
    assert varying(jobs) == ["seed", "lr"]


def test_seeds_have_a_mean_and_a_deviation() -> None:
    jobs = [_job({"seed": str(i)}, val_f1=i / 10, test_f1=i / 20) for i in (1, 2, 3)]
    columns, rows = shown_table(jobs)
    assert columns == ["seed", "metric", "val", "test"]
    assert rows[1] == ["2", "f1", "0.2000", "0.1000"]
    assert rows[3] == ["mean", "", "0.2000 ± 0.1000", "0.1000 ± 0.0500"]


def test_experiments_have_the_mean_of_their_means() -> None:
    jobs = [
        _job({"experiment": "glue/rte"}, ("accuracy",), val_accuracy=0.5),
        _job({"experiment": "glue/mrpc"}, ("f1", "accuracy"), val_f1=0.8, val_accuracy=0.6),
    ]
    _, rows = shown_table(jobs)
    assert [row[2] for row in rows] == ["0.5000", "0.8000 / 0.6000", "0.6000"]
    assert [row[3] for row in rows] == ["", "", ""]  # nothing was tested


def test_other_runs_have_none() -> None:
    jobs = [_job({"lr": str(i), "seed": str(i)}, val_f1=0.5, test_f1=0.5) for i in (1, 2)]
    assert len(shown_table(jobs)[1]) == 2


def test_means_of_several_seeds_have_their_intervals(tmp_path: Path) -> None:
    margins = {"val/f1": 0.01, "test/f1": 0.03}
    jobs = [
        Job({"peft": peft}, tmp_path / peft, ("f1",), {"val/f1": 0.5, "test/f1": 0.25}, each)
        for peft, each in (("lora", margins), ("full", {}))
    ]
    _, rows = shown_table(jobs)
    assert [row[2:4] for row in rows] == [["0.5000 ± 0.0100", "0.2500 ± 0.0300"], ["0.5000", "0.2500"]]
    write_table(jobs, tmp_path / TABLE)
    with (tmp_path / TABLE).open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["half_width/test/f1"], first["test/f1"]) == ("0.03", "0.25")
    assert second["half_width/test/f1"] == ""


def test_the_file_has_every_number(tmp_path: Path) -> None:
    jobs = [_job({"seed": "1"}, val_f1=0.25), _job({"seed": "2"}, test_loss=1.5)]
    write_table(jobs, tmp_path / "new" / TABLE)
    with (tmp_path / "new" / TABLE).open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert rows == [
        {"run_dir": "runs/a", "seed": "1", "test/loss": "", "val/f1": "0.25"},
        {"run_dir": "runs/a", "seed": "2", "test/loss": "1.5", "val/f1": ""},
    ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == [TABLE]


def _returned(folder: Path, **changes: Any) -> JobReturn:
    cfg = OmegaConf.create({"run_dir": str(folder), "task": {"monitor": "f1"}, **changes})
    return JobReturn(cfg=cfg, overrides=["seed=1", "+a.b=c=d"], status=JobStatus.COMPLETED)


@pytest.mark.parametrize(("headline", "shown"), [(None, ["f1"]), (["mcc", "f1"], ["mcc", "f1"])])
def test_a_job_is_read_from_its_folder(headline: list[str] | None, shown: list[str], tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"val/f1": 0.5}), encoding="utf-8")
    job = Job.ended(_returned(tmp_path, headline=headline))
    assert job == Job({"seed": "1", "a.b": "c=d"}, tmp_path, shown, {"val/f1": 0.5})


def test_a_job_without_numbers_is_left_out(tmp_path: Path) -> None:
    assert Job.ended(_returned(tmp_path)) is None
    (tmp_path / "metrics.json").write_text("{}", encoding="utf-8")
    failed = _returned(tmp_path)
    failed.status = JobStatus.FAILED
    assert Job.ended(failed) is None


def test_one_run_needs_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback = Multirun()
    callback.jobs.append(_job({"seed": "1"}))
    callback.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert capsys.readouterr().out == ""
    assert [*tmp_path.iterdir()] == []


def test_a_multirun_ends_with_its_table(tmp_path: Path) -> None:
    outcome = run("train", ["-m", "seed=1,2", "task=classification", *SMALL_RUN, "headline=[mcc,accuracy]"], tmp_path)
    assert outcome.status == 0, outcome.err
    end = outcome.out[outcome.out.index("2 runs") :]
    assert "mcc / accuracy" in end
    assert "±" in end
    (sweep,) = (tmp_path / "runs/classification").iterdir()
    with (sweep / TABLE).open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["seed"] for row in rows] == ["1", "2"]
    for row in rows:
        metrics = json.loads((Path(row["run_dir"]) / "metrics.json").read_text(encoding="utf-8"))
        assert float(row["test/mcc"]) == metrics["test/mcc"]


@pytest.mark.parametrize(
    ("typed", "expanded"),
    [
        ("experiment=superglue/w*", "experiment=superglue/wic,superglue/wsc"),
        ("experiment=glue/rte,superglue/ws*", "experiment=glue/rte,superglue/wsc"),
        ("experiment=glob(superglue/w*)", "experiment=superglue/wic,superglue/wsc"),
        ("scheduler=glob(con*)", "scheduler=glob(con*)"),  # Hydra does that itself
        ("experiment=blue/*", "experiment=blue/*"),
        ("data.train=data/*.csv", "data.train=data/*.csv"),
        ("scheduler=con*", "scheduler=constant,constant_with_warmup"),
    ],
)
def test_a_pattern_names_options(typed: str, expanded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [str(ROOT / "train.py")])
    assert cli._named_options(["-m", typed, "seed=1,2"]) == ["-m", expanded, "seed=1,2"]


def test_a_headline_that_is_not_measured(tmp_path: Path) -> None:
    outcome = run("train", ["task=classification", *SMALL_RUN, "headline=[acuracy]"], tmp_path)
    assert outcome.status == 1
    assert "headline=acuracy: classification has no such metric" in outcome.err
    assert "accuracy" in outcome.err


def test_methods_are_compared_by_quality_and_cost() -> None:
    jobs = [
        _job({"peft": peft, "seed": seed}, test_f1=f1, params_trainable=100.0)
        for peft, seed, f1 in (("lora", "1", 0.5), ("lora", "2", 0.7), ("full", "1", 0.8))
    ]
    points = comparison(jobs)
    assert [point["name"] for point in points] == ["lora", "full"]
    assert points[0]["test/f1"] == pytest.approx(0.6)
    assert points[0]["params/trainable"] == 100
    columns, rows = shown_table(jobs)
    assert columns[-3:] == ["trained", "training, s", "memory, MiB"]
    assert all(len(row) == len(columns) for row in rows)


def test_a_comparison_of_methods_ends_with_a_picture(tmp_path: Path) -> None:
    typed = ["-m", "experiment=compare_peft", "peft=lora,head", *SMALL_RUN, f"paths.runs={tmp_path}"]
    outcome = run("train", typed, tmp_path)
    assert outcome.status == 0, outcome.err
    (picture,) = tmp_path.rglob("runs.png")
    assert min(imread(picture).shape[:2]) > 800
    with picture.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        trained = [int(float(row["params/trainable"])) for row in csv.DictReader(file)]
    assert trained[1] < trained[0]


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_submitit_launcher") is None, reason="needs the extra slurm")
def test_jobs_of_a_cluster_have_a_table_too(tmp_path: Path) -> None:
    """submitit starts them as processes of this machine here."""
    typed = ["-m", "hydra/launcher=submitit_local", "seed=1,2", *running.SMALL, "task=classification"]
    with running.started("train", tmp_path, *typed, f"run_dir={tmp_path / 'sweep'}") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "2 runs" in said
    with (tmp_path / "sweep" / TABLE).open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["seed"] for row in rows] == ["1", "2"]
    found = running.metrics(tmp_path / "sweep" / "trial_0001")
    assert float(rows[1]["test/f1_macro"]) == found["test/f1_macro"]


@pytest.mark.parametrize(("tasks", "refused"), [(1, True), (2, False)])
def test_the_launcher_may_start_the_ranks(tasks: int, refused: bool) -> None:
    cfg = composed("trainer=ddp_cpu", "strategy=ddp")
    with open_dict(cfg):
        cfg.hydra = {"launcher": {"tasks_per_node": tasks}}
    with pytest.raises(SystemExit) if refused else nullcontext():
        Multirun().on_multirun_start(cfg)


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_submitit_launcher") is None, reason="needs the extra slurm")
def test_slurm_is_asked_for_what_the_file_says() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"], return_hydra_config=True)
    launcher = cfg.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.partition, launcher.gpus_per_node, launcher.max_num_timeout) == ("gpu", 1, 10)
