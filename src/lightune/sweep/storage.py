"""Where a study is kept: a journal file, a database, or a server that several machines share."""

import os
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from lightune.errors import ConfigError

_SQLITE = "sqlite:///"
_GRPC = "grpc://"
_SUFFIX = ".journal"


class _Lock(BaseJournalFileLock):
    """A lock that the system takes back when its holder dies, and who gets it next mends what that one left.

    Optuna's own locks are files: that of a process that was killed holds up all others for half a minute.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    def acquire(self) -> bool:
        """Wait for the lock, and cut off a last line that was not written to its end."""
        self._lock.acquire()
        _cut_torn_line(self.path)
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


def _cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line break: nobody has read it, and a line behind it would make all unreadable."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def opened(storage: Any, folder: Path) -> BaseStorage:
    """Open a study's storage.

    Args:
        storage: None: ``study.journal`` in the folder. A path that ends so; ``sqlite:///<file>``, ``postgresql://…``,
            ``mysql://…``; ``grpc://host:port`` of a proxy of Optuna's. A storage stays what it is.
        folder: Of the study.

    Raises:
        ConfigError: It cannot be opened.
    """
    if isinstance(storage, BaseStorage):
        return storage
    url = str(storage) if storage is not None else str(folder / f"study{_SUFFIX}")
    if url.endswith(_SUFFIX):
        path = Path(url).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=_Lock(path)))
    try:
        if url.startswith(_GRPC):
            host, _, port = url.removeprefix(_GRPC).partition(":")
            return optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
        if url.startswith(_SQLITE):
            Path(url.removeprefix(_SQLITE)).expanduser().absolute().parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.get_storage(url)
    except (ImportError, ValueError, OSError) as error:
        raise _unusable(url, error) from error
    except Exception as error:  # of SQLAlchemy or a driver, which are imported by the storage alone
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "psycopg2", "psycopg", "pymysql", "MySQLdb"):
            raise
        raise _unusable(url, error) from error


def _unusable(url: str, error: Exception) -> ConfigError:
    if isinstance(error, ImportError):
        return ConfigError(f"hydra.sweeper.storage={url}: {error}", "type pip install 'lightune[postgresql]', or [sql]")
    return ConfigError(
        f"hydra.sweeper.storage={url}: it cannot be opened ({str(error).splitlines()[0] if str(error) else error!r})",
        "leave it out for a file in the study's folder, or type postgresql://user@host/database or a path.journal",
    )


def claims(storage: Any, folder: Path) -> FileLock:
    """Return the lock under which workers take trials, so that none is taken twice and none is made too many.

    It lies beside the file of a study that is kept in one; workers of a server's study have to share the folder.

    Args:
        storage: As in `opened`.
        folder: Of the study.
    """
    url = str(storage) if storage is not None else ""
    place = Path(url.removeprefix(_SQLITE)).expanduser() if url.startswith(_SQLITE) or url.endswith(_SUFFIX) else None
    path = place.with_name(f"{place.name}.claims") if place else folder / "study.claims"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.absolute())
