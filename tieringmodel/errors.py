"""One error family: where the problem is, what was found there, and what to do about it."""

from __future__ import annotations

import re
import reprlib

QUOTED = 24
"""Characters of a quoted text that a message shows: it may come from a file that nobody meant to show."""
LONGEST = (400, 400, 1200)
"""Characters that place, finding and remedy may have; more is cut out of the middle."""


class TieringError(Exception):
    """Base of every error this package raises on purpose.

    The command line prints it as one sentence and exits with status 2.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> issubclass(tm.InputError, tm.TieringError)
    True
    """


_QUOTE = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.?)*+(?:'|\Z)|"(?:[^"\\]|\\.?)*+(?:"|\Z))""", re.DOTALL)
"""A quoted text, also one whose end was cut off; an apostrophe stands after a letter and begins none."""
_FEW = reprlib.Repr()
_FEW.maxstring = _FEW.maxother = QUOTED + 2
_FEW.maxlist = _FEW.maxtuple = _FEW.maxdict = _FEW.maxset = _FEW.maxfrozenset = 2
_FEW.maxlevel = 1


def printable(text: str) -> str:
    """Return a text as a terminal may show it: what would steer it, a line's end too, is written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def quoted(value: object) -> str:
    """Return a value of any type as a message quotes it, a few characters long."""
    return repr(value) if isinstance(value, str) else _FEW.repr(value)


def short(name: object) -> str:
    """Return a name that a file gave, a key or a column, cut to what a message shows of it."""
    text = str(name)
    return text if len(text) <= 2 * QUOTED else f"{text[:QUOTED]}…"


def _cut(found: re.Match[str]) -> str:
    text = found[0]
    return text if len(text) <= QUOTED + 2 else f"{text[:QUOTED]}…{text[0]}"


def _one_line(text: str, longest: int) -> str:
    """Return what a terminal may show of a text: printable, on one line, not endless."""
    return printable(text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 4 :]}")


class InputError(TieringError, ValueError):
    """Something the user gave is wrong.

    Parameters
    ----------
    where : str
        Path of the offending value (``contexts[0].attrs.sample_us``, ``file.csv:12``).
    what : str
        The value found and why it is refused. Of what stands in quotes only the first characters are kept.
    remedy : str
        What to write instead.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> try:
    ...     tm.Goal("node_mem_used_bp", 50_000)
    ... except tm.InputError as error:
    ...     print(error)
    ...
    target_value: 50000 bp is over 10000; did you mean 5000?
    """

    def __init__(self, where: str, what: str, remedy: str = "") -> None:
        self.where, self.what, self.remedy = map(_one_line, (where, _QUOTE.sub(_cut, what), remedy), LONGEST)
        super().__init__(f"{self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else ""))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.where, self.what, self.remedy)

    def under(self, prefix: str) -> InputError:
        """Return the same error with `prefix` put before its path."""
        joint = "" if self.where.startswith("[") or not self.where else "."
        return type(self)(prefix + joint + self.where, self.what, self.remedy)


class KernelRefusal(InputError):
    """A configuration that Linux answers with an errno (``EINVAL`` unless the text says otherwise).

    Examples
    --------
    >>> import tieringmodel as tm
    >>> try:
    ...     tm.Attrs(sample_us=5000, aggr_us=4999)
    ... except tm.KernelRefusal as error:
    ...     print(error)
    ...
    sample_us: 5000 us is longer than aggr_us 4999 us (EINVAL); shorten it
    """
