"""Figures inside a page: SVG elements whose text and axes take the page's colour, light or dark."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plot.files import figure, lay_out, save_png

if TYPE_CHECKING:
    import xarray as xr

# Stands for the colour of text until the page decides on it; no palette uses it.
_INK = "#010203"
_PALETTE = {_INK: "var(--ink)", "#0072b2": "var(--blue)"}
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
_SETTINGS = {
    **dict.fromkeys(_INKED, _INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    "svg.fonttype": "none",
    "svg.hashsalt": "tieringmodel",
}
_RASTER_DPI = 150


def _shorter(path: re.Match[str]) -> str:
    short = re.sub(r"\d+\.\d+", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), path[0])
    return re.sub(r"\s+", " ", short)


def svg(name: str, cmp: xr.Dataset, prefix: str, caption: str, png: Path | None = None, **options: Any) -> str:
    """Return a figure as an element of a page.

    Parameters
    ----------
    name : str
        Figure, as in `tieringmodel.plot.files.figure`.
    cmp : xarray.Dataset
        What to draw.
    prefix : str
        Put before every id, so that several figures fit in a page.
    caption : str
        What is drawn, plain text; with the message it becomes the text for those who do not see the figure.
    png : Path, optional
        Write the same figure to this file, too: laying it out costs more than drawing it.
    **options
        Keyword arguments of the figure's function.

    Returns
    -------
    str
        Without a namespace declaration, which HTML does not need: nothing in it looks like an address.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(_SETTINGS):  # type: ignore[arg-type]
        made = figure(name, cmp, **options)
        message = " ".join((made.get_suptitle() or made.axes[0].get_title(loc="left")).split()).replace(r"\$", "$")
        lay_out(made)
        if png:
            save_png(made, png, facecolor="white")
        made.savefig(buffer, format="svg", dpi=_RASTER_DPI, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\s[dxy]="[^"]*"', _shorter, text)
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    for colour, replacement in _PALETTE.items():
        text = re.sub(re.escape(colour), replacement, text, flags=re.IGNORECASE)
    size = re.search(r'viewBox="[^"]*"', text)
    label = html.escape(f"{message}. {caption}")
    start = f'<svg role="img" aria-label="{label}" {size[0] if size else ""} preserveAspectRatio="xMinYMin">'
    return re.sub(r"<svg[^>]*>", lambda _: start, text, count=1)
