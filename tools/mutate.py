"""Mutation testing: change one operator, bound, constant or statement at a time, and see whether a test notices.

    python tools/mutate.py [--sample 60] [--seed 1] [--jobs 2] [--group loop …] [--file kernels/regions.py …]

One process imports the package and the tests, with kernels as plain Python (``NUMBA_DISABLE_JIT=1``), so that nothing is
compiled. It runs every test once and remembers which lines of the files below it reached. For each mutant it forks: the
child puts the changed code into the functions that live there and runs the tests that reach the changed line, the most
telling first, until one fails. A test that takes five times as long as usual counts as failed. Tests that start processes are
left out. A seed draws the same mutants whatever becomes of others: they are taken in the order of a hash of seed and mutant.
With ``--compiled`` kernels are compiled, and those drawn in ``kernels/`` are left to a second call with ``--kernels``.

Printed are the survivors and, for each group of files, the share that was noticed with its 95 % interval (Wilson). Exit status
1 if that share is below nine in ten over all groups. `tools/equivalent.py` lists, with the reason, mutants that no test can
notice; those among the drawn are set aside and counted.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

sys.dont_write_bytecode = True
COMPILED = "--compiled" in sys.argv
os.environ |= {"NUMBA_DISABLE_JIT": str(int(not COMPILED)), "TIERINGMODEL_EXAMPLES": "few", "MPLBACKEND": "Agg"}
# before numba is imported

import pytest
from _pytest.runner import runtestprotocol
from coverage import Coverage
from equivalent import EQUIVALENT
from mutants import Mutant, mutants
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tieringmodel"
GROUPS = {
    "quota": "damon/quota_math.py damon/early_exit.py damon/quota.py damon/lag_cache.py kernels/integer.py kernels/tuner.py",
    "goals": "damon/goals.py damon/metric_view.py kernels/goals.py scenario/metrics.py",
    "regions": "damon/regions.py kernels/regions.py kernels/sampling.py kernels/access.py kernels/draws.py kernels/random.py",
    "schemes": "damon/table.py kernels/watermarks.py damon/commit.py kernels/scoring.py kernels/apply.py "
    "kernels/visit.py kernels/pages.py damon/kdamond.py damon/intervals.py stored.py",
    "weights": "damon/weighted.py interleave/rules.py interleave/rounds.py interleave/frames.py interleave/vaddr.py "
    "kernels/placement.py kernels/placement_frames.py",
    "loop": "kernels/loop.py loop/single.py loop/grid.py loop/pair.py loop/record.py",
    "memory": "kernels/frames.py kernels/bits.py memory/physical.py memory/page_lists.py memory/need.py memory/populate.py "
    "memory/consistency.py",
    "workload": "workload/access.py workload/phases.py workload/truth.py workload/windows.py workload/rates.py",
    "measures": "verdicts/measures.py theory/linear.py theory/closed_forms.py theory/exponents.py",
    "simulation": "simulation/engine.py simulation/simulate.py simulation/recorder.py simulation/records.py "
    "simulation/clock.py simulation/returns.py simulation/report_driven.py simulation/running.py simulation/balancing.py "
    "simulation/coupling.py simulation/idle.py simulation/silent.py simulation/needs.py simulation/spaces.py kernels/turn.py",
    "checkpoint": "simulation/checkpoint.py memory/reuse.py atomic.py datasets/read.py datasets/attributes.py",
    "reclaim": "kernels/swap.py memory/swap.py kernels/kswapd.py kernels/numa.py memory/stacks.py kernels/mixed.py "
    "kernels/buddy.py",
}
for _room in ("verdicts", "interop", "linting"):  # whole rooms
    _paths = [str(p.relative_to(PACKAGE)) for p in sorted((PACKAGE / _room).rglob("*.py")) if p.name != "__init__.py"]
    GROUPS[_room] = " ".join(p for p in _paths if p not in GROUPS["measures"].split())
_RUNS = (
    "simulation/test_straddling.py simulation/test_events.py simulation/test_folios.py damon/test_readings.py "
    "simulation/test_rmap.py simulation/test_sources.py simulation/test_vaddr_actions.py simulation/test_goals.py "
    "simulation/test_watermarks.py trust/test_invariants.py "
    "trust/test_same_bits.py::test_bits_of_this_version"
)
TESTS = {
    "quota": f"damon {_RUNS}",
    "goals": f"damon scenario {_RUNS}",
    "regions": f"damon workload/test_access.py workload/test_access_edges.py {_RUNS}",
    "schemes": f"damon memory simulation/test_reclaim.py simulation/test_state.py {_RUNS}",
    "weights": f"interleave damon simulation/test_weighted.py {_RUNS}",
    "loop": "loop trust/test_bad_inputs.py",
    "memory": f"memory damon simulation/test_reclaim.py simulation/test_state.py {_RUNS}",
    "workload": "workload simulation/test_events.py simulation/test_folios.py simulation/test_loop_and_pages.py "
    "simulation/test_sources.py",
    "measures": "theory verdicts linting",
    "simulation": f"simulation hotness verdicts/test_faults.py trust/test_checkpoint.py memory/test_swap.py {_RUNS}",
    "checkpoint": "trust/test_checkpoint.py trust/test_faults.py trust/test_damaged_results.py trust/test_given_files.py "
    "memory simulation/test_state.py simulation/test_event_paths.py simulation/test_reclaim.py datasets test_atomic.py "
    f"{_RUNS}",
    "reclaim": f"memory simulation/test_reclaim.py simulation/test_numa_balancing.py trust/test_checkpoint.py {_RUNS}",
    "verdicts": "verdicts linting reports/test_text_of_run.py trust/test_damaged_results.py comparison studies/test_maps.py",
    "interop": "interop validate/test_run_keys.py trust/test_bad_inputs.py",
    "linting": "linting verdicts remedies/test_fixes.py",
}
MOST_S = 60.0
"""Tests of one mutant stop after that much of their usual time."""
SURVIVED, UNREACHED = "SURVIVED", "UNREACHED"
MEMORY_BYTES = 6 << 30
EXAMPLES = 25
"""Most examples of a test that draws them."""


class Seen:
    """What each test needs and reaches: seconds, and lines of each file; kept in a file if one is named."""

    def __init__(self, store: Path | None) -> None:
        self.store = store
        self.tests: dict[str, dict[str, Any]] = json.loads(store.read_text()) if store and store.exists() else {}

    def save(self) -> None:
        """Write everything to the file."""
        if self.store:
            self.store.write_text(json.dumps(self.tests))

    def reaching(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach the changed line."""
        lines = set(mutant.lines)
        return [
            name for name, seen in self.tests.items()
            if seen["seconds"] is not None and lines.intersection(seen["lines"].get(mutant.file, ()))
        ]  # fmt: skip


class Runner:
    """The pytest plugin that takes the place of running tests in order."""

    def __init__(self, files: list[str], jobs: int, store: Path | None, slowest_s: float) -> None:
        self.files, self.jobs, self.seen, self.careful, self.slowest_s = files, jobs, Seen(store), True, slowest_s
        self.work: Callable[[], None] = lambda: None
        self.kills: dict[str, Counter[str]] = defaultdict(Counter)
        self.status = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure the tests that are new, then do the work."""
        for name in ("hypothesis", "numba", "xarray", "scipy.optimize", "scipy.stats", "matplotlib.pyplot", "zarr", "h5netcdf"):
            import_module(name)  # once, not in every child
        for file in self.files:
            import_module("tieringmodel." + file.removesuffix(".py").replace("/", "."))
        from hypothesis import settings

        self.items = {item.nodeid: item for item in session.items}
        for item in session.items:
            test = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
            if chosen := getattr(test, "_hypothesis_internal_use_settings", None):
                fewer = settings(chosen, max_examples=min(chosen.max_examples, EXAMPLES))
                test._hypothesis_internal_use_settings = fewer  # type: ignore[union-attr]
        paths = {str(PACKAGE / file) for file in self.files}
        self.functions: dict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        self.caches: list[_lru_cache_wrapper[Any]] = []
        for thing in gc.get_objects():
            if isinstance(thing, FunctionType) and thing.__code__.co_filename in paths:
                code = thing.__code__
                self.functions[code.co_filename, code.co_qualname, code.co_firstlineno].append(thing)
            elif isinstance(thing, _lru_cache_wrapper) and str(ROOT) in _file_of(thing.__wrapped__):
                self.caches.append(thing)
        gc.collect()
        gc.freeze()
        with tempfile.TemporaryDirectory() as folder:
            _remember_damo(Path(folder))
            self.try_everything()
        return True

    def try_everything(self) -> None:
        """Measure, then do the work."""
        self.measure()
        if self.careful:
            self.control()
        self.work()

    def measure(self) -> None:
        """Run every test whose lines are not known, each file of tests in a process of its own."""
        by_file: dict[str, list[str]] = defaultdict(list)
        for name in self.items:
            if name not in self.seen.tests:
                by_file[name.split("::")[0]].append(name)
        for file, names in by_file.items():
            start, todo = time.monotonic(), list(names)
            while todo:
                for line in self.forked(lambda outlet, names=todo: self.measured(outlet, names)).splitlines():  # type: ignore[misc]
                    self.seen.tests |= json.loads(line)
                if late := [n for n in todo if n not in self.seen.tests][:1]:  # the process died of it
                    self.seen.tests[late[0]] = {"seconds": None, "lines": {}}
                todo = [n for n in todo if n not in self.seen.tests]
            print(f"{file}: {len(names)} tests, {time.monotonic() - start:.1f} s", flush=True)
            self.seen.save()
        out = [name for name in self.items if self.seen.tests[name]["seconds"] is None]
        print(
            f"{len(self.items)} tests, {len(out)} of them left out: they fail, skip, start processes or need over "
            f"{self.slowest_s:g} s"
        )

    def control(self) -> None:
        """Leave out tests that fail without any change where mutants are tried."""
        names = [n for n in self.items if self.seen.tests[n]["lines"] and self.seen.tests[n]["seconds"] is not None]

        def first_failure() -> str:
            return self.forked(lambda outlet: self.attempt(outlet, None, names)).splitlines()[-1]

        while (failed := first_failure()) != SURVIVED:
            print(f"{failed} fails without any change after others: left out", flush=True)
            self.seen.tests[failed]["seconds"] = None
            names = names[names.index(failed) + 1 :]

    def measured(self, outlet: int, names: list[str]) -> None:
        """Tell of each test its seconds and lines; a test that takes too long ends the process."""
        paths = {str(PACKAGE / file): file for file in self.files}
        for name in names:
            cover = Coverage(data_file=None, config_file=False, include=list(paths))
            _limit(self.slowest_s)
            start = time.process_time()
            cover.start()
            try:
                passed = self.passes(name, None)
            finally:
                with warnings.catch_warnings(action="ignore"):  # that nothing was reached
                    cover.stop()
                    reached = cover.get_data()
                _limit(0)
            seconds = time.process_time() - start
            lines = {paths[p]: reached.lines(p) for p in reached.measured_files()}
            _tell(outlet, json.dumps({name: {"seconds": seconds if passed else None, "lines": lines}}) + "\n")

    def passes(self, name: str, following: str | None) -> bool:
        """Run a test with nothing remembered from others; tell whether it passed."""
        for cache in self.caches:
            cache.cache_clear()
        item = self.items[name]
        after = self.items[following] if following else None
        reports = runtestprotocol(item, log=False, nextitem=after)
        return all(not r.failed for r in reports) and any(r.passed for r in reports if r.when == "call")

    def forked(self, work: Callable[[int], None]) -> str:
        """Return what a child writes to its outlet until it ends."""
        pid, pipe = self.start(work)
        with os.fdopen(pipe) as file:
            text = file.read()
        os.waitpid(pid, 0)
        return text

    def start(self, work: Callable[[int], None]) -> tuple[int, int]:
        """Start a child that works and ends; return its id and the end of the pipe that it writes to."""
        inlet, outlet = os.pipe()
        if pid := os.fork():
            os.close(outlet)
            return pid, inlet
        try:
            os.close(inlet)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            sys.addaudithook(_refuse_processes)
            work(outlet)
        finally:
            os._exit(0)

    def order(self, mutant: Mutant) -> list[str]:
        """Return the tests for a mutant: often telling and short ones first, up to `MOST_S`."""
        kills = self.kills[mutant.file]
        spent, out = 0.0, []
        names = [n for n in self.seen.reaching(mutant) if n in self.items]
        for name in sorted(names, key=lambda n: -(1 + kills[n]) / (0.05 + self.seen.tests[n]["seconds"])):
            spent += self.seen.tests[name]["seconds"]
            if spent > MOST_S and out:
                break
            out.append(name)
        return out

    def attempt(self, outlet: int, mutant: Mutant | None, names: list[str]) -> None:
        """Put the mutant in and tell, a line each, the tests that run up to the first that fails, or that none did."""
        for (qualname, line), code in mutant.codes.items() if mutant else ():
            for function in self.functions.get((str(PACKAGE / mutant.file), qualname, line), ()):
                function.__code__ = code
        for name, following in zip(names, [*names[1:], None], strict=True):
            _limit(5 * self.seen.tests[name]["seconds"] + 2)
            _tell(outlet, f"{name}\n")  # whatever the process dies of, this was it
            if not self.passes(name, following):
                return
        _tell(outlet, SURVIVED)

    def try_all(self, drawn: list[Mutant], minutes: float) -> Iterator[tuple[Mutant, str]]:
        """Yield each mutant with the test that noticed it, `SURVIVED` or `UNREACHED`; `jobs` at a time."""
        running: dict[int, tuple[Mutant, int]] = {}
        end, todo = time.monotonic() + 60 * minutes, list(drawn)
        while todo or running:
            if time.monotonic() > end:
                todo = []
            if todo and len(running) < self.jobs:
                mutant = todo.pop(0)
                if not any((str(PACKAGE / mutant.file), *key) in self.functions for key in mutant.codes):
                    raise LookupError(f"{mutant}: its function does not live here")
                if names := self.order(mutant):
                    pid, pipe = self.start(lambda outlet, m=mutant, n=names: self.attempt(outlet, m, n))  # type: ignore[misc]
                    running[pid] = mutant, pipe
                else:
                    yield mutant, UNREACHED
            elif running:
                pid, _ = os.wait()
                mutant, pipe = running.pop(pid)
                with os.fdopen(pipe) as file:
                    by = file.read().splitlines()[-1]
                self.kills[mutant.file][by] += 1
                yield mutant, by


def _limit(seconds: float) -> None:
    """Let the process die after so much of its own time from now, or ten times as much awake; 0: never.

    Seconds awake are counted one by one, so that a process that is stopped for a while and goes on does not die of it.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    left = [10 * seconds]

    def tick(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            os._exit(0)

    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, float(seconds > 0), 1)


_asks_damo = False


def _remember_damo(folder: Path) -> None:
    """Let damo, which is a program of its own, be asked the same only once: its answers are kept in a folder."""
    from tieringmodel.interop.damo import program

    really = program.run_damo

    def remembered(*options: str, root: bool = False) -> subprocess.CompletedProcess[str]:
        global _asks_damo
        file = folder / hashlib.sha256(repr((options, root)).encode()).hexdigest()
        if not file.exists():
            _asks_damo = True
            done = really(*options, root=root)
            _asks_damo = False
            file.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
        return subprocess.CompletedProcess(options, *json.loads(file.read_text()))

    program.run_damo = remembered


def _refuse_processes(event: str, _: object) -> None:
    """End a child that wants to start a process, which could hang or outlive it: while measuring, such a test is left out."""
    if not _asks_damo and event in (
        "subprocess.Popen",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "_posixsubprocess.fork_exec",
    ):
        os._exit(0)


def _unplaced(mutant: str) -> str:
    """What is printed of a mutant without its line, which moves when others are changed."""
    return re.sub(r":\d+ ", " ", mutant, count=1)


def _tell(outlet: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(outlet, data) :]


def _file_of(function: object) -> str:
    return str(getattr(getattr(function, "__code__", None), "co_filename", ""))


def draw(groups: dict[str, list[str]], sample: int, seed: int) -> tuple[list[tuple[str, Mutant]], dict[str, int]]:
    """Return the mutants drawn, with their group, in the order to try them, and how many each group has."""
    out, exist = [], {}

    def place(mutant: Mutant) -> bytes:
        return hashlib.sha256(repr((seed, *mutant.key)).encode()).digest()

    for group, files in groups.items():
        every = [m for f in files for m in mutants(f, str(PACKAGE / f), (PACKAGE / f).read_text())]
        exist[group] = len(every)
        out += [(group, m) for m in sorted(every, key=place)[: sample or None]]
    return sorted(out, key=lambda drawn: place(drawn[1])), exist


def main() -> int:
    """Run a sample of the mutants of each group; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sample", type=int, default=60, help="how many mutants of each group (0: every one)")
    options.add_argument("--seed", type=lambda text: int(text, 0), default=1, help="0x1f too")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--slowest", type=float, default=10, help="leave out tests that take more seconds of the processor")
    options.add_argument("--minutes", type=float, default=120, help="begin no further mutant after that long")
    options.add_argument("--group", nargs="*", default=list(GROUPS), choices=list(GROUPS))
    options.add_argument("--file", nargs="*", help="only these files of the groups")
    options.add_argument("--again", type=Path, help="only mutants that the output in this file says were not noticed")
    options.add_argument("--map", type=Path, help="keep here which test reaches which line; tests in it are not measured again")
    options.add_argument(
        "--compiled", action="store_true", help="compile kernels, whose files are left out; run the tests once before"
    )
    options.add_argument("--verbose", action="store_true", help="print the mutants that were noticed too")
    options.add_argument("--kernels", action="store_true", help="only those of the drawn that are in kernels/")
    options.add_argument("--list", action="store_true", help="print the mutants drawn and do nothing else")
    options.add_argument("--tests", nargs="*", help="run these instead of those of the groups")
    given = options.parse_args()
    groups = {g: [f for f in GROUPS[g].split() if not given.file or f in given.file] for g in given.group}
    every = [file for files in GROUPS.values() for file in files.split()]
    runner = Runner(every, given.jobs, given.map, given.slowest)
    runner.careful = not given.again

    def work() -> None:
        drawn, exist = draw(groups, 0 if given.again else given.sample, given.seed)
        if given.again:
            left = {_unplaced(line.partition(" ")[2]) for line in given.again.read_text().splitlines()}
            drawn = [(g, m) for g, m in drawn if _unplaced(str(m)) in left]
        drawn = [
            (g, m) for g, m in drawn
            if not (COMPILED if m.file.startswith("kernels/") else given.kernels)
        ]  # fmt: skip
        aside = Counter(g for g, m in drawn if m.key in EQUIVALENT)
        drawn = [(g, m) for g, m in drawn if m.key not in EQUIVALENT]
        group_of = {m.key: g for g, m in drawn}
        tried: Counter[str] = Counter()
        killed: Counter[str] = Counter()
        for mutant, by in runner.try_all([m for _, m in drawn], given.minutes):
            group = group_of[mutant.key]
            tried[group] += 1
            if by in (SURVIVED, UNREACHED):
                print(f"{by} {mutant}", flush=True)
            else:
                killed[group] += 1
                if given.verbose:
                    print(f"noticed {mutant} [{by}]", flush=True)
        for group in [*groups, "all"]:
            n, k, e = (c.total() if group == "all" else c[group] for c in (tried, killed, aside))
            low, high = binomtest(k, n).proportion_ci(method="wilson") if n else (0.0, 1.0)
            of = sum(exist.values()) if group == "all" else exist[group]
            share = f"{k / max(n, 1):6.1%}, 95 % interval {low:.1%} to {high:.1%}"
            print(f"{group:10} {k:4} of {n:4} noticed: {share}; {e} more are equivalent, see tools/equivalent.py; {of} exist")
        runner.status = 0 if killed.total() >= 0.9 * tried.total() else 1

    if given.list:
        print(*(f"{g} {m}" for g, m in draw(groups, given.sample, given.seed)[0]), sep="\n")
        return 0
    runner.work = work
    os.chdir(ROOT)
    names = given.tests or dict.fromkeys(" ".join(TESTS[g] for g in groups).split())
    tests = [f"tests/{name}" for name in names]
    words = "-q -s --no-header -p no:cacheprovider -p no:xdist -p no:cov".split()
    status = pytest.main([*words, *tests], [runner])
    return int(status) or runner.status


if __name__ == "__main__":
    sys.exit(main())
