"""Whose trial it is: a process, told from another that has its number."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil

from lightune.sweep.owner import SILENT, Owner


def test_this_process_is_alive() -> None:
    here = Owner.here()
    assert here.pid == os.getpid()
    assert here.is_alive()
    assert Owner.of(here.state()) == here


def test_a_number_that_was_given_again_is_another_process() -> None:
    here = Owner.here()
    assert not replace(here, started=here.started - 60).is_alive()


def test_a_process_that_was_killed_is_gone_before_it_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        owner = replace(Owner.here(), pid=process.pid, started=psutil.Process(process.pid).create_time())
        assert owner.is_alive()
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while owner.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not owner.is_alive()


# A process of its own session, with a child that it leaves behind.
LEAVING = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"


def test_a_session_outlives_its_leader() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        owner = replace(Owner.here(), pid=process.pid, started=psutil.Process(process.pid).create_time())
        assert {member.pid for member in owner.session()} == {process.pid, child}
        assert replace(owner, started=owner.started - 60).session() == []  # another had its number before
        assert replace(owner, host="elsewhere").session() == []
        process.kill()
        process.wait()
        (left,) = owner.session()
        assert left.pid == child
        left.kill()


def test_one_of_another_machine_is_heard_of() -> None:
    there = replace(Owner.here(), host="elsewhere")
    assert there.is_alive(beat=time.time() - SILENT / 2)
    assert not there.is_alive(beat=time.time() - 2 * SILENT)
    assert not there.is_alive()


def test_what_is_no_owner_is_none() -> None:
    assert Owner.of(None) is None
    assert Owner.of({"host": "a", "pid": "b", "started": 0}) is None
