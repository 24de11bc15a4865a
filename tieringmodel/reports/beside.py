"""Figures of comparisons, drawn by a second process while this one computes and prints."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from ..processors import processors
from ..units import MIB
from .comparison_section import Figures, draw

if TYPE_CHECKING:
    import xarray as xr

_APART: dict[str, Any] = (
    {"process_group": 0} if os.name == "posix" else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
)
"""A process that a terminal's Ctrl-C does not reach: it is for the one that started it."""

PATIENCE_S = 10.0
"""For a process that was told to end: it finishes the figure at hand first, so that no half of a file stays behind."""


class Beside:
    """Draws the figures of comparisons in a process of its own, in the order in which they come.

    That process holds nothing that cannot be drawn anew: where it cannot be started, or ends, `results` draws here. It ends
    with the block, whatever ends that, and with this process.

    Parameters
    ----------
    folder : Path
        Where the figures go as PNG files, too.

    Attributes
    ----------
    why : str
        After `results`: why figures were drawn here although there was a second process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.why = folder, ""
        self.given: list[tuple[xr.Dataset, str]] = []
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        if processors() > 1:  # one alone would only be slowed down
            with contextlib.suppress(OSError, ValueError):  # a frozen program is no interpreter
                self.process = subprocess.Popen(
                    [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **_APART
                )
        self._tell(str(self.folder))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is None:
            return
        try:
            self._close(self.process.stdin)
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.process.kill()
            self._close(self.process.stdout)
            self.process.wait()

    def draw(self, comparison: xr.Dataset, ident: str) -> None:
        """Let a comparison's figures be drawn, with what begins every id in them."""
        self.given.append((comparison, ident))
        self._tell((comparison, ident))

    def results(self) -> list[Figures]:
        """Return the figures of every comparison when they are drawn.

        Raises
        ------
        OSError
            If a file cannot be written.
        """
        self._tell(None)
        drawn: object = None
        if self.process is not None and self.process.stdout is not None:
            try:
                drawn = pickle.loads(self.process.stdout.read())
            except (EOFError, pickle.UnpicklingError):
                code = self.process.wait()
                drawn = f"ended (signal {-code})" if code < 0 else f"ended (status {code})"
        if isinstance(drawn, OSError):
            raise drawn
        if isinstance(drawn, list):
            return drawn
        self.why = f"the process that draws figures {drawn}; they are drawn anew" if drawn else ""
        return [list(draw(comparison, ident, self.folder)) for comparison, ident in self.given]

    def _tell(self, message: object) -> None:
        """Send something; who does not listen any more is asked for the reason at the end."""
        if self.process is not None and self.process.stdin is not None:
            content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
            with contextlib.suppress(OSError):
                self.process.stdin.write(len(content).to_bytes(_LENGTH_BYTES, "little") + content)
                self.process.stdin.flush()

    @staticmethod
    def _close(pipe: IO[bytes] | None) -> None:
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()


_LENGTH_BYTES = 8


class _GoneError(Exception):
    """Who gave the work is gone, or has no use for it any more."""


def serve() -> None:
    """Draw what comes in on stdin, and write all of it to stdout when the end of the work is told.

    Where stdin ends, nobody waits for the rest: the figure at hand is finished, so that no half of a file stays behind.
    """
    gc.disable()  # figures leave few cycles behind, and looking for them takes a tenth of the time
    answer, sys.stdout = sys.stdout, io.StringIO()
    messages: SimpleQueue[bytes] = SimpleQueue()
    gone = threading.Event()

    def take() -> None:  # so that who sends never waits for a figure
        while content := _exactly(int.from_bytes(_exactly(_LENGTH_BYTES), "little")):
            messages.put(content)
        gone.set()
        messages.put(b"")

    threading.Thread(target=take, daemon=True).start()
    try:
        result: object = _drawn(messages, gone)
    except _GoneError:
        return
    except OSError as error:
        result = OSError(error.errno, error.strerror, error.filename)
    except Exception as error:  # what it was comes up again where it is drawn anew
        result = f"failed ({type(error).__name__})"
    with contextlib.suppress(OSError):
        answer.buffer.write(pickle.dumps(result))
        answer.flush()
    gc.freeze()  # at the end, too


def _exactly(n: int) -> bytes:
    """Return `n` bytes of stdin, nothing if it ends before."""
    parts = bytearray()
    while len(parts) < n:
        if not (part := os.read(0, min(n - len(parts), MIB))):
            return b""
        parts += part
    return bytes(parts)


def _drawn(messages: SimpleQueue[bytes], gone: threading.Event) -> list[Figures]:
    """Draw the comparisons that come, to the end of the work."""
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401  while nothing is to be drawn yet

    folder, drawn = None, list[Figures]()
    while content := messages.get():
        message = pickle.loads(content)
        if message is None:
            return drawn
        if isinstance(message, str):
            folder = Path(message)
            continue
        drawn.append([])
        comparison, ident = message
        for figure in draw(comparison, ident, folder):
            drawn[-1].append(figure)
            if gone.is_set():
                raise _GoneError
    raise _GoneError
