"""A sweep's results on disk: a Zarr store that is always either without a point or with all of it.

Results are written in boxes of points; ``done`` is written after everything else, so a point counts only once its values
are on disk. A box is written again as more of its points finish: each file is replaced as a whole, never changed.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..atomic import to_disk
from ..datasets.foreign import check_result
from ..errors import InputError, TieringError

CHUNK_POINTS = 64
_MADE_BY = {
    "tieringmodel": "other code of tieringmodel",
    "measure": "another measure, or others of the values that it reads",
    "registered": "other metrics or sources of hotness of the same name",
}
FORMAT = 1
UNSYNCED_S = 10.0
"""The first seconds of a sweep survive the end of its process, not that of the computer: to wait for the disk takes longer."""
Array = npt.NDArray[Any]
Variables = Mapping[str, tuple[tuple[str, ...], Array, Mapping[str, Any]]]
"""Dimensions, values and attributes by name."""


def blocks(shape: Sequence[int], most: int) -> tuple[int, ...]:
    """Return the shape of boxes of at most `most` points, as long as possible along the last axes."""
    out: list[int] = []
    for length in reversed(shape):
        fits = min(length, max(1, most))
        out.append(fits)
        most = most // fits if fits == length else 1
    return tuple(reversed(out))


def boxes(indices: Sequence[tuple[int, ...]], block: Sequence[int]) -> list[tuple[slice, ...]]:
    """Return the boxes, in order and each once, that hold these points."""
    corners = sorted({tuple(k // b for k, b in zip(p, block, strict=True)) for p in indices})
    return [tuple(slice(k * b, (k + 1) * b) for k, b in zip(box, block, strict=True)) for box in corners]


def fill_of(dtype: np.dtype[Any]) -> Any:
    """Return what stands where a point has no value: NaN, -1, False, or an empty text."""
    return {"f": float("nan"), "i": -1, "u": 0, "b": False}.get(dtype.kind, "")


class Store:
    """A Zarr store that belongs to one sweep.

    Parameters
    ----------
    path : Path
        Directory; made if it does not exist.
    attrs : mapping
        The dataset's attributes, with a ``digest`` of the parameters, which must be the same in a store that is resumed,
        and as ``code`` a JSON list with what else decides the results (`code_of`).
    dims, shape : sequence
        The sweep's dimensions.
    coords : mapping
        Coordinates, as `Variables`.
    keep_old : bool
        Keep points that other code has made; otherwise the store is begun anew.

    Attributes
    ----------
    said : str
        How many points other code has made, and what becomes of them; empty if there are none.

    Raises
    ------
    InputError
        If there is something else at the path, a sweep of another design, or a damaged store.
    """

    def __init__(
        self,
        path: Path,
        attrs: Mapping[str, Any],
        dims: Sequence[str],
        shape: Sequence[int],
        coords: Variables,
        keep_old: bool = False,
    ) -> None:
        self.path, self.dims, self.shape = path, tuple(dims), tuple(shape)
        self.block = blocks(shape, CHUNK_POINTS)
        self.attrs = dict(attrs)
        self.zarr, self.said = _zarr(), ""
        self.in_flight: set[Path] = set()  # not known to be on disk yet
        self.synced_from = time.monotonic() + UNSYNCED_S
        there = None
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            there = self._check()
        else:
            self._create(coords)
        self.lock = _locked(path)
        if there is not None and there != self.attrs["code"]:
            self._of_other_code(there, coords, keep_old)
        with self._damage():
            self.group = self.zarr.open_group(path, mode="r+", zarr_format=3, use_consolidated=False)
            if self.group.attrs["code"] != self.attrs["code"]:
                self.group.attrs.update({name: self.attrs[name] for name in ("code", "tieringmodel")})
            for part in path.rglob("*.partial"):  # of a file that was being replaced when the sweep was killed
                part.unlink()
            if self.group["done"].shape != self.shape:
                raise ValueError(f"done has the shape {self.group['done'].shape}")
            self.done: npt.NDArray[np.bool_] = np.asarray(self.group["done"][...], bool)

    def _create(self, coords: Variables) -> None:
        """Make the store beside its place and put it there whole."""
        fresh, gone = (self.path.with_name(f".{self.path.name}.{os.getpid()}{end}") for end in ("", ".old"))
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            others = " ".join(name for name, (dims, *_) in coords.items() if dims != (name,))
            attributes = self.attrs | ({"coordinates": others} if others else {})  # by which xarray knows them
            self.group = self.zarr.open_group(fresh, mode="w", zarr_format=3, attributes=attributes)
            try:
                for name, (dims, values, attrs) in coords.items():
                    array = self._array(name, dims, values.shape, values.shape, values.dtype, attrs)
                    array[...] = values if values.dtype.kind != "U" else values.astype(object)
                about = {"units": "1", "source": "tieringmodel.sweep"}
                self._declare("done", np.dtype(bool), about | {"long_name": "the point has been run"})
                self._declare("error", np.dtype(object), about | {"long_name": "what went wrong in the point"})
                if self.path.exists():  # an empty folder, or what other code has made
                    self.path.rename(gone)
                fresh.rename(self.path)
                shutil.rmtree(gone, ignore_errors=True)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
                if gone.exists() and not self.path.exists():
                    gone.rename(self.path)

    def _of_other_code(self, there: str, coords: Variables, keep_old: bool) -> None:
        """Begin anew, or keep what is there: results that this package, measure or metrics might not come to."""
        with self._damage():
            done = self.zarr.open_group(self.path, mode="r", use_consolidated=False)["done"][...]
            before, (now,) = json.loads(there), json.loads(self.attrs["code"])
            other = [_MADE_BY[part] for part in _MADE_BY if any(code.get(part) != now[part] for code in before)]
        n = int(np.asarray(done).sum())
        if n:
            fate = "kept" if keep_old else "computed again"
            self.said = f"{self.path}: of {done.size} points {n} were made with {' and '.join(other)}; they are {fate}"
        if keep_old:
            self.attrs["code"] = json.dumps([*before, now] if now not in before else before, sort_keys=True)
        else:
            old = self.lock
            self._create(coords)
            self.lock = _locked(self.path)
            if old >= 0:
                os.close(old)

    def _check(self) -> str:
        """Refuse anything that is not a store of this very sweep; return what decided the results in it."""
        where = str(self.path)
        if not (self.path / "zarr.json").is_file():
            raise InputError(where, "exists and is not a sweep's store", "name another place")
        with self._damage():
            check_result(self.path, "zarr")
            stored = json.loads((self.path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
            if not isinstance(stored, dict):
                raise ValueError("its attributes are none")
        if stored.get("kind") != "sweep" or stored.get("format") != FORMAT:
            raise InputError(where, "exists and is not a sweep's store", "name another place")
        if stored.get("digest") != self.attrs["digest"]:
            with self._damage():
                there, here = (json.loads(a["parameters"]) for a in (stored, self.attrs))
            other = [n for n in ("scenario", "design") if stored.get(n) != self.attrs[n]]
            other += [n for n in sorted({*there, *here}) if there.get(n) != here.get(n)]
            text = f"holds a sweep with another {' and another '.join(other) or 'digest'}"
            raise InputError(where, text, "name another store, or remove this one")
        if not isinstance(stored.get("code"), str):
            raise InputError(where, "does not say which code has made it", "name another store, or remove this one")
        return str(stored["code"])

    def _declare(
        self, name: str, dtype: np.dtype[Any], attrs: Mapping[str, Any], extra: Sequence[tuple[str, int]] = ()
    ) -> None:
        dims, sizes = tuple(d for d, _ in extra), tuple(n for _, n in extra)
        self._array(name, self.dims + dims, self.shape + sizes, self.block + sizes, dtype, attrs)

    def _array(
        self,
        name: str,
        dims: Sequence[str],
        shape: Sequence[int],
        chunks: Sequence[int],
        dtype: np.dtype[Any],
        attrs: Mapping[str, Any],
    ) -> Any:
        from zarr.codecs import Crc32cCodec

        return self.group.create_array(
            name,
            shape=tuple(shape),
            chunks=tuple(max(1, c) for c in chunks),
            dtype="str" if dtype.kind in "OU" else dtype,
            fill_value=fill_of(dtype),
            compressors=[Crc32cCodec()],
            dimension_names=tuple(dims),
            attributes=dict(attrs),
            overwrite=True,
        )

    def declare(self, variables: Variables, coords: Variables) -> bool:
        """Make room for what points return; what is there already stays.

        Parameters
        ----------
        variables, coords : mapping
            Dimensions, values and attributes by name, of the whole sweep.

        Returns
        -------
        bool
            Whether all finished points must be written again, for whole numbers have become fractions: none counts now.
        """
        with self._writing():
            changed = {
                name
                for name, (_, values, _) in variables.items()
                if name in self.group and values.dtype.kind in "biuf" and self.group[name].dtype != values.dtype
            }
            if changed:
                self.done[...] = False
                self.group["done"][...] = self.done
            for name, (dims, values, attrs) in coords.items():
                if name not in self.group:
                    self._array(name, dims, values.shape, values.shape, values.dtype, attrs)[...] = values
            for name, (dims, values, attrs) in variables.items():
                if name not in self.group or name in changed:
                    extra = list(zip(dims, values.shape, strict=True))[len(self.dims) :]
                    self._declare(name, values.dtype, attrs, extra)
        return bool(changed)

    def read(self) -> dict[str, tuple[tuple[str, ...], Array, dict[str, Any]]]:
        """Return every variable of the points: dimensions, values, attributes; texts as objects.

        Raises
        ------
        InputError
            If a file is damaged or missing.
        """
        out = {}
        written = boxes([tuple(p) for p in np.argwhere(self.done).tolist()], self.block)
        with self._damage():
            for name, array in self.group.arrays():
                dims = tuple(array.metadata.dimension_names)
                if dims[: len(self.dims)] == self.dims:
                    self._complete(name, len(dims), written)
                values = np.asarray(array[...])
                if values.dtype.kind in "TUO":
                    values = values.astype(object)
                out[name] = (dims, values, dict(array.attrs))
        return out

    def _complete(self, name: str, n_dims: int, written: list[tuple[slice, ...]]) -> None:
        """Raise if the file of a written box is gone: a reader would take it for one without values."""
        for box in written:
            file = self._file(name, n_dims, box)
            if not file.is_file():
                raise FileNotFoundError(str(file.relative_to(self.path)))

    def _file(self, name: str, n_dims: int, box: tuple[slice, ...]) -> Path:
        at = [s.start // b for s, b in zip(box, self.block, strict=True)]
        return self.path.joinpath(name, "c", *map(str, at + [0] * (n_dims - len(at))))

    def write(self, indices: Sequence[tuple[int, ...]], values: Mapping[str, Array]) -> None:
        """Write the boxes that hold these points, ``done`` last.

        Parameters
        ----------
        indices : sequence of tuple of int
            Positions along the sweep's dimensions.
        values : mapping of str to ndarray
            Whole arrays by name; ``done`` says which of their points are finished.

        Raises
        ------
        TieringError
            If the disk is full or the store cannot be written.
        """
        regions = boxes(indices, self.block)
        # Chunks without values are written too, so that a missing file always means damage.
        with self._writing(), self.zarr.config.set({"array.write_empty_chunks": True}):
            for names in ([n for n in values if n != "done"], ["done"]):
                for name in names:
                    array = self.group[name]
                    for region in regions:
                        array[region] = values[name][region]
                self.in_flight |= {self._file(name, self.group[name].ndim, region) for name in names for region in regions}
                if time.monotonic() > self.synced_from:
                    to_disk(self.in_flight)
                    self.in_flight.clear()
        for region in regions:
            self.done[region] = values["done"][region]

    def finish(self) -> None:
        """Collect the metadata in one place, which makes opening the store fast."""
        import warnings

        with self._writing(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other readers may not know it; they read each array's own
            self.zarr.consolidate_metadata(self.path)

    def close(self) -> None:
        """Let others use the store."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Turn whatever reading raises into one sentence."""
        try:
            yield
        except (InputError, MemoryError):
            raise
        except Exception as error:
            text = f"is damaged ({type(error).__name__}: {str(error)[:100]})"
            raise InputError(str(self.path), text, "remove it and run the sweep again") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = error.strerror or str(error)
            remedy = "what was finished before is safe: make room there and run the same sweep again"
            raise TieringError(f"{self.path}: {text}; {remedy}") from None


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise InputError("store", "needs the package zarr", "pip install 'tieringmodel[zarr]'") from None
    return zarr


def _locked(path: Path) -> int:
    """Return a descriptor that keeps other sweeps out of the store while this process lives; -1 where that is unknown."""
    try:
        import fcntl
    except ImportError:
        return -1
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise InputError(str(path), "is being written by another sweep", "wait for it, or name another store") from None
    return handle
