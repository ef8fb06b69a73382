"""environment.json: what a run depended on besides its configuration."""

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from lightune.report.environment import environment


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working tree with one commit, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    for name in ("train.py", "other.py"):
        (tmp_path / name).write_text("1\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_the_revision_of_a_clean_tree(project: Path) -> None:
    assert environment(1)["git"] == {"revision": git(project, "rev-parse", "HEAD"), "dirty": False, "changed": []}


def test_changed_and_new_files_are_named(project: Path) -> None:
    (project / "train.py").write_text("2\n", encoding="utf-8")
    (project / "new.py").write_text("3\n", encoding="utf-8")
    found = environment(1)["git"]
    assert found["dirty"] is True
    assert sorted(found["changed"]) == ["new.py", "train.py"]


def test_a_folder_without_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment(1)["git"] is None


def test_a_machine_without_git(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert environment(1)["git"] is None


def test_what_the_run_depended_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "task=qa", "run_dir=my run"])
    found = environment(7)
    assert found["seed"] == 7
    assert found["command"] == f"{Path(sys.executable).name} train.py task=qa 'run_dir=my run'"
    assert found["python"] == platform.python_version()
    assert found["versions"]["torch"] == version("torch")
    assert found["versions"]["transformers"] == version("transformers")
    assert None not in found["versions"].values()
    assert found["machine"]["cpus"] >= 1
    assert json.loads(json.dumps(found)) == found


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightune.report.environment._PACKAGES", ("torch", "no-such-package"))
    assert environment(1)["versions"] == {"torch": version("torch"), "no-such-package": None}
