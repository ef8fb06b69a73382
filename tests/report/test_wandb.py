"""Weights & Biases: offline where there is no login, and never the reason why a run fails."""

import glob
import re
from pathlib import Path

import pytest

from lightune.report import wandb as ours
from tests.command import SMALL_RUN, run

KEY = "0" * 40


@pytest.fixture(autouse=True)
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty netrc file; no variable says anything of W&B."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards, whatever wandb sets
        monkeypatch.delenv(name)
    file = tmp_path / "netrc"
    file.touch()
    monkeypatch.setenv("NETRC", str(file))
    return file


@pytest.mark.parametrize(
    ("netrc", "key", "has"),
    [
        ("", "", False),
        ("", KEY, True),
        (f"machine api.wandb.ai login user password {KEY}\n", "", True),
        ("machine github.com login me password x\n", "", False),
        ("machine api.wandb.ai login user", "", False),  # torn
        ("machine api.wandb.ai pass", "", False),
    ],
)
def test_a_login_is_a_key_in_the_environment_or_the_netrc_file(
    netrc: str, key: str, has: bool, no_login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_login.write_text(netrc, encoding="utf-8")
    monkeypatch.setenv("WANDB_API_KEY", key)
    assert ours.has_login() is has


def test_no_netrc_file_is_no_login(no_login: Path) -> None:
    no_login.unlink()
    assert ours.has_login() is False


@pytest.mark.parametrize(
    ("asked", "mode", "key", "offline"),
    [
        (None, None, "", True),
        (None, None, KEY, False),
        (None, "offline", KEY, True),
        (True, None, KEY, True),
        (False, None, "", False),
    ],
)
def test_who_is_not_logged_in_records_offline_and_is_told_how_to_sync(
    asked: bool | None,
    mode: str | None,
    key: str,
    offline: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    made = ours.logger(asked, save_dir=str(tmp_path / "my run"), project="p")
    out = capsys.readouterr().out
    assert made.inner._offline is offline  # type: ignore[attr-defined]
    assert ("wandb login, then wandb sync" in out) is offline
    assert not (tmp_path / "my run").exists()  # a refused command leaves nothing behind


def test_a_run_without_login_leaves_what_it_says_can_be_synced(tmp_path: Path) -> None:
    place = tmp_path / "my run"
    overrides = ["task=classification", "logger=[csv,wandb]", f"run_dir={place}", "paths.runs=runs"]
    outcome = run("train", [*SMALL_RUN, *overrides], tmp_path)
    assert outcome.status == 0, outcome.err
    (pattern,) = re.findall(r"wandb sync (.*)$", outcome.out, re.MULTILINE)
    (folder,) = glob.glob(pattern.replace("'", ""))  # noqa: PTH207  # as the shell does
    assert list(Path(folder).glob("*.wandb"))
    assert {path.name for path in tmp_path.iterdir()} == {"my run", "netrc"}
