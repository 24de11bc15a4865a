"""What a comparison looks like outside Python: one page of HTML, and its figures as files."""

from ..plot.files import save_figures
from .write import headline, write_report

__all__ = ["headline", "save_figures", "write_report"]
