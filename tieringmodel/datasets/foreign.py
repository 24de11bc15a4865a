"""Results of strangers: refused before anything is decoded if they name other files, or code to run.

Zarr chooses the code that decodes a chunk by a name in the store; one of format 2 can name Python's pickle. HDF5 files can
hold other files' content by reference, and name plugins.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import InputError, quoted

CODECS = frozenset({"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8", "zstd"})
"""What this package and xarray write by default, and what rearranges or packs plain bytes."""
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scale-offset", 32000: "lzf"}
"""HDF5's own, and the one in h5py; any other is a library that HDF5 would load."""
MAX_METADATA_BYTES = 64 << 20
_FORMAT_2 = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})
_ANEW = "write it anew with xarray: ds.to_zarr(NAME, zarr_format=3)"
_COPY = "copy the data into the file"


def check_result(place: Path) -> None:
    """Refuse a result that names other files or code; see `check_zarr` and `check_hdf5`."""
    if place.suffix == ".zarr":
        check_zarr(place)
    else:
        check_hdf5(place)


def check_zarr(store: Path) -> None:
    """Refuse a store that is not of format 3, names a codec that is not in `CODECS`, or holds symbolic links.

    Parameters
    ----------
    store : Path
        The folder.

    Raises
    ------
    InputError
        With what is refused.
    """
    import json

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
                    _check_node(json.loads(raw), entry.path)
    if not (store / "zarr.json").is_file():
        raise InputError(where, "is no Zarr store of format 3", _ANEW)


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


def check_hdf5(path: Path) -> None:
    """Refuse a file with links or data that lead to other files, or with a filter that is not in `FILTERS`.

    Parameters
    ----------
    path : Path
        A netCDF or other HDF5 file.

    Raises
    ------
    InputError
        With what is refused.
    OSError
        If it is no HDF5 file.
    """
    import h5py

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
                    _check_dataset(item, where)


def _check_dataset(item: Any, where: str) -> None:
    if item.external or item.is_virtual:
        raise InputError(where, "keeps its data in other files", _COPY)
    plan = item.id.get_create_plist()
    for number in (plan.get_filter(k)[0] for k in range(plan.get_nfilters())):
        if number not in FILTERS:
            raise InputError(where, f"names the HDF5 filter {number}", f"pack it with {', '.join(FILTERS.values())}")
