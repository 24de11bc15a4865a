"""A machine and a workload in a line, or as files told by their content: what is meant, what is assumed, what is refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.load import Loaded, open_scenario
from tieringmodel.interop.machines.line import to_line
from tieringmodel.interop.machines.read import read_machine
from tieringmodel.interop.workloads.line import parse_line
from tieringmodel.interop.workloads.placed import Surroundings, shares
from tieringmodel.interop.workloads.read import Built, read_workload
from tieringmodel.units import FOREVER

GIB, PAGE = 1 << 30, 4096
PAIR = tm.Machine.dram_cxl("4 GiB", "2 GiB")
COLLECT = Path(__file__).parents[2] / "scripts" / "collect.sh"
NUMACTL = """available: 3 nodes (0-2)
node 0 cpus: 0 1 2 3
node 0 size: 64215 MB
node 0 free: 51010 MB
node 1 cpus:
node 1 size: 0 MB
node 1 free: 0 MB
node 2 cpus:
node 2 size: 129024 MB
node 2 free: 128990 MB
node distances:
node   0   1   2
  0:  10  21  14
"""
NUMASTAT = """
Per-node process memory usage (in MBs) for PID 4711 (memcached)
                           Node 0          Node 1           Total
                  --------------- --------------- ---------------
Huge                         0.00            0.00            0.00
Heap                         0.02            0.00            0.02
Stack                        0.04            0.00            0.04
Private                   3071.94         1024.00         4095.94
----------------  --------------- --------------- ---------------
Total                     3072.00         1024.00         4096.00
"""
NUMASTAT_M = """
Per-node system memory usage (in MBs):
                          Node 0          Node 1           Total
                 --------------- --------------- ---------------
MemTotal                64215.00       129024.00       193239.00
AnonPages               30000.00        10000.00        40000.00
"""
NUMA_MAPS = """55885de0d000 default file=/usr/bin/memcached mapped=2 N0=2 kernelpagesize_kB=4
7f1200000000 default anon=1536 dirty=1536 active=0 N0=1 N1=2 kernelpagesize_kB=2048
7ffd5a000000 prefer:0 anon=2 dirty=2 N0=2 kernelpagesize_kB=4
"""
LSMEM = json.dumps({"memory": [
    {"range": "0x0000000000000000-0x000000007fffffff", "size": 2 * GIB, "state": "online", "node": 0},
    {"range": "0x0000000100000000-0x000000017fffffff", "size": 2 * GIB, "state": "online", "node": 0},
    {"range": "0x0000000180000000-0x00000001ffffffff", "size": 2 * GIB, "state": "online", "node": 1},
]})  # fmt: skip
ZONEINFO = tm.data_path("recordings", "E5_hole_inside_node0", "zoneinfo.txt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def built(text: str, machine: tm.Machine = PAIR, **about: object) -> Built:
    return read_workload(text)(Surroundings(machine, **about))  # type: ignore[arg-type]


def refusal(text: str, machine: tm.Machine = PAIR) -> str:
    with pytest.raises(tm.InputError) as caught:
        built(text, machine)
    assert caught.value.remedy
    return str(caught.value)


# ---- machines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "nodes"),
    [
        ("dram=512G,cxl=256G", [(0, ((0, 512),)), (1, ((512, 768),))]),
        ("dram=64G,dram=64G,cxl=128G", [(0, ((0, 64),)), (1, ((64, 128),)), (2, ((128, 256),))]),
        ("node1=2G,node0=4G@4G", [(1, ((0, 2),)), (0, ((4, 8),))]),
        ("node0=2G+2G@4G,node1=2G", [(0, ((0, 2), (4, 6))), (1, ((6, 8),))]),
        ("dram=1024 MiB, cxl = 1 GiB", [(0, ((0, 1),)), (1, ((1, 2),))]),
    ],
)
def test_a_line_names_the_nodes_in_order_of_address(line: str, nodes: list[object]) -> None:
    machine = read_machine(line).machine
    assert [(n.nid, tuple((a // GIB, b // GIB) for a, b in n.system_ram)) for n in machine.nodes] == nodes
    assert read_machine(to_line(machine)).machine == machine


def test_a_line_says_folios_and_ticks_too() -> None:
    machine = read_machine("dram=4G,cxl=4G,folio=2M,hz=250").machine
    assert (machine.folio_bytes, machine.hz) == (2 << 20, 250)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dram=512,cxl=256G", "dram: '512' has no unit; write 512G or 512M"),
        ("dram=0G", "'0G' is nothing"),
        ("dram=4Q", "'4Q' is not understood"),
        ("dram=4G,cxl", "'cxl' is not NAME=VALUE"),
        ("dram=4G,cxl=", "'cxl=' is not NAME=VALUE"),
        ("dram=4G,node0=4G", "node 0 is given twice"),
        ("dram=4G,cxl=4G@2G", "overlaps the node before"),
        ("dram=4G@2G,cxl=4G@0G", "lies below the node before"),
        ("dram=2G@4G+2G@0G", "lies before the range before"),
        ("dram=4G,folio=3M", "not a power of two"),
        ("dram=4G,hz=fast", "'fast' is no tick rate"),
        ("dram=4G,folio=2M,folio=4K", "is given twice"),
        ("folio=2M", "names no node"),
        ("dram=3B", "not begin and end at multiples of 4096"),
        ("nowhere.txt", "does not exist; give a line such as dram=512G,cxl=256G"),
    ],
)
def test_a_line_that_is_none_is_refused_with_the_remedy(text: str, said: str, folder: Path) -> None:
    with pytest.raises(tm.InputError) as caught:
        read_machine(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith("--machine: ")
    assert caught.value.remedy


def test_a_file_is_told_by_its_content(folder: Path) -> None:
    (folder / "a").write_text(NUMACTL)
    (folder / "b").write_text(LSMEM)
    (folder / "c").write_bytes(gzip.compress(ZONEINFO.read_bytes()))
    (folder / "d").write_text(tm.load("rfc-40-60").to_toml())
    given = read_machine("a")
    assert [(n.nid, n.start_bytes >> 20, n.sz_bytes >> 20) for n in given.machine.nodes] == [(0, 0, 64215), (2, 64215, 129024)]
    assert [note.partition(":")[0] for note in given.notes] == ["assumed", "a"]
    assert "node 1 has no memory and is left out" in given.notes[1]
    assert [n.system_ram for n in read_machine("b").machine.nodes] == [
        ((0, 2 * GIB), (4 * GIB, 6 * GIB)), ((6 * GIB, 8 * GIB),)
    ]  # fmt: skip
    assert [n.extent[1] // GIB for n in read_machine("c").machine.nodes] == [6, 8]
    assert read_machine("d").machine == tm.load("rfc-40-60").machine
    (folder / "a").write_text(NUMACTL[: NUMACTL.index("node 2 size")])
    with pytest.raises(tm.InputError, match="a: tells the sizes of 2 of 3 nodes; copy all"):
        read_machine("a")
    (folder / "e").write_text("root:x:0:0\n")
    with pytest.raises(tm.InputError, match=r"e: begins with 'root:x:0:0' and describes no machine; give a line"):
        read_machine("e")
    os.mkfifo(folder / "pipe")
    for read in (read_machine, read_workload):
        with pytest.raises(tm.InputError, match="is a pipe, which can be read only once"):
            read("pipe")


def fake_root(folder: Path) -> Path:
    """A machine's /proc and /sys with what collect.sh reads, and its tools beside them."""
    root, tools = folder / "root", folder / "tools"
    (root / "proc" / "4711").mkdir(parents=True)
    (root / "proc" / "zoneinfo").write_bytes(ZONEINFO.read_bytes())
    (root / "proc" / "version").write_text("Linux version 7.3.4+deb13-cloud-amd64 (debian-kernel@lists.debian.org)\n")
    (root / "proc" / "4711" / "numa_maps").write_text(NUMA_MAPS)
    admin = root / "sys" / "kernel" / "mm" / "damon" / "admin"
    lines = tm.data_path("recordings", "E5_hole_inside_node0", "damon_config.txt").read_text().splitlines()
    for path, *value in (line.split() for line in lines):
        file = admin / "kdamonds" / "0" / "contexts" / "0" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(value) + "\n")
    (admin / "kdamonds" / "nr_kdamonds").write_text("1\n")
    (admin / "kdamonds" / "0" / "contexts" / "nr_contexts").write_text("1\n")
    tools.mkdir()
    for name, text in (("lsmem", LSMEM), ("numactl", NUMACTL), ("numastat", NUMASTAT)):
        (tools / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        (tools / name).chmod(0o755)
    return root


def collect(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    root = fake_root(folder)
    environment = os.environ | {"TIERINGMODEL_ROOT": str(root), "PATH": f"{folder / 'tools'}:{os.environ['PATH']}"}
    return subprocess.run(["sh", str(COLLECT), *words], env=environment, capture_output=True, text=True, cwd=folder)


def test_what_collect_gathers_is_a_machine_a_kernel_a_placement_and_a_scenario(folder: Path) -> None:
    done = collect(folder, "here", "4711")
    assert (done.returncode, done.stderr) == (0, "")
    names = [
        "damon.txt",
        "lsmem.json",
        "numa_maps.txt",
        "numactl.txt",
        "numastat.txt",
        "uname.txt",
        "version.txt",
        "zoneinfo.txt",
    ]
    assert sorted(p.name for p in (folder / "here").iterdir()) == names
    given = read_machine("here")
    near, _ = given.machine.nodes
    assert near.ranges == ((0, 2 * GIB), (4 * GIB, 6 * GIB))
    assert near.kernel_bytes > 0
    assert given.notes == ("addresses are those of lsmem.json",)
    (folder / "here" / "uname.txt").unlink()  # tells of the computer that runs the test
    loaded = open_scenario("here")
    assert loaded.scenario.machine == given.machine
    config = tm.data_path("recordings", "E5_hole_inside_node0", "damon_config.txt")
    assert loaded.scenario.contexts == open_scenario(config).scenario.contexts
    assert str(loaded.scenario.kernel) == "Linux 7.3.4"
    assert any("placed=here/numa_maps.txt" in note for note in loaded.notes)
    assert any("by here/version.txt (--kernel replaces it)" in note for note in loaded.notes)
    other = open_scenario("rfc-40-60", machine="here", workload="total=1G,hot=200M@10Hz,rest=0Hz", kernel="7.2")
    assert other.scenario.kernel.release == "7.2.12"
    assert other.scenario.workload.placement[0].weights == (21, 43)
    assert any("in the shares of here/numa_maps.txt (placed=node1 replaces it)" in note for note in other.notes)


def test_collect_says_what_is_left_out_and_leaves_folders_alone(folder: Path) -> None:
    done = collect(folder, "here")
    assert "numa_maps" not in done.stdout
    (folder / "tools" / "lsmem").write_text("#!/bin/sh\nexit 1\n")
    words = ["sh", str(COLLECT), "there"]
    environment = os.environ | {"TIERINGMODEL_ROOT": "root", "PATH": f"{folder / 'tools'}:{os.environ['PATH']}"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0
    assert done.stderr.startswith("there/lsmem.json: left out, 'lsmem --json")
    again = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=folder)
    assert (again.returncode, again.stderr) == (1, "there exists already\n")


def test_a_folder_that_contradicts_itself_is_not_guessed_about(folder: Path) -> None:
    collect(folder, "here")
    (folder / "here" / "copy").write_text(NUMACTL)
    with pytest.raises(tm.InputError, match=r"copy and numactl\.txt both look like numactl"):
        read_machine("here")
    (folder / "here" / "copy").write_text("nothing of that kind\n")
    (folder / "here" / "lsmem.json").write_text(LSMEM.replace('"node": 1', '"node": 2'))
    notes = read_machine("here").notes
    assert "lsmem.json and zoneinfo.txt tell of different nodes: zoneinfo.txt is taken" in notes
    assert "here: nothing about a machine is read from copy" in notes
    (folder / "here" / "damon.txt").unlink()
    with pytest.raises(
        tm.InputError, match="here: describes a machine and nothing that DAMON does; give a scenario and --machine"
    ):
        open_scenario("here")
    (folder / "empty").mkdir()
    with pytest.raises(tm.InputError, match="empty: holds no file that describes a machine; fill it"):
        read_machine("empty")


def test_links_that_lead_out_of_a_folder_are_refused(folder: Path) -> None:
    collect(folder, "here")
    (folder / "here" / "zoneinfo.txt").rename(folder / "secret")
    (folder / "here" / "zoneinfo.txt").symlink_to(folder / "secret")
    with pytest.raises(tm.InputError, match=r"leads out of here, and nobody asked for it; .*--allow-files"):
        read_machine("here")
    assert len(read_machine("here", allow_files=True).machine.nodes) == 2


def test_a_recording_is_no_such_folder(folder: Path) -> None:
    run = tm.data_path("recordings", "E5_hole_inside_node0")
    assert open_scenario(run).duration_s is not None
    given = open_scenario("rfc-40-60", machine=run, workload="total=1G,hot=200M@10Hz,rest=0Hz,placed=even")
    assert [n.extent[1] // GIB for n in given.scenario.machine.nodes] == [6, 8]


def test_a_machine_whose_kernel_lacks_something_says_so(folder: Path) -> None:
    collect(folder, "here")
    (folder / "here" / "uname.txt").unlink()
    (folder / "here" / "version.txt").write_text("Linux version 6.18.35 (gcc)\n")
    with pytest.raises(tm.InputError, match=r"temporal is not in Linux 6\.18\.35.*another kernel .*--kernel"):
        open_scenario("rfc-40-60", machine="here")


def test_a_scenario_moves_with_its_nodes(folder: Path) -> None:
    loaded = open_scenario("rfc-40-60", machine="dram=512G,cxl=256G")
    first, second = (scheme.filters[0] for scheme in loaded.scenario.contexts[0].schemes)
    assert (first.start_bytes // GIB, first.end_bytes // GIB) == (512, 768)
    assert (second.start_bytes // GIB, second.end_bytes // GIB) == (0, 512)
    assert loaded.notes == (
        "address ranges that are whole nodes of the scenario's own machine are those nodes of the given one",
    )
    assert open_scenario("rfc-40-60", machine="dram=1G,cxl=1G").notes == ()
    with pytest.raises(tm.InputError, match=r"node 1 is not in the machine that was given; describe a workload .*--workload"):
        open_scenario("rfc-40-60", machine="dram=4G")


@pytest.mark.parametrize("flood", ["\n" * 200_000, " " * 200_000, "\nNode 0" * 30_000, "   Node 0\n" * 20_000, "a," * 90_000])
def test_what_a_file_is_is_found_out_at_once(flood: str, folder: Path) -> None:
    """A search that tries every place with every length would take minutes here."""
    (folder / "x").write_text(flood)
    for read in (read_machine, read_workload):
        with pytest.raises(tm.InputError, match=r"describes no|is empty"):
            read("x")


# ---- workloads in a line -------------------------------------------------------------------------------------------------


def test_a_workload_in_one_line() -> None:
    made = built("total=3G,hot=1G@200Hz,placed=cxl", ids={"cxl": 1})
    assert made.workload == tm.Workload(
        3 * GIB // PAGE, (tm.Group(0, GIB // PAGE, rate_hz=200.0, name="hot"),), (tm.Placement(0, 3 * GIB // PAGE, 1),)
    )
    assert made.notes == (
        "assumed: the other 2 GiB are never touched (rest=0.2Hz replaces it)",
        "node 1 has room for 2 GiB of the 3 GiB that start there: the last ones start elsewhere",
    )


def test_parts_have_places_and_cgroups_of_their_own() -> None:
    made = built("hot=1G@0.2kHz@node1@cgroup2,warm=1G@1Hz@3:1,rest=0.5Hz,total=4G,placed=node0")
    assert [(g.lo * PAGE // GIB, g.hi * PAGE // GIB, g.rate_hz, g.name) for g in made.workload.groups] == [
        (0, 1, 200.0, "hot"), (1, 2, 1.0, "warm"), (2, 4, 0.5, "rest"),
    ]  # fmt: skip
    assert [(p.nid, p.weights) for p in made.workload.placement] == [(1, ()), (0, (3, 1)), (0, ())]
    assert [(m.memcg_id, m.lo, m.hi * PAGE // GIB) for m in made.workload.memcgs] == [(2, 0, 1)]
    assert made.notes == ()
    line = parse_line("total=4G,hot=1G@200Hz@node1@cgroup2,rest=0.5Hz,placed=even")
    assert parse_line(str(line)) == line


def test_pages_are_those_of_the_machine_and_mapped_where_contexts_look() -> None:
    huge = tm.Machine.dram_cxl("4 GiB", "2 GiB", folio_bytes=2 << 20)
    assert built("hot=1G@1Hz", huge).workload.n_pages == 512
    assert built("hot=1G@1Hz").workload.vmas == ()
    fixed = tm.Context("fvaddr", targets=(tm.Target(((GIB, 2 * GIB), (4 * GIB, 5 * GIB))),))
    vmas = built("total=3G", contexts=(fixed,)).workload.vmas
    assert [(v.lo * PAGE // GIB, v.hi * PAGE // GIB, v.start_bytes // GIB) for v in vmas] == [(0, 1, 1), (1, 2, 4), (2, 3, 5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("total=4G,hot=5G@200Hz", "total: 4 GiB is less than the 5 GiB of hot; write total=5G"),
        ("hot=7G@200Hz", "7 GiB exceed the 6 GiB that the machine has free"),
        ("hot=1G", "hot: has no rate; write how often"),
        ("hot=1G@fast", "hot: 'fast' is no rate"),
        ("hot=1G@200", "'200' is no rate, place or cgroup"),
        ("hot=1G@200Hz@1Hz", "'1Hz' is no rate, place or cgroup"),
        ("hot=1G@200Hz@nod1", "'nod1' is no node and no file; did you mean 'node1'?"),
        ("hot=1G@200Hz,placed=node7", "node 7 is not in the machine"),
        ("hot=1G@200Hz,placed=3:1:1", "not one weight for each of 2 nodes; write e.g. 1:1"),
        ("hot=1G@200Hz,placed=0:0", "not all 0"),
        ("hot=1G@200Hz,placed=", "'placed=' is not NAME=VALUE"),
        ("hot=100@200Hz", "'100' has no unit; write 100G"),
        ("total=1G,rest=fast", "rest: 'fast' is no rate; write touches per second"),
        ("total=1G,total=2G", "total: is given twice"),
        ("rest=1Hz", "names no memory"),
        ("whatever", "does not exist; give a line such as total=400G"),
        (" ", "names nothing; give a line such as total=400G"),
        ("whatever,repeat=2", "whatever: does not exist"),
    ],
)
def test_a_line_of_a_workload_that_is_none_is_refused_with_the_remedy(text: str, said: str, folder: Path) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "weights"), [(NUMASTAT, (3, 1)), (NUMASTAT_M, (3, 1)), (NUMA_MAPS, (21, 43)), ("\n" + NUMASTAT, (3, 1))]
)
def test_placement_from_what_lies_where(text: str, weights: tuple[int, int], folder: Path) -> None:
    (folder / "seen.txt").write_text(text)
    (place,) = built("hot=1G@1Hz,placed=seen.txt").workload.placement
    assert place.weights == weights


def test_placement_that_cannot_be_is_refused(folder: Path) -> None:
    (folder / "seen.txt").write_text(NUMASTAT.replace("Node 1", "Node 5"))
    assert "tells of node 5, which the machine has not" in refusal("hot=1G@1Hz,placed=seen.txt")
    (folder / "seen.txt").write_text(NUMASTAT.replace("3072.00         1024.00", "   0.00            0.00"))
    assert "tells of no page on any node" in refusal("hot=1G@1Hz,placed=seen.txt")
    (folder / "seen.txt").write_text("node0 node1\nnuma_hit 1 2\n")
    assert "does not say how much memory lies on which node; give the text of numastat -p" in refusal(
        "a=1G@1Hz,placed=seen.txt"
    )
    (folder / "seen.txt").write_text(NUMA_MAPS)
    assert shares(folder / "seen.txt") == {0: pytest.approx(2 + 4 * 4 / 1024), 1: 4.0}


# ---- workloads in files --------------------------------------------------------------------------------------------------


TABLE = "time_s,address\n0.0,0x7f0000000000\n0.5,0x7f0000200000\n1.5,0x7f0000200000\n"
MASIM = "a, 8388608\nb, 8388608\n\nfirst\n1000\na, 1, 64, 1\n\nsecond\n3000\nb, 1, 64, 1\n"
PERF = """ memcached  4711 [001] 544966.000000:      10007  cpu/mem-loads,ldlat=30/P:     7f1200001b0c  68100242 |OP LOAD|LVL L1
 memcached  4711 [001] 544966.500000:      10007  cpu/mem-loads,ldlat=30/P: ffff888101001b0c  68100242 |OP LOAD|LVL L1
 memcached  4711 [002] 544968.200000:      10007  cpu/mem-loads,ldlat=30/P:     7f1200201b0c  68100242 |OP LOAD|LVL L1
"""


def touches_per_s(workload: tm.Workload, at_s: float) -> float:
    tick = at_s * 1e6 / (workload.tick_us or 1)
    return sum(g.rate_hz * (g.hi - g.lo) for g in workload.groups if g.start_tick <= tick < g.end_tick)


def test_a_table_repeats_instead_of_ending_in_silence(folder: Path) -> None:
    (folder / "x").write_text(TABLE)
    made = built("x")
    assert made.notes == (
        "assumed: the 2 s of x repeat up to 3600 s, then go on at their mean rates (repeat=N replaces it)",
        "assumed: placed=even, where pages start (placed=node1 replaces it)",
    )
    assert [touches_per_s(made.workload, at) for at in (0.5, 1.5, 2.5, 3599.5)] == pytest.approx([2, 1, 2, 1])
    assert touches_per_s(made.workload, 4000) == pytest.approx(1.5)
    assert max(g.end_tick for g in made.workload.groups) == FOREVER
    twice = built("x,repeat=2,placed=node1")
    assert twice.notes == ("the 2 s of x run 2 times, then nothing is touched",)
    assert [touches_per_s(twice.workload, at) for at in (0.5, 1.5, 2.5, 3.5, 4.5)] == pytest.approx([2, 1, 2, 1, 0])
    assert twice.workload.placement[0].nid == 1


def test_what_takes_too_many_rates_to_repeat_goes_on(folder: Path) -> None:
    lines = [f"{k % 60}.5,{0x7F0000000000 + (k // 60 << 21):#x}" for k in range(60 * 150)]
    (folder / "x").write_text("\n".join(["time_s,address", *lines]) + "\n")
    made = built("x,placed=even")
    said = "the 60 s of x are not repeated, which would take too many rates: they go on at their mean rates"
    assert made.notes == (f"assumed: {said} (repeat=N replaces it)",)
    assert touches_per_s(made.workload, 1e4) == pytest.approx(150)


def test_masim_by_its_content(folder: Path) -> None:
    (folder / "work").write_text(MASIM)
    made = built("work,placed=node0")
    assert made.notes[0] == "assumed: masim makes 1e+08 accesses a second (rate=2e8 replaces it)"
    assert [touches_per_s(made.workload, at) for at in (0.5, 1.5, 4.5, 5.5, 1e5)] == pytest.approx([1e8] * 5)
    at = [next(g.name for g in made.workload.groups if g.start_tick <= s * 200 < g.end_tick) for s in (0.5, 3.5, 4.5, 5.5)]
    assert at == ["a", "b", "a", "b"]
    slow = built("work,rate=1e6,repeat=1,placed=node0")
    assert slow.notes == ("the 4 s of work run once, then nothing is touched",)
    assert touches_per_s(slow.workload, 0.5) == pytest.approx(1e6)


def test_perf_by_its_content_without_the_kernels_memory(folder: Path) -> None:
    (folder / "p").write_bytes(gzip.compress(PERF.encode()))
    made = built("p,placed=even")
    assert made.notes == (
        "p: 1 samples of the kernel's own memory are left out",
        "assumed: the 3 s of p repeat up to 3600 s, then go on at their mean rates (repeat=N replaces it)",
    )
    assert touches_per_s(made.workload, 0.5) == pytest.approx(10007)
    (folder / "p").write_text(PERF.replace("     10007", ""))
    assert "p:1: does not say how many accesses the sample stands for; pass period=" in refusal("p")
    assert touches_per_s(built("p,period=500,repeat=1").workload, 0.5) == pytest.approx(500)


def test_a_record_goes_on_and_says_so(folder: Path) -> None:
    ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1, progress=False)
    tm.to_damo_record(ds, "monitored.data").rename("monitored")
    made = built("monitored")
    assert [note.partition(":")[2][:24] for note in made.notes] == [" physical addresses neve", " after its 3 s the last "]
    assert max(g.end_tick for g in made.workload.groups) == FOREVER
    again = built("monitored,repeat=2")
    assert again.notes[-1] == "the 3 s of monitored run 2 times, then nothing is touched"
    assert max(g.end_tick for g in again.workload.groups) <= 6 * 200
    assert "is told by the record's physical addresses" in refusal("monitored,placed=node1")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (TABLE, "x,period=3", "period: does not go with a table of accesses; known: repeat, placed, region, bin"),
        (TABLE, "x,repeat=0", "repeat: '0' is no number of 1 or more"),
        (TABLE, "x,repeat=often", "repeat: 'often' is no number of 1 or more; write e.g. repeat=3"),
        (TABLE, "x,repeat=60000", "repeat: 60000 times 3 rates are too many; write at most repeat=21845"),
        (MASIM, "x,rate=fast", "rate: 'fast' is not a number"),
        ("[workload]\nn_pages = 4\n", "x,repeat=2", "repeat: does not go with TOML; leave it out"),
        ("PERFILE2 …", "x", "x: is perf's binary form; write text: perf script -i x -F comm,"),
        (
            "# PID, TID, IP, ADDR, LOCAL WEIGHT, DSRC, SYMBOL\n 1 1 0x1 0x2\n",
            "x",
            "x: is a report of perf mem, which tells no times",
        ),
        ("root:x:0:0\n", "x", "x: begins with 'root:x:0:0' and describes no workload; give a line"),
        ("", "x", "x: is empty; give a line"),
        (PERF.replace("    7f12", "ffff7f12"), "x", "x: holds accesses to the kernel's memory only; record the program's own"),
    ],
)
def test_what_does_not_fit_a_file_is_refused_with_the_remedy(text: str, name: str, said: str, folder: Path) -> None:
    (folder / "x").write_text(text)
    assert said in refusal(name)


def test_base_pages_do_not_go_beside_folios(folder: Path) -> None:
    (folder / "x").write_text(TABLE)
    assert "x: counts pages of 4 KiB, the machine's folios have 2 MiB" in refusal(
        "x", tm.Machine.dram_cxl("4 GiB", "4 GiB", folio_bytes=2 << 20)
    )


# ---- what is assumed -----------------------------------------------------------------------------------------------------


def damo_json(folder: Path, scheme: dict[str, object]) -> Loaded:
    data = {"kdamonds": [{"contexts": [{"ops": "paddr", "targets": [{"regions": []}], "schemes": [scheme]}]}]}
    (folder / "x.json").write_text(json.dumps(data))
    return open_scenario("x.json")


def test_the_assumed_lines_make_the_same_scenario_again(folder: Path) -> None:
    loaded = damo_json(folder, {"action": "migrate_hot", "target_nid": 0})
    lines = [note.split()[2] for note in loaded.notes if note.startswith("assumed")]
    assert lines == ["node0=1G,node1=1G", "total=1G,hot=256M@400Hz,rest=0.2Hz,placed=even"]
    again = open_scenario("x.json", machine=lines[0], workload=lines[1])
    assert again.scenario == loaded.scenario
    assert not any(note.startswith("assumed") for note in again.notes)


def test_weights_do_not_find_their_work_done(folder: Path) -> None:
    dests = [{"id": 0, "weight": 1}, {"id": 1, "weight": 1}]
    context = tm.Context("fvaddr", targets=(tm.Target(((GIB, 2 * GIB),)),), schemes=(
        tm.Scheme("migrate_hot", dests=tuple(tm.Dest(**d) for d in dests)),))  # fmt: skip
    made = built("total=1G,hot=256M@400Hz", tm.Machine.dram_cxl("1 GiB", "1 GiB"), contexts=(context,))
    assert made.workload.placement == (tm.Placement(0, GIB // PAGE, 0),)
    assert "assumed: placed=node0, where pages start (placed=even replaces it)" in made.notes


@pytest.mark.parametrize(
    ("metric", "nid", "target", "place"),
    [
        ("node_eligible_mem_bp", 0, 6000, "even"),
        ("node_eligible_mem_bp", 1, 5000, "node0"),
        ("node_eligible_mem_bp", 0, 5000, "node1"),
        ("node_mem_used_bp", 0, 4000, "node1"),
        ("node_mem_free_bp", 0, 3000, "node0"),
    ],
)
def test_goals_are_not_met_at_the_start(metric: str, nid: int, target: int, place: str) -> None:
    goals = (tm.Goal(metric, target, nid=nid),)
    scheme = tm.Scheme("migrate_hot", target_nid=nid, quota=tm.Quota(sz_bytes=1 << 20, goals=goals))
    machine = tm.Machine.dram_cxl("2 GiB", "2 GiB")
    made = built("total=2G,hot=512M@400Hz,rest=0Hz", machine, contexts=(tm.Context(schemes=(scheme,)),))
    assert made.notes[0].startswith(f"assumed: placed={place},")


def test_cgroups_that_a_configuration_names_have_pages(folder: Path) -> None:
    filters = [{"filter_type": "memcg", "memcg_path": "/app", "matching": True, "allow": True}]
    loaded = damo_json(folder, {"action": "migrate_hot", "target_nid": 0, "filters": filters})
    (memcg, _) = loaded.scenario.workload.memcgs
    rates = {g.rate_hz for g in loaded.scenario.workload.groups if memcg.lo <= g.lo < memcg.hi}
    assert rates == {400.0}
    inside = sum(m.hi - m.lo for m in loaded.scenario.workload.memcgs)
    assert inside == loaded.scenario.workload.n_pages // 2
    assert any('cgroup1 is "/app"; which pages are in one is assumed' in note for note in loaded.notes)
    line = next(note.split()[2] for note in loaded.notes if note.startswith("assumed: workload"))
    assert open_scenario("x.json", workload=line).scenario.workload == loaded.scenario.workload
    none = open_scenario("x.json", workload="total=1G,hot=256M@400Hz")
    assert any("no page of the workload is in one" in note for note in none.notes)


# ---- the commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "lint rfc-40-60",
        "run rfc-40-60 --duration 2 --no-fix",
        "compare rfc-40-60 --duration 2",
        "sweep rfc-40-60 --duration 2 --seeds 1 --executor serial -o s.nc",
        "diff rfc-40-60 --kernels 7.2,7.3 --duration 2 --no-rules --workers 1",
        "convert rfc-40-60 out.toml",
    ],
)
def test_every_command_takes_both(words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--machine", "dram=2G,cxl=1G", "--workload", "total=1G,hot=200M@200Hz,placed=cxl"]
    assert cli.main([*words.split(), *given]) == 0
    said = capsys.readouterr()
    assert said.err.count("the other 824 MiB are never touched (rest=0.2Hz replaces it)") == 1
    if words.startswith("run"):
        assert "--machine dram=2G,cxl=1G" in said.out
        assert "total=1G,hot=200M@200Hz,placed=cxl" in said.out
