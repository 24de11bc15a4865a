"""What a result looks like outside Python: a page of HTML, figures as files, tables of text."""

from ..plot.files import save_figures
from .write import headline, write_report

__all__ = ["headline", "save_figures", "write_report"]
