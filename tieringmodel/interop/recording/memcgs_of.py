"""Which memory cgroup the segments of a recorded workload are in, and what the record says of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...scenario import Memcg
from ...units import KIB, PAGE_SZ
from .tables import Table

_BETWEEN_WORDS = re.compile(r"[^0-9A-Za-z]+")
_UNITS = {"kb": KIB, "pages": PAGE_SZ}


def segments_of(layout: Table, paths: Sequence[str]) -> list[int]:
    """Return the number of each segment's memory cgroup, 0 for those in none of `paths`.

    A segment is in the cgroup whose name is among the words of its own: ``hot_batch`` in ``/batch``. Of several the one of the
    most words, then the first.
    """
    names = sorted(enumerate(map(_words, paths), start=1), key=lambda one: -len(one[1]))
    return [next((i for i, name in names if _within(name, _words(s))), 0) for s in layout["segment"]]


def memcgs_of(layout: Table, paths: Sequence[str]) -> tuple[Memcg, ...]:
    """Return which pages are in the memory cgroups that filters and goals name, path i having ``memcg_id`` i + 1.

    A cgroup whose path begins with that of another one is its child.
    """
    edges = [0, *np.cumsum(layout["pages"].astype(np.int64)).tolist()]
    parts = [path.strip("/").split("/") for path in paths]
    above = [[k for k, p in enumerate(parts, start=1) if len(p) < len(mine) and mine[: len(p)] == p] for mine in parts]
    parent = [max(found, key=lambda k: len(parts[k - 1]), default=0) for found in above]
    of_segment = zip(segments_of(layout, paths), edges[:-1], edges[1:], strict=True)
    return tuple(Memcg(i, lo, hi, parent[i - 1]) for i, lo, hi in of_segment if i)


def bytes_on_node(extra: Table | None, path: str, nid: int) -> NDArray[np.float64] | None:
    """Return the anonymous bytes of a memory cgroup on a node in the rows of ``extra.csv``, None where no column tells them.

    That is the one column whose name has the cgroup's, ``anon`` and ``n<node>`` among its words; in bytes, or in what its last
    word says: ``kb``, ``pages``.
    """
    if extra is None:
        return None
    wanted = [f"n{nid}"], ["anon"], _words(path)
    found = [name for name in extra if all(_within(words, _words(name)) for words in wanted)]
    if len(found) != 1:
        return None
    return np.asarray(extra[found[0]], np.float64) * _UNITS.get(_words(found[0])[-1], 1)


def _words(text: str) -> list[str]:
    """Return the words of a column's or a segment's name, or of the last part of a path, in small letters."""
    return [word for word in _BETWEEN_WORDS.split(text.rstrip("/").rsplit("/", 1)[-1].lower()) if word]


def _within(words: list[str], of: list[str]) -> bool:
    """Whether words stand side by side among others; no word at all does not."""
    return bool(words) and any(of[k : k + len(words)] == words for k in range(len(of) - len(words) + 1))
