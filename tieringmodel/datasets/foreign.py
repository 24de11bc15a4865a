"""Results of strangers: refused before anything is decoded if they name other files, or code to run.

Zarr chooses the code that decodes a chunk by a name in the store; one of format 2 can name Python's pickle. HDF5 files can
hold other files' content by reference, and name plugins. Both can claim numbers without end in a few bytes.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from ..errors import InputError, quoted
from ..memory.need import check_bytes
from ..units import MIB, format_bytes

CODECS = frozenset({"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8", "zstd"})
"""What this package and xarray write by default, and what rearranges or packs plain bytes."""
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scale-offset", 32000: "lzf"}
"""HDF5's own, and the one in h5py; any other is a library that HDF5 would load."""
MAX_METADATA_BYTES = 64 << 20
MOST_PACKED = 1032
"""How many times as long as its packed form data can be, as deflate packs them; HDF5's other filters pack less."""
COPIES = 2
"""Of each number while a result is read: as stored, and decoded."""
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_FORMAT_2 = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})
_ANEW = "write it anew with xarray: ds.to_zarr(NAME, zarr_format=3)"
_COPY = "copy the data into the file"


def check_result(place: Path) -> None:
    """Refuse a result that names other files or code, or claims more numbers than it holds or memory does.

    Parameters
    ----------
    place : Path
        A file, or the folder of a Zarr store.

    Raises
    ------
    InputError
        As `check_zarr` and `check_hdf5`, or if what it claims does not fit the memory that `available_bytes` tells.
    OSError
        If it is no HDF5 file.
    """
    claimed = check_zarr(place) if place.suffix == ".zarr" else check_hdf5(place)
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
        Bytes of all arrays, at least a chunk each.

    Raises
    ------
    InputError
        With what is refused.
    """
    import json

    claimed = collected = 0
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
                    below = node.get("consolidated_metadata")
                    collected = max(collected, sum(_claimed(n, entry.path) for n in below["metadata"].values()) if below else 0)
    if not (store / "zarr.json").is_file():
        raise InputError(where, "is no Zarr store of format 3", _ANEW)
    return max(claimed, collected)  # a reader believes what was collected


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
