"""The whole of a scenario, and its ways in and out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import Any, Self

from ..errors import InputError
from ..fields import Checked, places
from ..rich_html import folded, table, titled
from ..units import format_bytes
from .commits import Commit, Event, need_commit
from .context import Attrs, Context
from .features import Used, check_features, features_of, is_in
from .folios import check_folios, folio_runs
from .hardware import Machine
from .linux import Kernel
from .metrics import marked
from .performance import per_node
from .workload import Workload

SCHEMA_VERSION = 1
"""Of scenarios as TOML and JSON; raised when a file that is valid today would no longer be read as it is meant."""


@dataclass(frozen=True)
class Scenario(Checked):
    """Everything a run depends on, except its duration and seed.

    Attributes
    ----------
    machine
        Nodes, and how frames are handed out.
    workload
        Who touches which page, and where pages start.
    contexts
        What DAMON monitors and does, a kdamond each.
    name
        What results are called.
    events
        Single fields that change while a run goes on.
    kernel
        Which Linux runs: a release, or its record with switches of one's own.
    commits
        Whole contexts that replace others while a run goes on.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> scenario = tm.Scenario(machine=tm.Machine.dram_cxl("1 GiB", "1 GiB"), workload=tm.workload.uniform(1000, rate_hz=400))
    >>> tm.Scenario.from_json(scenario.to_json()) == scenario
    True
    """

    machine: Machine
    workload: Workload
    contexts: tuple[Context, ...] = ()
    name: str = ""
    events: tuple[Event, ...] = ()
    kernel: Kernel = field(default_factory=Kernel)
    commits: tuple[Commit, ...] = ()

    @property
    def tick_us(self) -> int:
        """Length of a workload tick, by which accesses are decided: see `timed_workload`."""
        counted_us, parts = self._tick()
        return counted_us // parts

    @property
    def timed_workload(self) -> Workload:
        """The workload with its tick written down, and its groups counted in it.

        A tick that the user or a recording chose stays. One that nobody chose, left out or a family's, is at most the
        shortest sampling interval that can come into force, for of the samples within a tick only one can find a page
        touched. It is the longest such part of the interval that groups count in: touches per second and times of change stay.
        """
        counted_us, parts = self._tick()
        workload = self.workload
        if parts > 1:
            workload = workload.replace(groups=tuple(g.in_parts(parts) for g in workload.groups))
        elif workload.tick_us and workload.tick_chosen:
            return workload
        return workload.replace(tick_us=counted_us // parts, tick_chosen=True)

    def _tick(self) -> tuple[int, int]:
        """Return the interval that groups count in, in microseconds, and in how many ticks it is cut."""
        chosen = self.workload.tick_us
        if chosen and self.workload.tick_chosen:
            return chosen, 1
        counted_us = chosen or _shortest_sample_us(self)
        most_us = min(map(_shortest_sample_us, (self, *(s for *_, s in self.changes()))))
        if counted_us <= most_us:
            return counted_us, 1
        low = (k for k in range(1, math.isqrt(counted_us) + 1) if counted_us % k == 0)
        return counted_us, min(p for k in low for p in (k, counted_us // k) if counted_us // p <= most_us)

    def check(self) -> None:
        """Refuse workloads that do not fit and ids that the machine does not have."""
        if any("*" in e.path or e.path.startswith("schemes.") for e in self.events):
            each = tuple(e.replace(path=place) for e in self.events for place in places(self, e.path))
            object.__setattr__(self, "events", each)
        room = sum(n.sz_bytes - n.unmanaged_bytes - n.kernel_bytes - n.cache_bytes for n in self.machine.nodes)
        page = self.machine.folio_bytes
        if self.workload.n_pages * page > room:
            text = f"{self.workload.n_pages} pages exceed the machine's {room // page} free frames"
            raise InputError("workload.n_pages", text, "shrink the workload or enlarge a node")
        if (demand := self.workload.demand) is not None:
            if self.machine.performance is None:
                text = "is given, and nothing says how fast memory is"
                raise InputError("workload.demand", text, "give machine.performance")
            for i, one in enumerate(demand.background):
                self.machine.need_node(one.nid, f"workload.demand.background[{i}].nid")
            known = len(self.machine.nodes)
            per_node(demand.outstanding, known, "workload.demand.outstanding")
            for i, g in enumerate(self.workload.groups):
                per_node(g.outstanding or 1.0, known, f"workload.groups[{i}].outstanding")
        for what in ("placement", "vmas"):
            for i, item in enumerate(getattr(self.workload, what)):
                if item.start_bytes is not None and item.start_bytes % page:
                    text = f"{item.start_bytes} is not a multiple of the page size {page}"
                    raise InputError(f"workload.{what}[{i}].start_bytes", text, "align it to machine.folio_bytes")
        for i, vma in enumerate(self.workload.vmas):
            if vma.start_bytes + (vma.hi - vma.lo) * page >= 2**63:
                raise InputError(f"workload.vmas[{i}].start_bytes", "the mapping ends beyond 2**63", "map it lower")
        nids = [n.nid for n in self.machine.nodes]
        for i, place in enumerate(self.workload.placement):
            if place.weights and (len(place.weights) != len(nids) or not sum(place.weights)):
                text = f"{list(place.weights)} are not one weight per node"
                raise InputError(f"workload.placement[{i}].weights", text, f"give {len(nids)} weights, not all 0")
            if place.start_bytes is None:
                self.machine.need_node(place.nid, f"workload.placement[{i}].nid")
        for i, context in enumerate(self.contexts):
            if context.ops != "paddr" and not self.workload.vmas:
                raise InputError(f"contexts[{i}].ops", f"{context.ops} needs mappings", "give workload.vmas")
            if not context.targets:
                text = f"are none: a kdamond of {context.ops} stops for good when no target is left"
                raise InputError(f"contexts[{i}].targets", text, "give one, or leave targets out to keep what is there")
            for j, scheme in enumerate(context.schemes):
                for k, goal in enumerate(scheme.quota.goals):
                    goal.check_course(f"contexts[{i}].schemes[{j}].quota.goals[{k}].current_values")
        for what, times_us in (("events", [e.at_us for e in self.events]), ("commits", [c.at_us for c in self.commits])):
            for i, (before, at_us) in enumerate(pairwise(times_us), 1):
                if at_us < before:
                    raise InputError(f"{what}[{i}].at_us", "lies before the one above", f"list {what} in order of time")
        check_features(self.contexts, self.kernel)
        check_folios(self.machine, self.workload, self.contexts, self.kernel)
        if self.machine.numa_balancing and folio_runs(self.workload):
            text = "moves single pages, and groups of the workload have larger folios"
            raise InputError("machine.numa_balancing", text, "leave out one of the two")
        for where, _, now in self.changes():
            if now.workload is not self.workload and folio_runs(now.workload) != folio_runs(self.workload):
                raise InputError(where, "changes which pages form folios", "keep mappings aligned as they are at the start")

    def features(self) -> Iterator[Used]:
        """Yield what the scenario uses that not every Linux has: path, feature, first release; events and commits included.

        The model's own, which no kernel has, is left out: see `scenario.features.features_of`.

        Examples
        --------
        >>> import tieringmodel as tm
        >>> max(tm.load("rfc-40-60").features(), key=lambda used: used.since).feature
        'node_eligible_mem_bp'
        """
        seen = set[tuple[str, str]]()
        for where, _, now in (("", 0, self), *self.changes()):
            for use in features_of(now.contexts):
                if use[:2] not in seen:
                    seen.add(use[:2])
                    # What a commit brings is in the context that it is about.
                    path = f"to.{use.path.partition('.')[2]}" if where.startswith("commits") else use.path
                    yield use._replace(path=f"{where}.{path}" if where else path)

    def missing(self, kernel: Kernel | None = None) -> Iterator[Used]:
        """Yield the features that a kernel lacks, by default the scenario's own."""
        return (use for use in self.features() if not is_in(kernel or self.kernel, use))

    def stages(self) -> Iterator[tuple[int, Scenario]]:
        """Yield (microseconds, scenario from then on) for every time at which something changes; the tick stays.

        At the same time events come before commits, each in the order in which they are listed.

        Raises
        ------
        InputError
            If an event's path or value does not fit, or a commit is refused, naming it.
        """
        steps = [*self.steps()]
        for k, (at_us, now, _) in enumerate(steps):
            if k + 1 == len(steps) or steps[k + 1][0] > at_us:
                yield at_us, now

    def steps(self) -> Iterator[tuple[int, Scenario, int | None]]:
        """Yield what `stages` does, each commit by itself, and which context it is for: None for events.

        Events of the same time are one step: that is how parameters are written and then committed together.
        """
        workload = self.timed_workload if self.events or self.commits else self.workload
        listed = [(where.startswith("commits"), at_us, now) for where, at_us, now in self.changes()]
        contexts = iter([commit.context for commit in self.commits])
        for i, (commits, at_us, now) in enumerate(listed):
            if not commits and i + 1 < len(listed) and listed[i + 1][:2] == (False, at_us):
                continue
            mapped = now.replace(workload=workload.replace(vmas=now.workload.vmas))
            yield at_us, mapped, next(contexts) if commits else None

    def events_and_commits(self) -> list[tuple[str, Event | Commit]]:
        """Return (path, event or commit) in order of time; at the same time events come before commits, each as listed."""
        listed: list[tuple[str, Event | Commit]] = [(f"events[{i}]", change) for i, change in enumerate(self.events)]
        listed += [(f"commits[{i}]", change) for i, change in enumerate(self.commits)]
        return sorted(listed, key=lambda each: each[1].at_us)

    def changes(self) -> Iterator[tuple[str, int, Scenario]]:
        """Yield (path, microseconds, scenario from then on) for every event and commit, in order of time."""
        now = self.replace(events=(), commits=()) if self.events or self.commits else self
        for where, change in self.events_and_commits():
            try:
                before, now = now, change.applied(now)
                need_commit(before.contexts, now.contexts)
            except InputError as error:
                raise (change.about(error) if isinstance(change, Commit) else error).under(where) from None
            yield where, change.at_us, now

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "") -> Self:
        """Build from a plain mapping; unknown keys and wrong values raise `InputError` naming their path.

        A ``schema_version`` may stand beside the fields. Without one it is 1; a newer one than this version knows is refused.
        """
        if isinstance(data, Mapping) and "schema_version" in data:
            data = dict(data)
            need_schema(data.pop("schema_version"), SCHEMA_VERSION, f"{where}.schema_version" if where else "schema_version")
        return super().from_dict(data, where)

    def set(self, path: str | Mapping[str, Any], value: Any = None) -> Scenario:
        """Return the scenario with one field changed, or several at once.

        Parameters
        ----------
        path : str or mapping
            A dotted path, or new values by path. ``*`` is every position of a list; ``schemes.`` at the beginning stands for
            ``contexts.*.schemes.``
        value : object
            The new value, in any form the field accepts: ``"2 MiB"``.

        Raises
        ------
        InputError
            If a path leads nowhere, two change the same field, or a value does not fit.

        Examples
        --------
        >>> import tieringmodel as tm
        >>> scenario = tm.load("rfc-40-60").set("schemes.*.quota.sz_bytes", "2 MiB")
        >>> [s.quota.sz_bytes for s in scenario.contexts[0].schemes]
        [2097152, 2097152]
        """
        from .paths import with_paths

        made: Scenario = with_paths(self, path if isinstance(path, Mapping) else {path: value})
        return made

    def to_toml(self) -> str:
        """Return the scenario as TOML text that `tieringmodel.load` reads back to an equal scenario."""
        import tomli_w

        return tomli_w.dumps({"schema_version": SCHEMA_VERSION} | self.to_dict())

    def _repr_html_(self) -> str:
        nodes = [
            (f"node {n.nid}", f"{format_bytes(n.sz_bytes)} at {n.place}, {format_bytes(n.kernel_bytes)} kernel's")
            for n in self.machine.nodes
        ]
        size = format_bytes(self.machine.folio_bytes)
        groups = f"{self.workload.n_pages:,} pages of {size}, {len(self.workload.groups)} groups"
        schemes = [
            (
                f"contexts[{c}].schemes[{s}]",
                f"{scheme.action} to node {scheme.target_nid}, {format_bytes(scheme.quota.sz_bytes) or 'no'} cap per "
                f"{scheme.quota.reset_interval_ms} ms, {scheme.quota.goal_tuner}: "
                + (", ".join(f"{g.metric} of node {g.nid} = {g.target_value}" for g in scheme.quota.goals) or "no goal"),
            )
            for c, context in enumerate(self.contexts)
            for s, scheme in enumerate(context.schemes)
        ]
        when = ((f"at {change.at_us * 1e-6:g} s", _told(change)) for _, change in self.events_and_commits())
        rows = [("kernel", str(self.kernel)), *nodes, ("workload", groups), *schemes, *when]
        return titled(self.name or "Scenario", table((), rows), folded("TOML", self.to_toml()))

    def to_json(self) -> str:
        """Return the scenario as one line of JSON (the ``scenario`` attribute of every dataset)."""
        return json.dumps({"schema_version": SCHEMA_VERSION} | self.to_dict(), sort_keys=True)

    @classmethod
    def from_toml(cls, source: str | Path) -> Scenario:
        """Read TOML text or a TOML file.

        Raises
        ------
        InputError
            Naming file and line for broken TOML, path and value for a wrong field.
        """
        return cls.from_dict(read_toml(source))

    @classmethod
    def from_json(cls, text: str, *, stored: bool = False) -> Scenario:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON of a scenario.
        stored : bool
            It belongs to a result, to be judged and not to be run: goal metrics that nobody registered here are kept.

        Raises
        ------
        InputError
            If the text is no JSON, or naming path and value for a wrong field.
        """
        try:
            data = json.loads(text, object_hook=marked if stored else None)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError("JSON text", f"is not valid JSON: {error}", "pass what to_json wrote") from None
        return cls.from_dict(data)


def need_schema(version: object, newest: int, where: str) -> None:
    """Refuse the schema version of a file that this version of the package does not know.

    Raises
    ------
    InputError
        If it is no whole number from 1 to `newest`.
    """
    number = int(version) if isinstance(version, Integral) and not isinstance(version, bool) else 0
    if number < 1:
        raise InputError(where, f"{version!r} is no version of a schema", f"write {newest}, or leave it out")
    if number > newest:
        text = f"{version} is newer than {newest}, the newest that this version of tieringmodel reads"
        raise InputError(where, text, "read it with the version that wrote it, or a later one")


def tick_over_sample(scenario: Scenario) -> dict[int, tuple[str, int]]:
    """Return what DAMON can see at most, for every context that at some time samples more often than there are ticks.

    Parameters
    ----------
    scenario : Scenario
        With its events.

    Returns
    -------
    dict of int to (str, int)
        By context, about the time at which it sees least: a sentence, and the sampling interval in microseconds.
    """
    tick_us, worst = scenario.tick_us, dict[int, tuple[float, str, int]]()
    for now in (scenario, *(now for _, now in scenario.stages())):
        for c, context in enumerate(now.contexts):
            seen, samples = context.attrs.most_seen(tick_us)
            if seen < samples and not context.sources:
                sample_us = context.attrs.shortest_sample_us
                text = (
                    f"at most {seen} of {samples} samples can find a page touched, for the workload's tick of {tick_us} us is "
                    f"longer than the sampling interval of {sample_us} us"
                )
                worst[c] = min(worst.get(c, (2.0, "", 0)), (seen / samples, text, sample_us))
    return {c: (text, sample_us) for c, (_, text, sample_us) in worst.items()}


def _told(change: Event | Commit) -> str:
    """Return what a change is about, in a few words."""
    if isinstance(change, Event):
        return change.path
    actions = ", ".join(f"{s.action} to node {s.target_nid}" if s.target_nid >= 0 else s.action for s in change.to.schemes)
    return f"contexts[{change.context}] as a whole: {actions or 'no scheme'}"


def _shortest_sample_us(scenario: Scenario) -> int:
    return min((c.attrs.shortest_sample_us for c in scenario.contexts), default=Attrs.sample_us)


def need_scenario(value: object, where: str = "scenario") -> Scenario:
    """Return `value` if it is a scenario.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if not isinstance(value, Scenario):
        raise InputError(where, f"{type(value).__name__} is not a Scenario", "load one with tieringmodel.load")
    return value


MAX_KEY_PARTS = 64
"""A scenario nests 8 deep; memory and time of a TOML reader grow with the square of a dotted key's parts."""
_KEY = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*+{_KEY}(?:[ \t]*+\.[ \t]*+{_KEY}){{{MAX_KEY_PARTS}}}", re.MULTILINE)
"""Where a key may begin: a line, a table's bracket, an inline table; numbers and plain words do not have as many parts."""


def read_toml(source: str | Path) -> Mapping[str, Any]:
    """Return the tables of TOML text or of a TOML file.

    Raises
    ------
    InputError
        If it cannot be read, or is not TOML, naming file and line; for keys of more than `MAX_KEY_PARTS` parts.
    """
    import tomllib

    where = str(source) if isinstance(source, Path) else "TOML text"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        if not (found := _LONG_KEY.search(text)):
            return tomllib.loads(text)
    except OSError as error:
        raise InputError(where, f"cannot be read ({error.strerror})", "check name and permissions") from None
    except UnicodeDecodeError as error:
        raise InputError(where, f"is not UTF-8 text: {error}", "save it as UTF-8") from None
    except RecursionError:
        raise InputError(where, "is nested too deeply", "write a scenario as the documentation shows it") from None
    except ValueError as error:  # of tomllib, or of a number with thousands of digits
        raise InputError(where, f"is not valid TOML: {error}", "see the message for line and column") from None
    what = f"line {text.count(chr(10), 0, found.end()) + 1} holds a key of more than {MAX_KEY_PARTS} parts"
    raise InputError(where, what, "write a scenario as the documentation shows it")
