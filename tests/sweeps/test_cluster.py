"""A real Dask cluster over TCP: a worker is killed in the middle, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("default")]  # dask's own warnings are not ours

SC = scenario(pull(), push())
DESIGN = {"contexts.0.schemes.0.quota.sz_bytes": ["64 KiB", "1 MiB", "2 MiB"], "seed": range(8)}


class Cluster:
    """``dask scheduler`` and two ``dask worker`` processes of one thread each."""

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).parents[1]
        paths = [str(here.parent), str(here)]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self.folder, self.file = folder, folder / "scheduler.json"
        local = ["--host", "127.0.0.1", "--port", "0"]
        self.processes = [self._start("scheduler", *local, "--no-dashboard", "--no-show", "--scheduler-file", str(self.file))]
        self._wait(self.file.exists)
        worker = ["--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        self.processes += [self._start("worker", *worker, "--local-directory", str(folder)) for _ in range(2)]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "dask", *words], env=self.environment, stdout=log, stderr=log)

    def _wait(self, condition: object) -> None:
        limit = time.monotonic() + 60
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < limit, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path)
    yield running
    running.stop()


def test_a_worker_is_killed_in_the_middle_and_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    from distributed import Client

    store, at_kill = tmp_path / "s.zarr", [0]

    def done() -> int:
        try:
            return int(np.asarray(zarr.open_group(store, mode="r")["done"][...]).sum())
        except (FileNotFoundError, KeyError):
            return 0

    def kill() -> None:
        limit = time.monotonic() + 120
        while not (n := done()) and time.monotonic() < limit:
            time.sleep(0.02)
        at_kill[0] = n
        cluster.processes[1].send_signal(signal.SIGKILL)

    with Client(scheduler_file=str(cluster.file)) as client:
        client.wait_for_workers(2, timeout=60)
        assert client.scheduler.address.startswith("tcp://127.0.0.1:")
        killer = threading.Thread(target=kill)
        killer.start()
        found = tm.sweep(SC, DESIGN, duration="60 s", executor=client, store=store, series=["share_bp"])
        killer.join()
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1
    assert cluster.processes[1].wait() == -signal.SIGKILL
    assert 0 < at_kill[0] < found["done"].size
    expected = tm.sweep(SC, DESIGN, duration="60 s", series=["share_bp"])
    xr.testing.assert_identical(found, expected)
    with xr.open_zarr(store) as stored:
        xr.testing.assert_identical(stored.load(), expected)


def test_the_command_line_takes_a_schedulers_address(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.toml").write_text(SC.to_toml())
    address = json.loads(cluster.file.read_text())["address"]
    words = ["sweep", "x.toml", "--seeds", "3", "--duration", "2 s", "--executor", address, "-o", "s.nc"]
    assert cli.main(words) == 0
    with xr.open_dataset("s.nc", engine="h5netcdf") as got:
        xr.testing.assert_identical(got.load(), tm.sweep(SC, {"seed": range(3)}, duration="2 s", seed=1))
