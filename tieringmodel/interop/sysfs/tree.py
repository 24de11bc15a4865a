"""The files of a dump of DAMON's sysfs tree: which exist, where each value was read, and how Linux parses it.

Tree and parsing: docs/theory/damon.md, sections h.1 and h.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...errors import InputError, KernelRefusal
from ...fields import Checked, suggest
from ...given_files import inside
from ...scenario import Kernel
from ...units import UINT_MAX, ULONG_MAX
from ..proc_version import beside, kernel_of
from ..recording.tables import read_text

_FILTER = "type matching allow memcg_path addr_start addr_end damon_target_idx min max"
_READ = {
    "": "operations addr_unit pause",
    "monitoring_attrs/intervals": "sample_us aggr_us update_us",
    "monitoring_attrs/intervals/intervals_goal": "access_bp aggrs min_sample_us max_sample_us",
    "monitoring_attrs/nr_regions": "min max",
    "monitoring_attrs/probes": "nr_probes",
    "monitoring_attrs/probes/N": "weight",
    "monitoring_attrs/probes/N/filters": "nr_filters",
    "monitoring_attrs/probes/N/filters/N": "type matching allow path",
    "targets": "nr_targets",
    "targets/N": "pid_target obsolete_target",
    "targets/N/regions": "nr_regions",
    "targets/N/regions/N": "start end",
    "schemes": "nr_schemes",
    "schemes/N": "action target_nid apply_interval_us",
    "schemes/N/access_pattern/sz": "min max",
    "schemes/N/access_pattern/nr_accesses": "min max",
    "schemes/N/access_pattern/age": "min max",
    "schemes/N/quotas": "ms bytes reset_interval_ms goal_tuner fail_charge_num fail_charge_denom",
    "schemes/N/quotas/weights": "sz_permil nr_accesses_permil age_permil",
    "schemes/N/quotas/goals": "nr_goals",
    "schemes/N/quotas/goals/N": "target_metric target_value current_value nid path complement",
    "schemes/N/watermarks": "metric interval_us high mid low",
    "schemes/N/core_filters": "nr_filters",
    "schemes/N/core_filters/N": _FILTER,
    "schemes/N/ops_filters": "nr_filters",
    "schemes/N/ops_filters/N": _FILTER,
    "schemes/N/filters": "nr_filters",
    "schemes/N/filters/N": _FILTER,
    "schemes/N/dests": "nr_dests",
    "schemes/N/dests/N": "id weight",
    "schemes/N/stats": "max_nr_snapshots",
}
_KNOWN = {f"{folder}/{leaf}".lstrip("/") for folder, leaves in _READ.items() for leaf in leaves.split()}
# What the kernel reports, not what it is told.
_REPORTED = re.compile(
    r"avail_operations|schemes/N/quotas/effective_bytes|schemes/N/tried_regions/.*"
    r"|schemes/N/stats/(nr_tried|sz_tried|nr_applied|sz_applied|sz_ops_filter_passed|qt_exceeds|nr_snapshots)"
)
_LINE = re.compile(r"([\w./-]+)(?:[ \t:]+(.*))?")
_PLACE = re.compile(
    r"(?:\./)?/?(?:sys/kernel/mm/damon/)?(?:admin/)?(?:kdamonds/)?(?:(\d+)/(?=contexts/|state$|pid$|refresh_ms$))?"
    r"(?:contexts/(\d+)/)?(.+)"
)
_VERSION = re.compile(r"(?:\./)?/?(?:proc/)?version(?:\.txt)?")
_INTEGER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)")
_TRUE, _FALSE = ("y", "yes", "t", "true", "1", "on"), ("n", "no", "f", "false", "0", "off")

C = TypeVar("C", bound=Checked)


@dataclass
class Findings:
    """What one reading collects on its way."""

    notes: list[str] = field(default_factory=list)
    memcg_paths: list[str] = field(default_factory=list)
    kernel: Kernel | None = None
    partial: bool = False
    """What is not there has Linux's own value, numbered folders too: writes to the tree were read, no copy of it."""

    def memcg_id(self, path: str) -> int:
        """Return the id of a control group: 1, 2, … in order of appearance."""
        if path not in self.memcg_paths:
            self.memcg_paths.append(path)
        return self.memcg_paths.index(path) + 1


@dataclass(frozen=True)
class Folder:
    """A directory of the tree: the files below `prefix`, each with its value and where that was read."""

    source: str
    files: Mapping[str, tuple[str, str]]
    findings: Findings
    prefix: str = ""

    def sub(self, name: str) -> Folder:
        """Return a directory below this one."""
        return Folder(self.source, self.files, self.findings, f"{self.prefix}{name}/")

    def where(self, leaf: str) -> str:
        """Return where a file's value was read, or the path it would have."""
        path = self.prefix + leaf
        return self.files[path][1] if path in self.files else f"{self.source}: {path}"

    def text(self, leaf: str, default: str) -> str:
        """Return the content of a file."""
        return self.files.get(self.prefix + leaf, (default,))[0]

    def number(self, leaf: str, default: int = 0, top: int = ULONG_MAX, low: int = 0) -> int:
        """Return an integer as ``kstrtoul`` reads it: decimal, 0x… or, with a leading 0, octal."""
        text = self.text(leaf, str(default))
        if not _INTEGER.fullmatch(text) or len(text) > 70 or (re.match(r"-?0\d", text) and re.search(r"[89]", text)):
            raise KernelRefusal(self.where(leaf), f"{leaf} is {text!r}, not an integer (EINVAL)", "write an integer")
        value = int(re.sub(r"^(-?)0(\d)", r"\g<1>0o\2", text), 0)
        if not low <= value <= top:
            errno = "EINVAL" if value < low == 0 else "ERANGE"
            raise KernelRefusal(self.where(leaf), f"{leaf} is {value} ({errno})", f"write {low}..{top}")
        return value

    def low_word(self, leaf: str) -> int:
        """Return a number whose field in the kernel's pattern has 32 bits only."""
        value = self.number(leaf)
        if value > UINT_MAX:
            self.note(leaf, f"{self.prefix}{leaf} {value} is kept in 32 bits: {value & UINT_MAX}")
        return value & UINT_MAX

    def flag(self, leaf: str) -> bool:
        """Return a boolean as ``kstrtobool`` reads it."""
        text = self.text(leaf, "N")
        if text.lower() not in _TRUE + _FALSE:
            raise KernelRefusal(self.where(leaf), f"{leaf} is {text!r}, not a boolean (EINVAL)", "write Y or N")
        return text.lower() in _TRUE

    def keyword(self, leaf: str, default: str, known: tuple[str, ...]) -> str:
        """Return one of the `known` words; Linux answers EINVAL to any other."""
        text = self.text(leaf, default)
        if text not in known:
            raise KernelRefusal(self.where(leaf), f"{leaf} is {text!r} (EINVAL)", suggest(text, known))
        return text

    def memcg(self, leaf: str) -> int:
        """Return the id of the control group whose path a file holds."""
        path = self.text(leaf, "")
        if not path:
            raise KernelRefusal(self.where(leaf), f"{leaf} names no control group (ENOMEM)", "write its path")
        return self.findings.memcg_id(path)

    def each(self, count_leaf: str) -> Iterator[Folder]:
        """Yield the numbered directories beside a ``nr_*`` file, which must be as many as it says."""
        below = [p[len(self.prefix) :].partition("/") for p in self.files if p.startswith(self.prefix)]
        seen = {int(head) for head, slash, _ in below if slash and head.isascii() and head.isdigit()}
        count = self.number(count_leaf, len(seen), top=2**31 - 1)
        beyond = any(i >= count for i in seen)
        if beyond or (len(seen) != count and not self.findings.partial):
            text = f"{count_leaf} is {count}, the dump holds " + (", ".join(map(str, sorted(seen))) or "none")
            raise InputError(self.where(count_leaf), text, "dump the whole tree")
        for i in range(count):
            yield self.sub(str(i))

    def note(self, leaf: str, text: str) -> None:
        """Keep what the contexts cannot say."""
        self.findings.notes.append(f"{self.where(leaf)}: {text}")

    def make(self, cls: type[C], leaves: Mapping[str, str], **values: Any) -> C:
        """Build `cls`; a refusal of a field is told at the file (of the dump) in `leaves` that the field came from."""
        try:
            return cls(**values)
        except InputError as error:
            name = error.where.partition("[")[0]
            leaf = leaves.get(error.where, name)
            where = self.where(leaf) if self.prefix + leaf in self.files else f"{self.source}: {self.prefix}{leaf}"
            text = error.what if leaf == error.where else f"{error.where} {error.what}"
            raise type(error)(where, text, error.remedy) from None


Entry = tuple[str, str, str]
"""A file's path, its value, and where that was read."""


def context_folders(
    source: str | Path | Sequence[Entry], *, allow_files: bool = False, kernel: Kernel | None = None
) -> list[Folder]:
    """Return the directory of every context in a dump, or of writes (see `tieringmodel.interop.sysfs.read.read_dump`)."""
    findings = Findings(kernel=kernel, partial=not isinstance(source, (str, Path)))
    label, entries = _entries(source, allow_files) if isinstance(source, (str, Path)) else ("script", [*source])
    if kernel is None and isinstance(source, (str, Path)):
        stated = [kernel_of(value, where) for path, value, where in entries if _VERSION.fullmatch(path)]
        if not stated and label != "dump" and (found := beside(Path(source), allow_files=allow_files)):
            stated = [found]
        for findings.kernel, notes in stated:
            findings.notes += notes
    entries = [entry for entry in entries if not _VERSION.fullmatch(entry[0])]
    places: dict[tuple[int, int], dict[str, tuple[str, str]]] = {}
    kdamonds: set[int] = set()
    counts: list[tuple[int | None, str, str]] = []
    for path, value, where in entries:
        split = _PLACE.fullmatch(path)
        if not split or path.endswith("/"):
            raise InputError(where, f"{path!r} is no file of the tree", "write e.g. ./schemes/0/action stat")
        kdamond, context, leaf = int(split[1] or 0), int(split[2] or 0), split[3]
        if leaf in ("nr_kdamonds", "contexts/nr_contexts"):
            counts.append((None if leaf == "nr_kdamonds" else kdamond, value, where))
        elif leaf in ("state", "pid", "refresh_ms") and not split[2]:
            kdamonds.add(kdamond)
        elif context > 0:
            raise KernelRefusal(where, f"kdamond {kdamond} has context {context} (EINVAL)", "use one kdamond for each")
        else:
            _check_known(leaf, where)
            files = places.setdefault((kdamond, context), {})
            if leaf in files and leaf != "avail_operations":  # has a line for each, and `grep -r . .` one for each of them
                raise InputError(where, f"{leaf} stands at {files[leaf][1]} already", "keep one of the lines")
            files[leaf] = (value, where)
    _check_counts(counts, kdamonds | {k for k, _ in places}, {k for k, _ in places})
    if not places:
        raise InputError(label, "holds no context", "dump at least operations, monitoring_attrs and targets")
    return [Folder(label, places[key], findings) for key in sorted(places)]


def _entries(source: str | Path, allow_files: bool) -> tuple[str, list[tuple[str, str, str]]]:
    """Return a name of the source, and (path, value, where) of every file of the tree."""
    if isinstance(source, str) and "\n" in source:
        return "dump", _lines(source, "dump")
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        texts = [read_text(inside(path, p.relative_to(path), str(p), allow_files=allow_files)).strip() for p in files]
        return str(path), [(p.relative_to(path).as_posix(), text, str(p)) for p, text in zip(files, texts, strict=True)]
    return str(path), _lines(read_text(path), str(path))


def _lines(text: str, label: str) -> list[tuple[str, str, str]]:
    entries = []
    for i, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        split = _LINE.fullmatch(line.strip())
        if not split:
            raise InputError(f"{label}:{i}", f"{line.strip()!r} is no 'path value' line", "write e.g. ./pause N")
        entries.append((split[1], (split[2] or "").strip(), f"{label}:{i}"))
    return entries


def _check_known(leaf: str, where: str) -> None:
    generic = re.sub(r"(?<=/)\d+(?=/)", "N", leaf)
    if generic in _KNOWN or _REPORTED.fullmatch(generic):
        return
    folder = generic.rpartition("/")[0]
    near = [f"{folder}/{name}".lstrip("/") for name in _READ.get(folder, "").split()]
    raise InputError(where, f"{leaf!r} is no file of DAMON's tree", suggest(generic, near or sorted(_KNOWN)))


def _check_counts(counts: list[tuple[int | None, str, str]], kdamonds: set[int], with_context: set[int]) -> None:
    for kdamond, value, where in counts:
        seen = kdamonds | {k for k, _, _ in counts if k is not None} if kdamond is None else with_context & {kdamond}
        leaf = "nr_kdamonds" if kdamond is None else "nr_contexts"
        if kdamond is not None and value not in ("0", "1"):
            raise KernelRefusal(where, f"{leaf} is {value!r} (EINVAL)", "a kdamond has one context")
        if value != str(len(seen)):
            raise InputError(where, f"{leaf} is {value!r}, the dump holds {len(seen)}", "dump the whole tree")
