"""Results of strangers: refused before anything is decoded if they name other files, or code to run.

Zarr chooses the code that decodes a chunk by a name in the store; one of format 2 can name Python's pickle. HDF5 files can
hold other files' content by reference, and name plugins. Both can claim numbers without end in a few bytes.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import mmap
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError, quoted
from ..memory.need import available_bytes, check_bytes
from ..units import MIB, format_bytes

CODECS = frozenset({"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8", "zstd"})
"""What this package and xarray write by default, and what rearranges or packs plain bytes."""
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scale-offset", 32000: "lzf"}
"""HDF5's own, and the one in h5py; any other is a library that HDF5 would load."""
MAX_METADATA_BYTES = 64 << 20
MOST_PACKED = 1032
"""How many times as long as its packed form data can be, as deflate packs them; HDF5's other filters pack less."""
PACKERS = frozenset({"blosc", "gzip", "zstd"})
"""Those of the codecs whose data are shorter than what they stand for."""
_NONE: frozenset[str] = frozenset()
_ZSTD = b"\x28\xb5\x2f\xfd"
COPIES = 2
"""Of each number while a result is read: as stored, and decoded."""
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_FORMAT_2 = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})
_ANEW = "write it anew with xarray: ds.to_zarr(NAME, zarr_format=3)"
_COPY = "copy the data into the file"


def check_result(place: Path, form: str = "") -> None:
    """Refuse a result that names other files or code, or claims more numbers than it holds or memory does.

    Parameters
    ----------
    place : Path
        A file, or the folder of a Zarr store.
    form : str
        ``"zarr"`` for a store whatever its name; by default one whose name ends in ``.zarr``.

    Raises
    ------
    InputError
        As `check_zarr` and `check_hdf5`, or if what it claims does not fit the memory that `available_bytes` tells.
    OSError
        If it is no HDF5 file.
    """
    claimed = check_zarr(place) if form == "zarr" or place.suffix == ".zarr" else check_hdf5(place)
    what = f"claims {format_bytes(claimed)} of numbers: to read it takes"
    check_bytes(str(place), COPIES * claimed, what, "give a smaller result")


def check_zarr(store: Path) -> int:
    """Return how many bytes a store's arrays claim.

    Refuse a store that is not of format 3, names a codec that is not in `CODECS`, or holds symbolic links.

    Parameters
    ----------
    store : Path
        The folder.

    Returns
    -------
    int
        Bytes of all arrays, at least a chunk each, and what the files of chunks unpack to beyond that.

    Raises
    ------
    InputError
        With what is refused.
    """
    import json

    claimed = collected = 0
    arrays: dict[str, list[Any]] = {}
    files: list[str] = []
    where, folders = str(store), [str(store)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise InputError(entry.path, "is a symbolic link, which no store has", "copy the file there")
                if entry.name in _FORMAT_2:
                    raise InputError(where, "is a Zarr store of format 2, which can name code to run", _ANEW)
                if entry.is_dir():
                    folders.append(entry.path)
                elif entry.name == "zarr.json":
                    with open(entry.path, "rb") as file:
                        raw = file.read(MAX_METADATA_BYTES + 1)
                    if len(raw) > MAX_METADATA_BYTES:
                        raise InputError(entry.path, f"is longer than {MAX_METADATA_BYTES} bytes", "give another store")
                    node = json.loads(raw)
                    _check_node(node, entry.path)
                    claimed += _claimed(node, entry.path)
                    below = (node.get("consolidated_metadata") or {"metadata": {}})["metadata"]
                    collected = max(collected, sum(_claimed(n, entry.path) for n in below.values()))
                    folder = os.path.dirname(entry.path)
                    for name, one in ((".", node), *below.items()):
                        arrays.setdefault(os.path.normpath(os.path.join(folder, name)), []).append(one)
                else:
                    files.append(entry.path)
    if not (store / "zarr.json").is_file():
        raise InputError(where, "is no Zarr store of format 3", _ANEW)
    return max(claimed, collected) + _beyond(arrays, files)  # a reader believes what was collected


def _beyond(arrays: dict[str, list[Any]], files: list[str]) -> int:
    """Return how many bytes the files of chunks unpack to, where that is more than a chunk has by what its array says."""
    beyond, cut = 0, {folder: _chunk_of(nodes, folder) for folder, nodes in arrays.items()}
    for path in files:
        folder = os.path.dirname(path)
        while folder not in cut and len(folder) > 1:
            folder = os.path.dirname(folder)
        most, packers = cut.get(folder, (0, _NONE))
        beyond += max(_unpacked(path, packers) - most, 0)
    return beyond


def _chunk_of(nodes: list[Any], folder: str) -> tuple[int, frozenset[str]]:
    """Return the most bytes that a chunk of an array has, and the codecs it may be packed with, by all that is said of it."""
    most, every = 0, _NONE
    for node in nodes:
        if node.get("node_type") == "array":
            lengths = _lengths(node["chunk_grid"]["configuration"]["chunk_shape"])
            most = max(most, math.prod(lengths) * _item_bytes(node["data_type"]))
            names = list(_names_in(node.get("codecs", [])))
            if sum(name in PACKERS for name in names) > 1:
                raise InputError(folder, "is packed twice", "pack it once")
            every |= frozenset(names)
    return most, every


def _names_in(codecs: Any) -> Iterator[str]:
    """Yield the names of codecs, those inside of shards too."""
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        yield str(codec["name"] if isinstance(codec, dict) else codec)
        if isinstance(inner, dict):
            yield from _names_in(inner.get("codecs", []))


def _unpacked(path: str, packers: frozenset[str]) -> int:
    """Return how many bytes the file of a chunk, or of a shard of chunks, unpacks to, by what the packed data say.

    The data of gzip do not say it: they are unpacked up to a little more than memory has.
    """
    length = os.path.getsize(path)
    if not length or not packers & PACKERS:
        return length
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        if "sharding_indexed" in packers:
            if packers & {"blosc", "gzip"}:
                raise InputError(path, "is a shard packed with blosc or gzip", "pack the chunks of shards with zstd")
            return max(length, sum(_zstd_frame(raw, m.start(), path)[0] for m in re.finditer(re.escape(_ZSTD), raw)))
        if "zstd" in packers:
            at = unpacked = 0
            while raw[at : at + 4] == _ZSTD:
                more, at = _zstd_frame(raw, at, path)
                unpacked += more
            length = max(length, unpacked)
        if "blosc" in packers:
            length = max(length, int.from_bytes(raw[4:8], "little"))
        if "gzip" in packers:
            unpacked, most = 0, available_bytes() or math.inf
            with contextlib.suppress(OSError, EOFError, zlib.error), gzip.GzipFile(fileobj=file) as packed:
                while unpacked <= most and (piece := packed.read(MIB)):
                    unpacked += len(piece)
            length = max(length, unpacked)
    return length


def _zstd_frame(raw: mmap.mmap, at: int, path: str) -> tuple[int, int]:
    """Return how many bytes a frame of zstd says that it holds, and where it ends (RFC 8878, 3.1.1)."""

    def number(start: int, width: int) -> int:
        return int.from_bytes(raw[start : start + width], "little")

    flags = number(at + 4, 1)
    alone = flags >> 5 & 1
    width = (alone, 2, 4, 8)[flags >> 6]
    if not width:
        raise InputError(path, "is packed with zstd and does not say how long its numbers are", _ANEW)
    at += 5 + (1 - alone) + (0, 1, 2, 4)[flags & 3]
    holds = number(at, width) + (256 if width == 2 else 0)
    at, last = at + width, 0
    while not last and at < len(raw):
        block = number(at, 3)
        last, repeats = block & 1, block >> 1 & 3 == 1
        at += 3 + (1 if repeats else block >> 3)
    return holds, at + 4 * (flags >> 2 & 1)


def _claimed(node: Any, where: str) -> int:
    """Return how many bytes an array of a store claims; 0 for a group."""
    if node.get("node_type") != "array":
        return 0
    try:
        grid, kind = node["chunk_grid"]["configuration"]["chunk_shape"], node["data_type"]
        return max(math.prod(_lengths(node["shape"])), math.prod(_lengths(grid))) * _item_bytes(kind)
    except (KeyError, TypeError, ValueError):
        raise InputError(where, "is damaged: an array without shape, chunks or type", _ANEW) from None


def _lengths(shape: Any) -> list[int]:
    lengths = [x for x in shape if type(x) is int and x >= 0]
    if len(lengths) < len(shape):
        raise ValueError("a length that is none")
    return lengths


def _item_bytes(kind: Any) -> int:
    """Return the bytes of a number of a Zarr type; a text of any length is at least a reference and a few letters."""
    import numpy as np

    if isinstance(kind, dict):
        return int(kind.get("configuration", {}).get("length_bytes", 16))
    return 16 if kind in ("string", "variable_length_bytes") else np.dtype(kind).itemsize


def _check_node(node: Any, where: str) -> None:
    """Look at the metadata of an array or a group, and at those that a group collects from below."""
    if not isinstance(node, dict) or node.get("zarr_format") != 3:
        raise InputError(where, "is damaged, or not of Zarr's format 3", _ANEW)
    if node.get("storage_transformers"):
        raise InputError(where, "names storage transformers", _ANEW)
    _check_codecs(node.get("codecs", []), where)
    collected = node.get("consolidated_metadata")
    for below in collected["metadata"].values() if collected else ():
        _check_node(below, where)


def _check_codecs(codecs: Any, where: str) -> None:
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        name = codec.get("name") if isinstance(codec, dict) else codec
        if not isinstance(name, str) or name not in CODECS:
            known = ", ".join(sorted(CODECS))
            raise InputError(where, f"names the codec {quoted(name)}", f"write it anew with codecs that are read here: {known}")
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(inner, dict):
            _check_codecs(inner.get("codecs", []), where)
            _check_codecs(inner.get("index_codecs", []), where)


def check_hdf5(path: Path) -> int:
    """Return how many bytes a file's datasets claim.

    Refuse a file with links or data that lead to other files, or with a filter that is not in `FILTERS`, or
    that claims more than can be packed into its length (`MOST_PACKED`).

    Parameters
    ----------
    path : Path
        A netCDF or other HDF5 file.

    Returns
    -------
    int
        Bytes of all datasets, at least a chunk each.

    Raises
    ------
    InputError
        With what is refused.
    OSError
        If it is no HDF5 file.
    """
    import h5py

    claimed = 0
    with h5py.File(path, "r") as file:
        groups, seen = [file["/"]], set()
        while groups:
            group = groups.pop()
            for name in group:
                where = f"{path}: {group.name.rstrip('/')}/{name}"
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise InputError(where, "is a link to another place", _COPY)
                item = group[name]
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset):
                    claimed += _check_dataset(item, where)
    length = path.stat().st_size
    if claimed > MOST_PACKED * length + MIB:
        text = f"claims {format_bytes(claimed)} of numbers, of which a file of {format_bytes(length)} holds a small part"
        raise InputError(str(path), text, "give a file that tieringmodel wrote")
    return claimed


def _check_dataset(item: Any, where: str) -> int:
    """Return how many bytes a dataset claims, after looking at where its data are and who packed them."""
    if item.external or item.is_virtual:
        raise InputError(where, "keeps its data in other files", _COPY)
    plan = item.id.get_create_plist()
    for number in (plan.get_filter(k)[0] for k in range(plan.get_nfilters())):
        if number not in FILTERS:
            raise InputError(where, f"names the HDF5 filter {number}", f"pack it with {', '.join(FILTERS.values())}")
    if bytes(item.attrs.get("NAME", b"")).startswith(_NO_VARIABLE):
        return 0  # a dimension without values of its own, which nobody reads
    return int(max(item.size or 0, math.prod(item.chunks or ()))) * int(item.dtype.itemsize)
