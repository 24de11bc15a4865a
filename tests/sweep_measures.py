"""Measures for sweeps that worker processes can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import xarray as xr


def final(ds: xr.Dataset) -> dict[str, Any]:
    """One value of each kind."""
    used = ds["used_pages"].isel(time=-1)
    return {
        "used": used.sel(node=0).values, "share": float(ds["access_share_bp"].isel(time=-1, node=0)),
        "moved_any": bool(ds["migrated_pages"].sum() > 0), "word": "many" if int(used.sel(node=0)) > 600 else "few",
    }  # fmt: skip


def picky(ds: xr.Dataset) -> dict[str, Any]:
    """Fails for one seed, and changes its mind about kinds for another."""
    seed = ds.attrs["seed"]
    if seed == 0:
        raise ValueError("no luck with 0")
    return {"n": "many" if seed == 3 else 1}


def deadly(ds: xr.Dataset) -> dict[str, Any]:
    """Kills every process that runs seed 2, and the first one that runs seed 4: a file remembers that."""
    mark, seed = Path(os.environ["SWEEP_TEST_MARK"]), ds.attrs["seed"]
    if seed == 2 or (seed == 4 and not mark.exists()):
        if seed == 4:
            mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"moved": int(ds["migrated_pages"].sum())}
