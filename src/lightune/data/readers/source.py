"""From what the user typed to the bytes, text and lines of each file."""

import glob
import gzip
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lightune.errors import DataError, nearest

BOM = b"\xef\xbb\xbf"
BOMS_16 = (b"\xff\xfe", b"\xfe\xff")
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """One file's name and content.

    Args:
        name: What messages call the file.
        content: Its bytes, unpacked if they were gzipped.
    """

    name: str
    content: bytes

    @property
    def suffix(self) -> str:
        """The suffix that tells the format, in lower case; ``.gz`` does not count."""
        return Path(self.name.lower().removesuffix(".gz")).suffix

    @cached_property
    def text(self) -> str:
        """The decoded content, without a byte order mark.

        Raises:
            DataError: It is blank, or not UTF-8.
        """
        raw = self.content.removeprefix(BOM)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._not_utf8(raw, error.start) from None
        if not text.strip():
            raise DataError(f"{self.name} is empty", "give a file with at least one example")
        return text

    @cached_property
    def lines(self) -> list[str]:
        r"""The physical lines, without their ends (``\n``, ``\r\n``, or ``\r`` where there is no other).

        `str.splitlines` would also cut at U+2028, U+0085 and their like, which stand inside real sentences.
        """
        text = self.text
        if "\n" not in text:
            return text.split("\r")
        return [line.removesuffix("\r") for line in text.split("\n")]

    def _not_utf8(self, raw: bytes, position: int) -> DataError:
        encoding = "utf-16" if raw.startswith(BOMS_16) else "latin1"
        line = raw.count(b"\n", 0, position) + 1
        return DataError(
            f"{self.name}, line {line}: byte 0x{raw[position]:02x} is not UTF-8",
            f"save the file as UTF-8, for instance: iconv -f {encoding} -t utf-8 {self.name} > utf8{self.suffix}",
        )


def open_all(path: str | Path | Sequence[str | Path]) -> list[Source]:
    """Read the content of every file that is meant.

    Args:
        path: A file, a pattern, or a list of either.

    Returns:
        One source per file. Messages call it by its file name, or by its path where two share a name.

    Raises:
        DataError: There is no such file, or it cannot be read.
    """
    paths = named(path)
    times = Counter(found.name for found in paths)
    return [Source(found.name if times[found.name] == 1 else str(found), _content(found)) for found in paths]


def named(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return every file that is meant.

    Args:
        path: A file, a pattern, or a list of either.

    Raises:
        DataError: There is no such file.
    """
    wanted = [path] if isinstance(path, str | Path) else list(path)
    if not wanted:
        raise DataError("the list of data files is empty", "name at least one file")
    return [found for item in wanted for found in _expand(item)]


def _expand(item: str | Path) -> list[Path]:
    path = Path(item).expanduser()
    if path.is_dir():
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:10]) or "nothing"
        raise DataError(f"{path} is a folder, not a file", f"name a file or a pattern inside it; it holds {inside}")
    if path.exists():
        return [path]
    # Path.glob takes no absolute pattern.
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [match for match in matches if match.is_file()]
    if not files:
        raise _missing(path)
    return files


def _missing(path: Path) -> DataError:
    """Point at the first part of the path that is wrong."""
    part = path
    while not part.parent.exists():
        part = part.parent
    known = [entry.name for entry in part.parent.iterdir()] if part.parent.is_dir() else []
    what = "no file" if part == path else f"no folder {str(part)!r}, and so no file"
    return DataError(f"there is {what} {str(path)!r}", f"in {part.parent.resolve()}: {nearest(part.name, known)}")


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(GZIP) else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path.name} is a damaged or truncated gzip file ({error})", "copy or download it again"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the file and its permissions") from None
