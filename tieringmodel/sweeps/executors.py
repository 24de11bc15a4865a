"""Where the points of a sweep are computed: here, in worker processes, in any executor, on a Dask cluster.

Each way yields the same outcomes, in whatever order they finish.
"""

from __future__ import annotations

import concurrent.futures as cf
import json
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import InputError, TieringError
from ..processors import processors
from .own import Brought, packed
from .point import Outcome

Tasks = Mapping[int, tuple[Any, ...]]
"""Arguments of the work by point."""
Work = Callable[..., Outcome]
Finished = Generator[tuple[int, Outcome] | None, None, None]

PULSE_S = 1.0
"""Longest silence: None is yielded, so that the caller can write down what it has while points take their time."""
GIVE_UP = 2
"""A point that ends its worker process so often while nothing else runs is recorded as an error."""
DIED = "the worker process ended while it ran this point, twice with nothing beside it; out of memory?"


def run_all(executor: Any, work: Work, tasks: Tasks, workers: int | None) -> Finished:
    """Yield (point, outcome) as points finish, None now and then in between.

    Parameters
    ----------
    executor : str, concurrent.futures.Executor or distributed.Client
        As in `tieringmodel.sweep`.
    work : callable
        Importable function that gives a point's outcome.
    tasks : mapping of int to tuple
        Its arguments by point.
    workers : int, optional
        Processes of ``"processes"``; by default one per processor.

    Raises
    ------
    InputError
        If the executor is none, or the work cannot be sent to a process.
    TieringError
        If all workers of a given executor are gone.
    """
    if workers is not None and (executor != "processes" or isinstance(workers, bool) or workers < 1):
        remedy = "write 1 or more" if executor == "processes" else "it goes with executor='processes' only"
        raise InputError("workers", f"{workers!r} does not fit executor {executor!r}", remedy)
    if executor == "serial":
        return _here(work, tasks)
    if executor == "processes":
        return _in_processes(work, _packed(tasks), workers or processors())
    if isinstance(executor, cf.Executor):
        tasks = tasks if isinstance(executor, cf.ThreadPoolExecutor) else _packed(tasks)
        width = getattr(executor, "_max_workers", None) or processors()
        return _in_executor(executor, work, tasks, 4 * int(width))
    if hasattr(executor, "get_executor") and hasattr(executor, "nthreads"):
        return _in_executor(
            executor.get_executor(pure=False), work, _packed(tasks), 4 * max(1, sum(executor.nthreads().values()))
        )
    what = "write 'serial', 'processes', a concurrent.futures.Executor or a distributed.Client"
    raise InputError("executor", f"{executor!r} runs nothing", what)


def _here(work: Work, tasks: Tasks) -> Finished:
    """Run one point after the other in this thread."""
    from ..memory.reuse import batch

    with batch():
        for k, arguments in tasks.items():
            yield k, work(*arguments)


def _in_executor(pool: cf.Executor, work: Work, tasks: Tasks, width: int) -> Finished:
    """Run on somebody else's executor, with at most `width` points handed over at a time."""
    waiting, running = deque(tasks), dict[cf.Future[Outcome], int]()
    if isinstance(pool, cf.ProcessPoolExecutor):
        _sendable(tasks)
    try:
        while waiting or running:
            while waiting and len(running) < width:
                k = waiting.popleft()
                running[pool.submit(work, *tasks[k])] = k
            done, _ = cf.wait(running, PULSE_S, cf.FIRST_COMPLETED)
            if not done:
                yield None
            for future in done:
                k = running.pop(future)
                yield k, _outcome(future)
    finally:
        for future in running:
            future.cancel()


def _outcome(future: cf.Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except cf.BrokenExecutor as error:
        raise TieringError(f"executor: its workers are gone ({error}); start another one and run the sweep again") from None
    except cf.CancelledError:
        raise TieringError("executor: it cancelled points of the sweep; run the sweep again") from None
    except Exception as error:  # work() raises nothing: this is the executor speaking, e.g. dask's KilledWorker
        return Outcome(error=f"the executor gave up this point: {type(error).__name__}: {error}")


def _sendable(tasks: Tasks) -> None:
    """Refuse a measure that no worker process can import, before a pool answers with a riddle."""
    job, *_ = next(iter(tasks.values()))
    main = sys.modules["__main__"]
    try:
        pickle.dumps(job)
        if _needs_main(job) and not (hasattr(main, "__file__") or getattr(main, "__spec__", None)):
            raise TypeError("it was defined interactively")
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        remedy = "define it at the top level of a module, or use another executor"
        raise InputError("measure", f"cannot be sent to a worker process: {error}", remedy) from None


def _needs_main(job: Any) -> bool:
    own = getattr(job, "own", None)
    return getattr(job.measure, "__module__", None) == "__main__" or bool(own and any(part.in_main for part in own.parts))


def _packed(tasks: Tasks) -> Tasks:
    """Return tasks whose jobs carry what of the user's own they need: see `own.packed`."""
    if not tasks:
        return tasks
    jobs = {id(job): job for job, *_ in tasks.values()}
    changed = sorted({repr(changes) for _, changes, *_ in tasks.values()})
    brought = packed([*(json.dumps(job.scenario.to_dict()) for job in jobs.values()), *changed])
    if brought == Brought():
        return tasks
    made = {key: replace(job, own=brought) for key, job in jobs.items()}
    return {k: (made[id(job)], *rest) for k, (job, *rest) in tasks.items()}


# ---- our own processes ------------------------------------------------------------------------------------------------


def _in_processes(work: Work, tasks: Tasks, workers: int) -> Finished:
    """Run on processes that are started for this sweep; those that die are replaced and nothing is lost.

    A point during which a process died may be to blame: it is run again with nothing beside it.
    """
    if not tasks:
        return
    _sendable(tasks)
    from ..kernels._jit import CACHED  # here first: the warning of a cache that is not used comes once, not from each process

    first = next(iter(tasks.values()))
    waiting, suspects = deque(tasks), deque[int]()
    crashes: dict[int, int] = {}
    while waiting or suspects:
        width, alone = min(workers, len(waiting) + len(suspects)), False
        with _pool(width) as pool:
            running: dict[cf.Future[Outcome], int] = {}
            with _without_main(first[0]):
                started = pool.submit(os.getpid)
                if CACHED:
                    _warm(pool, work, first)
            try:
                while running or suspects or waiting:
                    with _without_main(first[0]):
                        if not running:
                            alone = bool(suspects)
                        source, most = (suspects, 1) if alone else (waiting, 2 * width)  # one waits beside each that runs
                        while source and len(running) < most:
                            k = source.popleft()
                            running[pool.submit(work, *tasks[k])] = k
                    done, _ = cf.wait(running, PULSE_S, cf.FIRST_COMPLETED)
                    if not done:
                        yield None
                    for future in done:
                        outcome = future.result()
                        yield running.pop(future), outcome
            except BrokenProcessPool:
                if not started.done() or started.exception():
                    remedy = "call sweep below 'if __name__ == \"__main__\":' when it stands in a script with parts of its own"
                    raise TieringError(f"executor: worker processes end while they start; {remedy}") from None
                for future, k in running.items():
                    if future.done() and not future.exception():
                        yield k, future.result()
                        continue
                    crashes[k] = crashes.get(k, 0) + alone
                    if crashes[k] >= GIVE_UP:
                        yield k, Outcome(error=DIED)
                    else:
                        suspects.append(k)


@contextmanager
def _pool(width: int) -> Iterator[cf.ProcessPoolExecutor]:
    """Give a pool of fresh processes; whatever ends its use, the processes end too."""
    from multiprocessing import get_context

    pool = cf.ProcessPoolExecutor(width, get_context("spawn"), _begin)
    finished = False
    try:
        yield pool
        finished = True
    finally:
        processes = [*(getattr(pool, "_processes", None) or {}).values()]
        pool.shutdown(wait=finished, cancel_futures=True)
        for process in () if finished else processes:
            process.kill()


@contextmanager
def standing(executor: Any, workers: int | None) -> Iterator[tuple[Any, int | None]]:
    """Give what `run_all` takes as executor and workers, many times over: ``"processes"`` start once, and end with the block.

    Parameters
    ----------
    executor, workers
        As for `run_all`. Processes that die are not replaced.
    """
    if executor != "processes":
        yield executor, workers
        return
    width = processors() if workers is None else workers
    with _pool(width) as pool:
        with _without_main(types.SimpleNamespace(measure=None)):
            cf.wait([pool.submit(time.sleep, PULSE_S / 10) for _ in range(width)])  # each is busy, so that all are started
        yield pool, None


@contextmanager
def _without_main(job: Any) -> Iterator[None]:
    """Keep processes that start now from running the caller's script again, unless the measure stands in it.

    A spawned process imports ``__main__`` to find what was defined there. Without a measure nothing of it is needed,
    and a script without ``if __name__ == "__main__":`` would start itself over and over.
    """
    if _needs_main(job):
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _begin() -> None:
    """Prepare a worker process: leave Ctrl-C to the parent, and end when the parent is gone."""
    from multiprocessing import parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _warm(pool: cf.ProcessPoolExecutor, work: Work, first: tuple[Any, ...]) -> None:
    """Let one process compile the kernels if none has yet; otherwise each process would do so for itself."""
    from ..kernels._jit import CACHE_DIR

    mark = CACHE_DIR / "warm"
    if not mark.exists():
        job, *others = first
        pool.submit(work, replace(job, duration_us=min(job.duration_us, 1_000_000), measure=None), *others).result()
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
