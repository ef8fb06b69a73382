"""Trials as processes: each begins with what they all import, and has a log, a session and devices of its own."""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from lightune import machine
from lightune.sweep import told
from lightune.sweep.owner import Owner

_SERVER_GONE = 255  # what multiprocessing says of a process whose server was killed
_ENDS = 20.0  # seconds within which a process that was sent SIGKILL has ended


@dataclass(frozen=True)
class Command:
    """What a process runs.

    Args:
        script: The file of the application.
        arguments: Its overrides.
        environment: Variables that it has besides.
        log: Where its output goes; what is there already stays.
        folder: Where it is started.
    """

    script: Path
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path


def warm_up(modules: Sequence[str]) -> None:
    """Start the server that all processes are forked from; it imports the modules, and what every trial needs, once."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.get_context("forkserver").set_forkserver_preload([__name__, told.__name__, *modules])
        forkserver.ensure_running()


def slot_environment(slot: int, slots: int) -> dict[str, str]:
    """Return which devices and how many threads a slot has: an equal part of what this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(cores // slots, 1)))}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(number) for number in range(machine.gpu_count())]
    if devices and machine.gpu_count():
        found["CUDA_VISIBLE_DEVICES"] = ",".join(devices[slot % len(devices) :: slots])
    return found


def start(command: Command) -> BaseProcess:
    """Start a process that leads a group of its own: all that it starts can be ended with it."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    process: BaseProcess = context.Process(target=_run, args=(command,))  # type: ignore[attr-defined]
    process.start()
    return process


def end(process: BaseProcess, how: int = signal.SIGKILL) -> None:
    """Send a signal to a process and all that it has started, whether or not it has ended itself."""
    if process.pid is not None:
        try:
            os.killpg(process.pid, how)
        except (ProcessLookupError, PermissionError):  # it has not made its group yet, or nothing is left of it
            process.kill()


def was_killed(process: BaseProcess) -> bool:
    """Return whether a process that has ended did so by a signal, or was left alone by the server that forked it."""
    code = process.exitcode or 0
    return code < 0 or code == _SERVER_GONE


def _run(command: Command) -> None:
    """Be the process: what `python script.py overrides` would be, with imports behind it."""
    os.setsid()
    threading.Thread(target=_end_with_sweeper, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    command.log.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    _succeed(command.log.with_name(f".{command.log.stem}.process"))
    os.environ.update(command.environment)
    os.chdir(command.folder)
    sys.argv = [str(command.script), *command.arguments]
    sys.path.insert(0, str(command.script.parent))
    _use_threads()
    try:
        runpy.run_path(str(command.script), run_name="__main__")
    finally:  # as an interpreter ends; multiprocessing would first wait for workers that these dismiss
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()


def _end_with_sweeper() -> None:
    """End this process and all that it has started once the sweeper is gone: who goes on with its study begins anew."""
    sweeper = multiprocessing.parent_process()
    assert sweeper is not None
    sweeper.join()  # returns at once when it dies, however it does
    os.killpg(0, signal.SIGKILL)


def _succeed(place: Path) -> None:
    """End what an earlier process of the same trial has left, and say which is the present one.

    Two would write into one folder; ranks and loaders outlive a process that is killed together with its sweeper.

    Args:
        place: File with the process that began last.
    """
    earlier = Owner.of(told.read(place))
    left = earlier.session() if earlier is not None else []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_ENDS)
    told.write(place, Owner.here().state())


def _use_threads() -> None:
    """Let torch, which reads it when it is imported, use as many threads as the environment says by now."""
    torch = sys.modules.get("torch")
    if torch is not None and "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
