"""The compile policy: the only place that talks to numba's decorator.

* ``cache=True``: a first use compiles once, later processes load from disk.
* Nothing is loaded from a folder that others can write to: see `_unsafe`.
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
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import event
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import Compiler
from numba.core.runtime import rtsys

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])


@cache
def _leave_scipy_alone() -> None:
    """Let numba ask, before it compiles, whether there is a BLAS without loading scipy.linalg for it.

    The answer is yes, the package depends on scipy; who compiles a matrix product is checked then, as ever.
    """
    import numba.np.linalg as linalg

    check = getattr(linalg, "ensure_blas", None)
    linalg.ensure_blas = lambda: None
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = check


class _Compiling(event.Listener):  # type: ignore[misc]
    """Adds up the CPU time that this process spends on compiling."""

    def __init__(self) -> None:
        self.depth, self.since_s, self.cpu_s = 0, 0.0, 0.0

    def on_start(self, event: Any) -> None:
        if self.depth == 0:
            self.since_s = time.process_time()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.cpu_s += time.process_time() - self.since_s


_compiling = _Compiling()
event.register("numba:compile", _compiling)


def working_cpu_s() -> float:
    """Return the CPU seconds of this process so far, without those that went into compiling, which no further run costs."""
    return time.process_time() - _compiling.cpu_s


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
        _make_private(root)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError:
        return Path(tempfile.gettempdir()) / f"tieringmodel-{os.getuid() if hasattr(os, 'getuid') else 0}"


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone."""
    for part in reversed((folder, *folder.parents)):
        if not part.exists():
            part.mkdir(mode=0o700, exist_ok=True)


def _foreign(place: Path, owners: set[int], closed: int) -> str:
    """Return in what way a folder is not this user's alone: its owner, or a bit of its mode that shall be 0."""
    found = place.lstat()
    if found.st_uid not in owners:
        return f"{place} belongs to user {found.st_uid}, not to you"
    if found.st_mode & closed:
        return f"{place} is open to other users, mode {stat.S_IMODE(found.st_mode):04o}"
    return ""


def _unsafe(folder: Path, given: Path) -> str:
    """Make the folder and return why code must not be loaded from it: who else could put files there, if anybody can.

    Numba unpickles what it finds, which runs it. The folder is private; it and the cache around it are this user's own,
    and no others may write there; nor may others exchange a folder above, unless it is sticky like the temporary one.
    Parents of `folder` are no symbolic links any more; `given` is the cache as it was named, perhaps by a link.
    """
    cache, *above = folder.parents
    _make_private(cache)
    own = os.getuid() if hasattr(os, "getuid") else -1
    if own >= 0:  # elsewhere access lists close a user's folders
        trusted = {own, 0, os.stat(folder.anchor).st_uid}
        checks = [(given, {own, 0}, 0), (cache, {own}, 0o022)]
        checks += [(place, trusted, 0 if place.stat().st_mode & stat.S_ISVTX else 0o022) for place in above]
        if reason := next(filter(None, (_foreign(*check) for check in checks)), ""):
            return reason
    _make_private(folder)
    return _foreign(folder, {own}, 0o077) if own >= 0 else ""


def _usable(folder: Path, given: Path) -> bool:
    """Make the folder; if it is not safe or cannot be written, warn once in a tree of processes."""
    try:
        reason = _unsafe(folder, given)
        if not reason:
            with tempfile.TemporaryFile(dir=folder):
                return True
    except OSError as error:
        reason = f"{folder} cannot be written ({error.strerror})"
    if os.environ.get(_WARNED) != reason:
        os.environ[_WARNED] = reason  # which processes started from here inherit
        text = f"{reason}, so every process compiles anew; name a folder in TIERINGMODEL_CACHE_DIR that only you can write to"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    return False


_WARNED = "_TIERINGMODEL_CACHE_WARNED"
_ROOT = _cache_root()
CACHE_DIR = Path(os.path.realpath(_ROOT)) / source_digest()
CACHED = bool(not numba.config.DISABLE_JIT and _usable(CACHE_DIR, _ROOT))


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


def _load_alone(stored: Any, load: Callable[..., Any]) -> Callable[..., Any]:
    """Return numba's loading of a compiled function without what compiling takes: a sixth of a warm first use.

    Numba fills its context before it looks on the disk, with all that it knows how to compile: some forty modules. Machine code
    needs only the symbols of numba's runtime. Whatever is compiled later fills the context first, as ever.
    """

    def load_overload(signature: Any, context: Any) -> Any:
        rtsys.initialize(context)
        made = None
        with stored._guard_against_spurious_io_errors():
            made = stored._load_overload(signature, context)
        if made is None:
            _leave_scipy_alone()
        return made

    known = hasattr(stored, "_guard_against_spurious_io_errors") and hasattr(stored, "_load_overload")
    return load_overload if known else load


def kernel(function: F) -> F:
    """Compile `function` under the package's policy; its disk cache lives below `CACHE_DIR`.

    Other kernels that call it link it as a helper: it is not compiled once more as an entry unless Python calls it, too.
    """
    if numba.config.DISABLE_JIT:
        return function
    helper: Any = inlined(function)
    if not CACHED:
        _leave_scipy_alone()
        compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    else:
        previous = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(CACHE_DIR)
        try:
            compiled = numba.njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
        finally:
            numba.config.CACHE_DIR = previous
        stored = compiled._cache
        stored.save_overload = _save_alone(stored.save_overload)
        stored.load_overload = _load_alone(stored, stored.load_overload)
    compiled.get_call_template, compiled.get_overload = helper.get_call_template, helper.get_overload
    made: F = compiled
    return made


def records(n: int, dtype: Any) -> Any:
    """Return `n` zeroed records for kernels; plain Python reads their fields as attributes of each."""
    return np.zeros(n, _readable(dtype) if numba.config.DISABLE_JIT else dtype)


@cache
def _readable(dtype: Any) -> Any:
    """Return a record type whose fields are attributes: numpy's own, `np.record`, takes seven times as long to read one."""
    fields = {name: property(itemgetter(name)) for name in dtype.names}
    made = type("Record", (np.void,), {"__slots__": (), "__setattr__": np.void.__setitem__, **fields})
    return np.dtype((made, dtype))


if numba.config.DISABLE_JIT:
    np.seterr(over="ignore")  # unsigned numbers wrap, as they do when compiled


def inlined(function: F) -> F:
    """Compile a helper for other kernels alone: Python must not call it, it has no entry for that and no cache.

    It stays intermediate code, which is linked into every caller; LLVM optimizes it there and inlines where that pays.
    """
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _Helper}
    compiled: F = numba.njit(nogil=True, error_model="numpy", **options)(function)
    return compiled


class _Unfinished(CPUCodeLibrary):  # type: ignore[misc]
    """The code of a helper: linked into its callers, never run by itself, so it is neither optimized nor made machine code."""

    def finalize(self) -> None:
        """Add what the helper calls."""
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Nobody calls it."""
        return 0

    @property
    def codegen(self) -> Any:
        """There is no running code yet that would have to be told of its environment."""
        return SimpleNamespace(set_env=lambda name, environment: None)


class _Short(Compiler):  # type: ignore[misc]
    """Numba's compiler without the passes for what no kernel has: a fifth of the compile time (measured)."""

    left_out = frozenset(
        (
            "WithLifting InlineClosureLikes RewriteDynamicRaises MakeFunctionToJitFunction InlineInlinables LiteralUnroll "
            "FindLiterallyCalls LiteralPropagationSubPipelinePass InlineOverloads NopythonRewrites AnnotateTypes "
            "DumpParforDiagnostics"
        ).split()
    )

    def define_pipelines(self) -> list[Any]:
        """Return the default pipeline, shortened."""
        pipelines: list[Any] = super().define_pipelines()
        for one in pipelines:
            one.passes[:] = [entry for entry in one.passes if entry[0].__name__ not in self.left_out]
        return pipelines


class _Helper(_Short):
    """The same with an `_Unfinished` library."""

    def compile_extra(self, func: Any) -> Any:
        """Compile a Python function."""
        self.state.library = _Unfinished(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)
