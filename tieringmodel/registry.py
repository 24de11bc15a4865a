"""Names that ship beside names of one's own: one way to offer a part, to replace it and to withdraw it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .checks import said
from .errors import InputError

T = TypeVar("T")


class Own(dict[str, T]):
    """Parts of the user's own of one kind, by name.

    Parameters
    ----------
    kind : str
        What they are, as a message says it, e.g. "tuner".
    ships : callable
        Whether a name is, or begins like, that of a part that the model brings along.
    pass_ : str
        What to pass instead of something that cannot be called, e.g. "a function of score and state".
    """

    def __init__(self, kind: str, ships: Callable[[str], bool], pass_: str) -> None:
        super().__init__()
        self.kind, self.ships, self.pass_ = kind, ships, pass_

    def offer(self, name: str, part: T, function: object, *, replace: bool = False) -> None:
        """Keep a part; `function` is what is called of it.

        Raises
        ------
        InputError
            If the name is no text, the model's own, or taken and not to be replaced, or `function` cannot be called.
        """
        if not isinstance(name, str) or not name.strip():
            raise InputError("name", f"{said(name)} is no name of a {self.kind}", "give a word")
        if self.ships(name):
            raise InputError("name", f"{name!r} is a {self.kind} of the model", "choose another name")
        if name in self and not replace:
            raise InputError("name", f"{name!r} is taken", "choose another name, or pass replace=True")
        if not callable(function):
            raise InputError(self.kind, f"{said(function)} cannot be called", f"pass {self.pass_}")
        self[name] = part
