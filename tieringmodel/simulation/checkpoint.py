"""A run's whole state in one file, from which it goes on as if it had never stopped.

The file is an uncompressed ``.npz``: plain arrays, and one JSON text that holds everything else with a digest over
all of them. Nothing in it is executed or unpickled. What follows from the scenario is not stored but made again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..atomic import replacing
from ..datasets.read import BROKEN_ARCHIVE
from ..errors import InputError, short
from ..kernels._jit import source_digest
from ..scenario import Scenario
from .engine import Engine

if TYPE_CHECKING:
    from .recorder import Recorder

FORMAT = 3
Arrays = dict[str, npt.NDArray[Any]]


def save(path: str | Path, engine: Engine, recorder: Recorder | None = None) -> Path:
    """Write the state of a run that stands between two events.

    Parameters
    ----------
    path : str or Path
        File to write; replaced as a whole, or left as it was.
    engine : Engine
        A run, between two calls of its ``run`` or ``run_lockstep``.
    recorder : Recorder, optional
        What it has recorded so far.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a context has sources of hotness.
    """
    if recorder:
        recorder.settle()  # empties the memory's log
    state = {"scenario": engine.given.to_json(), "seed": engine.seed, **engine.state()}
    if recorder:
        state["recorder"] = recorder.state()
    arrays: Arrays = {}
    tree = {"format": FORMAT, "version": __version__, "kernels": source_digest(), **_split(state, "", arrays)}
    text = json.dumps(tree, default=int)
    named = {"digest": np.array(_digest(arrays, text)), "json": np.frombuffer(text.encode(), np.uint8), **arrays}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **named)  # type: ignore[arg-type]
    return Path(path)


def load(path: str | Path, recorder: Recorder | None = None, **engine: Any) -> Engine:
    """Return the run whose state a file holds; going on with it gives what never stopping would have given.

    Parameters
    ----------
    path : str or Path
        Written by `save` of the same version of the package.
    recorder : Recorder, optional
        Takes up the records; a file saved without any is refused then.
    **engine
        `Engine`'s ``observer``, ``actions`` and ``log_moves``, as they were.

    Returns
    -------
    Engine

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version, or does not fit its own scenario.
    """
    tree, arrays = read(path)
    try:
        state = _joined(tree, arrays)
        run = Engine(Scenario.from_json(state["scenario"]), state["seed"], **engine)
        run.restore(state)
        if recorder:
            if "recorder" not in state:
                raise InputError("recorder", "the checkpoint holds no records", _REMEDY)
            recorder.engine = run
            recorder.restore(state["recorder"])
        return run
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise InputError(str(path), f"does not fit its own scenario: {error}", _REMEDY) from None


_REMEDY = "remove it and start the run anew"


def read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Return the JSON part and the arrays of a checkpoint, after checking that it is whole and of this version."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            if any(i.compress_type != zipfile.ZIP_STORED for i in stored.zip.infolist()):
                raise InputError(str(path), "holds compressed parts, which no checkpoint has", _REMEDY)
            arrays = {name: stored[name] for name in stored.files}
        digest, text = str(arrays.pop("digest")), arrays.pop("json").tobytes().decode()
        tree = json.loads(text)
        intact = digest == _digest(arrays, text) and isinstance(tree, dict)
    except InputError:
        raise
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or error}", "name an existing checkpoint") from None
    except BROKEN_ARCHIVE as error:
        raise InputError(str(path), f"is no checkpoint: {error}", _REMEDY) from None
    if not intact:
        raise InputError(str(path), "is damaged, its digest differs", _REMEDY)
    written = tuple(tree.get(name) for name in ("format", "version", "kernels"))
    if written != (FORMAT, __version__, source_digest()):
        raise InputError(str(path), f"was written by another build ({short(written[1])}, {short(written[2])})", _REMEDY)
    return tree, arrays


def _digest(arrays: Mapping[str, npt.NDArray[Any]], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        digest.update(f"{name} {a.dtype.str if a.dtype.names is None else a.dtype.descr} {a.shape}".encode())
        digest.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _split(value: Any, name: str, arrays: Arrays) -> Any:
    """Return plain data in which a name stands for each array, which goes to `arrays` under it."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict):
        return {key: _split(part, f"{name}.{key}".lstrip("."), arrays) for key, part in value.items()}
    return [_split(part, f"{name}.{i}", arrays) for i, part in enumerate(value)] if isinstance(value, list) else value


def _joined(value: Any, arrays: Arrays) -> Any:
    """Return plain data with its arrays in it."""
    if isinstance(value, dict):
        return arrays[value["array"]] if value.keys() == {"array"} else {key: _joined(v, arrays) for key, v in value.items()}
    return [_joined(v, arrays) for v in value] if isinstance(value, list) else value
