"""A small scenario in which everything is right, as a table, and the way to put one thing wrong."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

PAGE = 4096
MISSING = "a value that is not there"

GOOD: dict[str, Any] = {
    "machine": {
        "nodes": [
            {"nid": 0, "start_bytes": 0, "sz_bytes": 64 * PAGE},
            {"nid": 1, "start_bytes": 64 * PAGE, "sz_bytes": 64 * PAGE},
        ]
    },
    "workload": {
        "n_pages": 100,
        "groups": [{"lo": 0, "hi": 50, "rate_hz": 10.0}],
        "placement": [{"lo": 0, "hi": 40, "nid": 0}, {"lo": 40, "hi": 100, "nid": 1}],
        "vmas": [{"lo": 0, "hi": 100, "start_bytes": 1 << 30}],
    },
    "contexts": [
        {
            "targets": [{"regions": [[0, 8 * PAGE], [8 * PAGE, 128 * PAGE]]}],
            "schemes": [
                {
                    "action": "migrate_hot",
                    "target_nid": 0,
                    "quota": {"goals": [{"metric": "node_mem_used_bp", "target_value": 5000}]},
                    "filters": [{"type": "addr", "start_bytes": 0, "end_bytes": PAGE}],
                    "dests": [{"id": 0, "weight": 2}],
                }
            ],
        }
    ],
}


def changed(path: tuple[Any, ...], value: Any, good: Mapping[str, Any] = GOOD) -> dict[str, Any]:
    """The good scenario with one entry replaced, added or (`MISSING`) taken away."""
    data = copy.deepcopy(dict(good))
    inner: Any = data
    for step in path[:-1]:
        inner = inner[step]
    if isinstance(value, str) and value == MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data
