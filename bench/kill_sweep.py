"""Kill sweepers and trials at random moments, go on with their studies, and look for what was lost, repeated or left.

    python bench/kill_sweep.py --rounds 20 --storage journal sqlite postgresql
    python bench/kill_sweep.py --rounds 1 --workers 4 --kills 0      # several commands at once on one study

Each round is a study of its own of a small application whose trials take 0.3 to 1 s, note in their folder that they
begin and end, and start a process besides. Sweepers or trials are sent SIGKILL at moments that a seed draws: one in
four while a sweeper may still be starting, the others while a trial is at work. A sweeper that was killed is started
again, at once or when nothing of it is left. In the end the same command is typed once more. Then there have to be as
many trials as were wanted, each with the parameters that it has in a study that nobody touched; none changed that had
ended; no two processes in one folder at a time; and no process left. PostgreSQL is started by the script itself
(`apt-get install postgresql`).
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from compare_hf import markdown
from hf_jobs import ROOT
from lightune.sweep.storage import opened
from postgresql import server

STORAGES = ("journal", "sqlite", "postgresql")
TRIALS, SLOTS = 6, 2
MARK = "LIGHTUNE_KILL_ROUND"
ENDS = 20.0  # seconds within which everything that was killed is gone
STARTS, RUNS = 3.0, 0.8  # seconds within which somebody is killed, from a sweeper's start or a trial's
APPLICATION = """
import os, subprocess, time
from pathlib import Path
import hydra, psutil
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base=None, config_path=None, config_name=None)
def run(cfg):
    lines = Path(HydraConfig.get().runtime.output_dir) / "lines.txt"
    before = lines.read_text().splitlines() if lines.exists() else []
    beside = [line for line in before if line.startswith("begun") and psutil.pid_exists(int(line.split()[1]))]
    with lines.open("a") as file:
        print("beside" if beside else "begun", os.getpid(), cfg.x, cfg.seconds, file=file, flush=True)
        with subprocess.Popen(["sleep", "300"]) as helper:
            time.sleep(cfg.seconds)
            helper.kill()
        print("ended", os.getpid(), file=file, flush=True)
    return cfg.x**2

if __name__ == "__main__":
    run()
"""


@dataclass
class Round:
    """A study, and what happened to it."""

    folder: Path
    storage: str
    mark: str
    workers: int
    sweepers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    ended: dict[int, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    begun_again: int = 0

    @property
    def study(self) -> Path:
        """Its folder."""
        return self.folder / "study"

    def start(self) -> None:
        """Start a sweeper."""
        words = (
            "hydra/sweeper=lightune hydra/sweeper/sampler=random hydra.sweeper.sampler.seed=1 hydra.sweep.dir=study "
            f"hydra.sweeper.n_trials={TRIALS} hydra.sweeper.n_jobs={SLOTS} hydra.sweeper.retries=100 "
            f"hydra.sweeper.storage='{self.storage}' hydra.sweeper.warm=[hydra._internal.hydra,psutil] "
            "+x=interval(0.0,1.0) +seconds=interval(0.3,1.0)"
        )
        environment = {**os.environ, MARK: self.mark, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "run.py", "-m", *words.split()]
            self.sweepers.append(subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log))

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that its storage has."""
        try:
            return optuna.load_study(study_name="study", storage=opened(self.storage, self.study)).trials
        except Exception:  # of a database whose tables are not there yet
            return []

    def lines(self, number: int) -> list[str]:
        """Return what the processes of a trial have noted."""
        path = self.study / f"trial_{number:04d}" / "lines.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def state(self) -> dict[int, Any]:
        """Return all that there is of the trials that have ended."""
        ended = [trial for trial in self.trials() if trial.state.is_finished()]
        return {t.number: (t.state, t.values, t.params, t.datetime_complete, self.lines(t.number)) for t in ended}

    def processes(self) -> list[psutil.Process]:
        """Return all processes that it has started and that run."""
        return [process for process in psutil.process_iter() if _variable(process, MARK) == self.mark]

    def trial_processes(self) -> list[psutil.Process]:
        """Return the processes of its trials: those that lead a session."""
        return [process for process in self.processes() if _leads(process)]

    def is_at_work(self) -> bool:
        """Return whether a trial has begun and not ended, as far as it has noted."""
        return any((self.lines(number) or ["ended"])[-1].startswith("begun") for number in range(TRIALS))

    def are_running(self) -> bool:
        """Return whether none of its sweepers has ended."""
        return all(process.poll() is None for process in self.sweepers)


def _variable(process: psutil.Process, name: str) -> str | None:
    with contextlib.suppress(psutil.Error):
        return None if process.status() == psutil.STATUS_ZOMBIE else process.environ().get(name)
    return None


def _leads(process: psutil.Process) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid) == process.pid
    return False


def hit(study: Round, draw: random.Random) -> None:
    """Kill a sweeper or one of the trials; a sweeper that was killed is started again."""
    sweeper = draw.choice(study.sweepers)
    trials = study.trial_processes()
    if trials and draw.random() < 0.5:
        with contextlib.suppress(psutil.NoSuchProcess):
            draw.choice(trials).kill()
            study.killed.append("trial")
        return
    sweeper.send_signal(signal.SIGKILL)
    sweeper.wait()
    study.sweepers.remove(sweeper)
    study.killed.append("sweeper")
    study.ended |= study.state()
    if draw.random() < 0.5 and not study.sweepers:
        expect_none_left(study, "after its sweeper was killed")
    study.start()


def expect_none_left(study: Round, when: str) -> None:
    """Wait until no process of a study runs, and note it where one does not end."""
    deadline = time.monotonic() + ENDS
    while (left := study.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    study.wrong += [f"{when} there was still {process.name()} {process.pid}" for process in left]
    for process in left:
        process.kill()


def wait_for_a_moment(study: Round, draw: random.Random) -> None:
    """Wait for one of the moments at which somebody is killed, or for the end of a command."""
    if draw.random() < 0.25:
        time.sleep(draw.uniform(0, STARTS))
        return
    while not study.is_at_work() and study.are_running():
        time.sleep(0.02)
    time.sleep(draw.uniform(0, RUNS))


def run(study: Round, kills: int, draw: random.Random) -> None:
    """Run a study to its end, with so many kills, and type the command once more."""
    study.study.mkdir(parents=True)
    (study.folder / "run.py").write_text(APPLICATION, encoding="utf-8")
    for _ in range(study.workers):
        study.start()
    for _ in range(kills):
        wait_for_a_moment(study, draw)
        if not study.are_running():  # it is over, or the command has failed
            break
        hit(study, draw)
    expect_success(study)
    study.ended |= study.state()
    study.start()
    expect_success(study)
    expect_none_left(study, "in the end")


def expect_success(study: Round) -> None:
    """Wait for all sweepers, and note which have not ended well."""
    study.wrong += [f"a sweeper ended with status {process.returncode}" for process in study.sweepers if process.wait()]
    study.sweepers.clear()


def faults(study: Round, whole: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is not as it should be.

    Args:
        study: After its end.
        whole: Parameters of the trials of a study that was left alone.
    """
    trials = study.trials()
    if [trial.state for trial in trials] != [TrialState.COMPLETE] * TRIALS:
        yield f"trials are {[trial.state.name for trial in trials]}"
    if [trial.params for trial in trials] != whole:
        yield "parameters are not those of a study that was left alone"
    if sorted(place.name for place in study.study.glob("trial_*/")) != [f"trial_{n:04d}" for n in range(TRIALS)]:
        yield "there are other folders than those of the trials"
    now = study.state()
    yield from (f"trial {number} had ended, and was changed" for number in now if study.ended[number] != now[number])
    if study.begun_again > SLOTS * len(study.killed):
        yield "more trials were begun again than were killed"
    for trial in trials:
        yield from trial_faults(trial, [line.split() for line in study.lines(trial.number)])


def trial_faults(trial: FrozenTrial, lines: list[list[str]]) -> Iterator[str]:
    """Yield what is wrong with a trial.

    Args:
        trial: From the storage.
        lines: What its processes noted.
    """
    x = trial.params["+x"]
    if trial.values != [x**2]:
        yield f"trial {trial.number} has the value {trial.values} of another"
    begun = [line for line in lines if line[0] != "ended"]
    if any(line[2:] != [str(x), str(trial.params["+seconds"])] for line in begun):
        yield f"trial {trial.number} was run with other parameters"
    if any(line[0] == "beside" for line in begun):
        yield f"two processes ran trial {trial.number} at the same time"
    if [line[0] for line in lines[-2:]] != ["begun", "ended"]:
        yield f"trial {trial.number} noted {lines} last"


def begun_again(study: Round) -> int:
    """Return how often trials were begun again."""
    lines = [line for number in range(TRIALS) for line in study.lines(number)]
    return sum(not line.startswith("ended") for line in lines) - TRIALS


def rounds(storage: str, options: argparse.Namespace) -> Iterator[Round]:
    """Yield the rounds of a storage; the first is left alone, and says what the others have to come to."""
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database: Callable[[str], str] | None = stack.enter_context(server()) if storage == "postgresql" else None
        whole: list[dict[str, Any]] = []
        for number in range(options.rounds + 1):
            folder = top / str(number)
            files = {"journal": f"{folder}/study/study.journal", "sqlite": f"sqlite:///{folder}/study/study.db"}
            place = database(f"round_{number}") if database else files[storage]
            study = Round(folder, place, f"{top}/{number}", options.workers if number else 1)
            draw = random.Random(f"{options.seed} {storage} {number}")
            kills = draw.randint(1, options.kills) if number and options.kills else 0
            run(study, kills, draw)
            whole = whole or [trial.params for trial in study.trials()]
            study.begun_again = begun_again(study)
            study.wrong += faults(study, whole)
            print(number, study.killed, study.begun_again, study.wrong, file=sys.stderr, flush=True)
            if study.wrong:
                print((folder / "log").read_text(encoding="utf-8")[-4000:], file=sys.stderr)
            yield study


def main() -> None:
    """Kill, look, and exit with status 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each storage, one besides that is left alone")
    parser.add_argument("--storage", nargs="+", choices=STORAGES, default=STORAGES)
    parser.add_argument("--kills", type=int, default=4, help="at most, in each round")
    parser.add_argument("--workers", type=int, default=1, help="commands at once on each study")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lines = [["storage", "rounds", "sweepers killed", "trials killed", "trials begun again", "wrong"]]
    wrong = 0
    for storage in options.storage:
        found = [*rounds(storage, options)]
        killed = [sum(study.killed.count(victim) for study in found) for victim in ("sweeper", "trial")]
        again, bad = sum(study.begun_again for study in found), sum(bool(study.wrong) for study in found)
        lines.append([storage, *map(str, (options.rounds, *killed, again, bad))])
        wrong += bad
    print(markdown(lines))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
