"""A PostgreSQL server of one's own: made in a temporary folder, heard on a socket there, and gone afterwards."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_STARTS = 60.0  # seconds


def binaries() -> Path | None:
    """Return the folder of its programs; None where it is not installed."""
    found = shutil.which("postgres")  # Debian keeps them out of PATH
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places else None


@contextlib.contextmanager
def server() -> Iterator[Callable[[str], str]]:
    """Run a server while the context lasts, and yield what makes a database of a name and returns its address.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    programs = binaries()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    place = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user:
        shutil.chown(place, user)

    def run(program: str, *arguments: str) -> None:
        words = [str(programs / program), *arguments]
        subprocess.run(words, user=user, check=True, cwd=place, stdout=subprocess.DEVNULL)

    def database(name: str) -> str:
        run("createdb", f"--host={place}", "--username=postgres", name)
        return f"postgresql://postgres@/{name}?host={place}"

    run("initdb", f"--pgdata={place / 'data'}", "--auth=trust", "--username=postgres")
    words = [str(programs / "postgres"), "-D", str(place / "data"), "-k", str(place), "-c", "listen_addresses="]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(words, user=user, cwd=place, stdout=log, stderr=log)
    try:
        _wait_for(place / ".s.PGSQL.5432", process)
        yield database
    finally:
        process.send_signal(signal.SIGINT)  # who is connected still is sent away
        process.wait()
        shutil.rmtree(place)


def _wait_for(socket: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _STARTS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError((socket.parent / "log").read_text(encoding="utf-8"))
        time.sleep(0.05)
    time.sleep(0.5)  # the socket is there a little before it is listened to
