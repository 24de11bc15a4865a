"""Files that are whole or not there: written under another name, brought to disk, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .errors import InputError
from .units import KIB


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a name to write to; what was written there takes the place of `path` when the block ends well.

    A process that is killed, a full disk or any error leaves `path` as it was. The other name holds host, process and a
    random part, so that no two writers share a file; it stays behind only if the process is killed, until the next one
    writes the same file. File and folder are brought to disk before the block ends.

    Parameters
    ----------
    path : str or Path
        The file to make or replace; its folder exists.

    Yields
    ------
    Path
        A name in the same folder with the same suffix.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _remove_left(path)
    temporary = _temporary(path)
    try:
        yield temporary
        _sync_file(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _about(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_netcdf(path: str | Path, n_bytes: int, n_variables: int) -> Iterator[Path]:
    """Do as `replacing` for a file that HDF5 writes: find out before it begins whether the disk holds it.

    HDF5 does not survive a write that fails: its library prints what it could not close, and may leave the process.

    Parameters
    ----------
    path : str or Path
        The file to make or replace.
    n_bytes, n_variables : int
        Bytes of all variables together, and how many there are.

    Yields
    ------
    Path
        As `replacing`.
    """
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes + _HEADER_BYTES * (n_variables + 8))
        try:
            yield temporary
        except RuntimeError as error:  # h5py's word for a failed write
            raise OSError(errno.EIO, f"cannot be written ({str(error).partition('(')[0].strip()})", str(path)) from None


_HEADER_BYTES = 16 * KIB


def need_place(path: str | Path, where: str) -> Path:
    """Return a path that `replacing` can write to at the end of the work; it is tried before the work begins.

    Parameters
    ----------
    path : str or Path
        The file to make or replace; nothing is left there.
    where : str
        Who named it, for the message.

    Raises
    ------
    InputError
        If it is no name of a file, its folder does not exist, or nothing can be written there.
    """
    try:
        place = Path(path)
        if place.is_dir():
            raise InputError(where, f"{place} is a folder", "name a file in it")
        if not place.parent.is_dir():
            raise InputError(where, f"there is no folder {place.parent}", "make it, or name another file")
        place.exists()  # a name that is too long fails here
        temporary = _temporary(place)
        try:
            temporary.touch(exist_ok=False)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        text = f"nothing can be written there ({error.strerror or os.strerror(error.errno or errno.EIO)})"
        raise InputError(where, f"{path}: {text}", "name another file") from None
    except InputError:
        raise
    except (TypeError, ValueError):  # a NUL, a lone surrogate, or no text
        raise InputError(where, f"{path!r} names no file", "write the name of a file") from None
    return place


_LONGEST_STEM_BYTES = 160
"""Of a temporary name; file systems take 255 bytes for all of a name."""


def _stem(path: Path) -> str:
    name = os.fsencode(path.stem)
    return path.stem if len(name) <= _LONGEST_STEM_BYTES else hashlib.sha256(name).hexdigest()[:32]


@cache
def _host() -> str:
    """Return a word for those processes among which a process id means one process: a host, and a container of it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode("utf-8", "replace")).hexdigest()[:8]


def _temporary(path: Path) -> Path:
    return path.with_name(f".{_stem(path)}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.part{path.suffix}")


def _remove_left(path: Path) -> None:
    """Remove what processes of this host left behind under other names of this file and no longer write to."""
    if os.name != "posix":  # elsewhere asking for a process can end it
        return
    left = re.compile(rf"\.{re.escape(_stem(path))}\.{_host()}\.([0-9]+)\.[0-9a-f]{{8}}\.part{re.escape(path.suffix)}")
    try:
        with os.scandir(path.parent) as entries:
            found = [(entry.path, int(match[1])) for entry in entries if (match := left.fullmatch(entry.name))]
        for name, pid in found:
            if not _runs(pid):
                os.unlink(name)
    except OSError:  # what cannot be removed harms nobody; what cannot be written is said by whoever writes
        return


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def to_disk(files: Iterable[Path]) -> None:
    """Bring files that were written, and their names, to disk: what is written after this is not there without them."""
    from concurrent.futures import ThreadPoolExecutor

    there = [file for file in files if file.is_file()]
    with ThreadPoolExecutor(16) as pool:  # a disk brings many at once as fast as one
        list(pool.map(_sync_file, there))
        list(pool.map(_sync_folder, {file.parent for file in there}))


def _sync_file(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk, where the system can."""
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):  # file systems without it
            raise
    finally:
        os.close(opened)


def _about(path: Path, error: OSError) -> OSError:
    """Return the error with the name that the user knows."""
    number = error.errno or errno.EIO
    return OSError(number, error.strerror or os.strerror(number), str(path))
