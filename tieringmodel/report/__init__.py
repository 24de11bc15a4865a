"""What a comparison looks like outside Python: one page of HTML, and its figures as files."""

from ..plot.files import save_figures
from .write import write_report

__all__ = ["save_figures", "write_report"]
