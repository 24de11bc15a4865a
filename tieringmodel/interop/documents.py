"""Files, JSON and YAML from strangers: bounded in size and depth, finite numbers only, nothing executed."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from ..errors import InputError
from ..units import MIB

MAX_TEXT_BYTES = 64 * MIB
"""Parameter files are kilobytes; records have a limit of their own."""

_OLD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-9_]+)+(\.[0-9_]*)?)")
"""What YAML 1.1 reads as octal or sexagesimal, and 1.2 does not."""

MAX_YAML_DEPTH = 64
"""damo nests 12 deep; a YAML scanner's time grows with the square of the depth."""

_GZIP = b"\x1f\x8b"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed if its name ends in ``.gz`` or its content begins as gzip does.

    Raises
    ------
    InputError
        If it is missing or unreadable, or its compression is cut off or broken, also while the block reads on.
    """
    try:
        with path.open("rb") as plain:
            packed = path.suffix == ".gz" or plain.peek(2)[:2] == _GZIP
            yield cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if packed else plain
    except EOFError:
        raise InputError(str(path), "its compressed data end too early", "copy the whole file again") from None
    except (zlib.error, gzip.BadGzipFile) as error:
        raise InputError(str(path), f"is not intact gzip data ({error})", "copy the whole file again") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "check name and permissions") from None


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return a file's content, decompressed if its name ends in ``.gz``.

    Raises
    ------
    InputError
        As `opened`, or if it is longer than `max_bytes`.
    """
    with opened(path) as stream:
        raw = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InputError(str(path), f"is longer than {max_bytes} bytes", "raise the limit or cut the file")
    return raw


def decode(raw: bytes, where: str) -> str:
    """Return UTF-8 text.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(where, f"is not UTF-8 text (byte {error.start})", "give a text file") from None


def parse_json(text: str, where: str) -> Any:
    """Return what JSON text says.

    Raises
    ------
    InputError
        With line and column of a mistake; for NaN and infinities, repeated keys, numbers of absurd length, and nesting
        too deep to follow.
    """

    def refuse(word: str) -> NoReturn:
        raise InputError(where, f"holds {word}, which is no JSON number", "write finite numbers")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            seen: set[str] = set()
            twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
            raise InputError(where, f"key {twice!r} stands twice in one object", "keep one")
        return table

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}:{error.lineno}:{error.colno}", f"is not JSON ({error.msg})", "correct it") from None
    except RecursionError:
        raise InputError(where, "is nested too deeply", "no damo file is; give another") from None
    except InputError:
        raise
    except ValueError:
        raise InputError(where, "holds a number with thousands of digits", "write numbers below 2**64") from None


def _once(loader: Any, where: str) -> Any:
    """Return a YAML loader that refuses a key that stands twice in one mapping, or is merged into one."""

    class Once(loader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key for key, _ in node.value]
            table = super().construct_mapping(node, deep=deep)
            if len(table) < len(keys) or any(key.tag == "tag:yaml.org,2002:merge" for key in keys):
                text = "a mapping holds a key twice, or '<<'"
                raise InputError(f"{where}:{node.start_mark.line + 1}", text, "write each key once")
            return cast(dict[Any, Any], table)

    return Once


def parse_yaml(text: str, where: str) -> Any:
    """Return what YAML text says: plain data, no tags, no aliases (which can blow a line up to gigabytes).

    Raises
    ------
    InputError
        If it is not such YAML, or no YAML reader is installed.
    """
    try:
        import yaml
    except ImportError:
        raise InputError(where, "is YAML, and no reader is installed", "pip install 'tieringmodel[damo]'") from None
    opening = (
        yaml.FlowSequenceStartToken,
        yaml.FlowMappingStartToken,
        yaml.BlockMappingStartToken,
        yaml.BlockSequenceStartToken,
    )
    closing = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
    depth = 0
    safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, ten times as fast
    try:
        for token in yaml.scan(text, Loader=safe):
            depth += isinstance(token, opening) - isinstance(token, closing)
            if depth > MAX_YAML_DEPTH:
                raise RecursionError
            if isinstance(token, (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)):
                kind = type(token).__name__.removesuffix("Token").lower()
                line = token.start_mark.line + 1
                raise InputError(f"{where}:{line}", f"uses a YAML {kind}", "write the value out")
            if isinstance(token, yaml.ScalarToken) and token.plain and _OLD_NUMBER.fullmatch(token.value):
                text = f"{token.value} is octal or counts in sixties to some readers of YAML"
                raise InputError(f"{where}:{token.start_mark.line + 1}", text, "write a decimal number, or text in quotes")
        return yaml.load(text, Loader=_once(safe, where))  # safe: plain data only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        what = getattr(error, "problem", None) or "broken"
        raise InputError(place, f"is not YAML ({what})", "correct it") from None
    except RecursionError:
        raise InputError(where, "is nested too deeply", "no damo file is; give another") from None
