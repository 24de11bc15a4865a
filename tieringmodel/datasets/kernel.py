"""Which Linux a result is of, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import InputError, printable
from ..scenario import Kernel

if TYPE_CHECKING:
    import xarray as xr


def kernel_of(ds: xr.Dataset) -> str:
    """Return which Linux a run, a comparison or a sweep is of; "" where it does not say, or differs from point to point.

    Parameters
    ----------
    ds : xarray.Dataset
        With the attribute ``scenario`` (JSON); results of before kernels could be chosen are of the default.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60", kernel="7.2"), duration="1 s")
    >>> kernel_of(ds), ds.attrs["kernel"]
    ('Linux 7.2: rules of 7.2.12', '7.2.12')
    """
    if any(str(name).partition(".")[0] == "kernel" for name in ds.coords):
        return ""
    try:
        stored = json.loads(str(ds.attrs["scenario"])).get("kernel", Kernel.base)
        return str(Kernel.from_text(stored) if isinstance(stored, str) else Kernel.from_dict(stored))
    except (AttributeError, KeyError, InputError, ValueError):  # of a later version, or somebody's own dataset
        return f"Linux {printable(str(ds.attrs['kernel']))}" if "kernel" in ds.attrs else ""
