"""Files that are whole or not there: written under another name, brought to disk, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .units import KIB


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a name to write to; what was written there takes the place of `path` when the block ends well.

    A process that is killed, a full disk or any error leaves `path` as it was. The other name holds the process id, so
    that two processes do not write to the same file; it stays behind only if the process is killed.

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
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
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


def _about(path: Path, error: OSError) -> OSError:
    """Return the error with the name that the user knows."""
    number = error.errno or errno.EIO
    return OSError(number, error.strerror or os.strerror(number), str(path))
