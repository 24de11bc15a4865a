"""Workloads of scenario files that are given as a family: ``[workload.family]`` with ``kind`` and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, quoted, short
from ...fields import suggest
from ...given_files import inside
from ...scenario import Workload
from ...units import PAGE_SZ, format_bytes, parse_bytes
from ...workload.families import build
from .masim import read_masim

_BESIDE = ("placement", "vmas", "tick_us", "memcgs")
_MASIM = ("kind", "file", "accesses_per_s", "tick_us", "repeat", "max_groups")


def with_family(data: Mapping[str, Any], folder: Path, *, allow_files: bool = False) -> Mapping[str, Any]:
    """Return a scenario's tables with the family of its workload, if there is one, replaced by what it stands for.

    Parameters
    ----------
    data : mapping
        Tables of a scenario file. ``workload.family`` has a ``kind``: one of `tieringmodel.workload.FAMILIES`, ``"mix"``,
        ``"sequence"`` or ``"masim"`` (with ``file`` and the arguments of `read_masim`). Beside it, ``workload`` may give
        placement, vmas, memcgs and tick_us, which replace the family's.
    folder : Path
        Where relative names of files start, and where the files lie, symbolic links followed.
    allow_files : bool
        Files may lie elsewhere.

    Returns
    -------
    mapping
        The same tables with a `Workload`; scenarios keep the groups, not the family, so that a file that was written out
        does not change when a family does.

    Raises
    ------
    InputError
        If the family or one of its arguments is unknown or out of range, or a file lies elsewhere.
    """
    given = data.get("workload")
    if not isinstance(given, Mapping) or "family" not in given:
        return data
    spec, beside = given["family"], {k: v for k, v in given.items() if k != "family"}
    for key in beside:
        if key not in _BESIDE:
            raise InputError(f"workload.{short(key)}", "does not go with a family", suggest(key, _BESIDE))
    if not isinstance(spec, Mapping):
        raise InputError("workload.family", f"{quoted(spec)} is not a table", "write a table with kind and its arguments")
    _same_pages(spec, data.get("machine"))
    made = _masim(spec, folder, allow_files) if spec.get("kind") == "masim" else build(spec)
    if beside.get("tick_us") is not None and made.tick_us:
        raise InputError("workload.tick_us", "the family has a tick of its own", "write workload.family.tick_us")
    workload = Workload.from_dict({**made.to_dict(), **beside, "groups": made.groups}, "workload")
    return {**data, "workload": workload}


def _same_pages(spec: Mapping[str, Any], machine: object) -> None:
    """Refuse sizes in bytes, which families turn into pages of 4 KiB, beside folios of another size."""
    given = machine.get("folio_bytes", PAGE_SZ) if isinstance(machine, Mapping) else PAGE_SZ
    folio = parse_bytes(given, "machine.folio_bytes")
    if folio == PAGE_SZ or not (spec.get("kind") == "masim" or _in_bytes(spec)):
        return
    raise other_pages("workload.family", folio, "give sizes in pages, or write out the groups in folios")


def other_pages(where: str, folio_bytes: int, fix: str) -> InputError:
    """Return the error of a workload in base pages beside a machine of larger folios."""
    what = f"counts pages of {format_bytes(PAGE_SZ)}, the machine's folios have {format_bytes(folio_bytes)}"
    return InputError(where, what, fix)


def _in_bytes(spec: object) -> bool:
    if isinstance(spec, Mapping):
        return any(str(key).endswith("_bytes") or _in_bytes(value) for key, value in spec.items())
    return isinstance(spec, (list, tuple)) and any(map(_in_bytes, spec))


def _masim(spec: Mapping[str, Any], folder: Path, allow_files: bool) -> Workload:
    for key in spec:
        if key not in _MASIM:
            raise InputError(f"workload.family.{short(key)}", "is not an argument of masim", suggest(key, _MASIM))
    name = spec.get("file")
    if not isinstance(name, str) or "\n" in name:
        raise InputError("workload.family.file", f"{quoted(name)} names no file", "write the name of a masim configuration")
    file = inside(folder, name, "workload.family.file", allow_files=allow_files)
    return read_masim(file, **{k: v for k, v in spec.items() if k not in ("kind", "file")})
