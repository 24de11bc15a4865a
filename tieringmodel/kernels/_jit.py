"""The compile policy: the only place that talks to numba's decorator.

* ``cache=True``: a first use compiles once, later processes load from disk.
* The cache folder is keyed by a digest of every kernel source, because numba checks only the file of the
  function it caches: a changed callee in another module would otherwise be served stale.
* ``nogil=True``: threads may run kernels side by side.
* ``error_model="numpy"``: integer division does not branch to raise; callers never divide by zero.
* No wrappers that nobody calls: kernels are not handed to C, helpers are not called from Python. Each costs as much
  compile time as a small kernel.
* No ``fastmath``: it breaks NaN tests and makes float results depend on the compiler.
* No ``parallel``: workers run whole simulations, and a naive ``prange`` read was measured slower than a slice.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])


def _leave_scipy_alone() -> None:
    """Let numba ask whether there is a BLAS without loading scipy.linalg for it: a tenth of a warm first use.

    The answer is yes, the package depends on scipy; who compiles a matrix product is checked then, as ever.
    """
    import numba.np.linalg as linalg

    check = getattr(linalg, "ensure_blas", None)
    linalg.ensure_blas = lambda: None
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = check


_leave_scipy_alone()


def source_digest(folder: Path | None = None) -> str:
    """Return the first 16 hex digits of a SHA-256 over all kernel sources (file name and bytes)."""
    digest = hashlib.sha256()
    for path in sorted((folder or Path(__file__).parent).glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    named = os.environ.get("TIERINGMODEL_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = Path(home) / "tieringmodel"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError:
        return Path(tempfile.gettempdir()) / f"tieringmodel-{os.getuid() if hasattr(os, 'getuid') else 0}"


CACHE_DIR = _cache_root() / source_digest()


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        text = f"{folder} cannot be written ({error.strerror}), so every process compiles anew; name a folder in "
        warnings.warn(text + "TIERINGMODEL_CACHE_DIR", RuntimeWarning, stacklevel=3)
        return False


CACHED = bool(not numba.config.DISABLE_JIT and _writable(CACHE_DIR))


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes out: numba numbers its files, and two that save at once take the same number."""
    with open(CACHE_DIR / "lock", "ab") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _save_alone(save: Callable[..., None]) -> Callable[..., None]:
    """Return numba's saving of a compiled function, one process at a time; a full disk costs time, not the run."""

    def save_overload(signature: Any, data: Any) -> None:
        with suppress(OSError), _alone():
            save(signature, data)

    return save_overload


def kernel(function: F) -> F:
    """Compile `function` under the package's policy; its disk cache lives below `CACHE_DIR`."""
    if not CACHED:
        return inlined(function) if numba.config.DISABLE_JIT else numba.njit(nogil=True, error_model="numpy")(function)
    previous = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(CACHE_DIR)
    try:
        compiled: F = numba.njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
    finally:
        numba.config.CACHE_DIR = previous
    cache = compiled._cache  # type: ignore[attr-defined]
    cache.save_overload = _save_alone(cache.save_overload)
    return compiled


def records(n: int, dtype: Any) -> Any:
    """Return `n` zeroed records for kernels; plain Python reads their fields as attributes only from a record array."""
    made = np.zeros(n, dtype)
    return made.view(np.recarray) if numba.config.DISABLE_JIT else made


if numba.config.DISABLE_JIT:
    np.seterr(over="ignore")  # unsigned numbers wrap, as they do when compiled


def inlined(function: F) -> F:
    """Compile a helper for other kernels alone: Python must not call it, it has no entry for that and no cache.

    LLVM sees its code in every caller and inlines where that pays; forcing it doubled the first use (measured).
    """
    compiled: F = numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compiled
