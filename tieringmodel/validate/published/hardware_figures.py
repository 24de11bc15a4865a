"""The README's two figures of the hardware table: their numbers as datasets, and the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .hardware_arithmetic import v4
from .hardware_loops import derived_delay, pair_shares
from .hardware_row import published

if TYPE_CHECKING:
    import xarray as xr


def v1_dataset() -> xr.Dataset:
    """Return the four targets: published and predicted mean and standard deviation, at the derived delay."""
    import xarray as xr

    p = published("V1")
    delay, _ = derived_delay(kernel=p["kernel"])
    model = pair_shares(delay)
    percent, percentage_points = {"units": "%"}, {"units": "percentage points"}
    return xr.Dataset(
        {
            "target_percent": ("target", p["target_percent"], percent | {"long_name": "target share of the hot set on DRAM"}),
            "published_mean": ("target", p["mean_percent"], percent | {"long_name": "published mean share"}),
            "published_sd": ("target", p["sd_pp"], percentage_points | {"long_name": "published standard deviation"}),
            "model_mean": ("target", [m for m, _ in model], percent | {"long_name": "predicted mean share"}),
            "model_sd": ("target", [s for _, s in model], percentage_points | {"long_name": "predicted standard deviation"}),
        },
        attrs={"kind": "hardware_v1", "delay": delay, "tolerance": p["tolerance_pp"], "source": p["source"]},
    )


def v4_dataset() -> xr.Dataset:
    """Return the seven points: part on CXL, published and predicted run time."""
    import xarray as xr

    p, row = published("V4"), v4()
    one = {"units": "1"}
    return xr.Dataset(
        {
            "cxl_gb": ("point", p["cxl_gb"], {"units": "GB", "long_name": "part of Redis on CXL"}),
            "published": ("point", p["relative_time"], one | {"long_name": "published relative run time"}),
            "predicted": ("point", [q.predicted for q in row.compared], one | {"long_name": "predicted relative run time"}),
        },
        attrs={
            "kind": "hardware_v4",
            "tolerance": p["tolerance"],
            "calibrated_gb": p["all_gb"],
            "calibrated_time": p["all_relative_time"],
            "source": p["source"],
        },
    )


def write_hardware_figures(folder: str | Path) -> list[Path]:
    """Write ``hardware_v1.png`` and ``hardware_v4.png``; return their paths.

    In the repository: ``python -c "from tieringmodel.validate.published.hardware_figures import write_hardware_figures as w;
    w('docs/figures')"``.

    Raises
    ------
    InputError
        If the folder is a file.
    """
    from ...plot.files import made_folder, save_png
    from ...plot.hardware import SHEET, hardware_v1, hardware_v4

    place = made_folder(folder)
    written = []
    for name, draw, data in (("v1", hardware_v1, v1_dataset()), ("v4", hardware_v4, v4_dataset())):
        figure, axes = SHEET.figure()
        draw(data, ax=axes[0])
        written.append(place / f"hardware_{name}.png")
        save_png(figure, written[-1])
    return written
