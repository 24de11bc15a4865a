"""Recordings: what is read from the shipped runs, the scenario made of them, and how broken files are named."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tieringmodel.errors import InputError
from tieringmodel.interop.recording.read import read_recording
from tieringmodel.scenario import Group, Machine, Node, Scenario, Target
from tieringmodel.scenario.folios import FolioRun, folio_runs
from tieringmodel.units import MIB, PAGE_SZ

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"
RUNS = sorted(p.parent.name for p in RECORDINGS.glob("*/layout.csv"))
E3, E5 = "E3_pullpush_temporal_defaults", "E5_hole_inside_node0"
GIB = 1 << 30
SECOND = {p.parent.name for p in RECORDINGS.glob("*/zoneinfo.txt")}
# MemTotal of both nodes, in kB, as the recorded machine's description gives it, and where their memory lies.
TOTAL_KB = {"": (599_760, 902_832), E3: (1_953_344, 4_127_780), E5: (4_017_732, 2_063_396)}
TOTAL_KB |= {"J2_pageout_freebp_disk": (1_953_332, 4_127_780)}
RAM = {
    E3: (((0, 2 * GIB),), ((4 * GIB, 8 * GIB),)),
    E5: (((0, 2 * GIB), (4 * GIB, 6 * GIB)), ((6 * GIB, 8 * GIB),)),
}


def test_reads_what_a_run_has_and_nothing_else():
    run = read_recording(RECORDINGS / "C3_pullpush_temporal")
    assert run.name == "C3_pullpush_temporal"
    assert run.snapshots is run.intervals is run.quota_steps is run.weights_changed_ms is None
    assert run.info["tick_ms"] == 20
    assert run.info["t0_mono_ms"] == 235887.785
    assert run.layout["segment"].tolist() == ["hot", "cold0", "cold1"]
    assert run.record.n_rows == 120
    assert run.record["hot_n0_pages"][-1] == 26928
    assert run.record["s1_sz_applied"].dtype == np.uint64
    assert run.resets["score"][:3].tolist() == [0, 25000, 1841]
    assert run.applies.n_rows == 178
    assert run.aggregated.n_rows == 8118
    assert run.aggregation_rows.size == 90
    assert run.aggregation_rows[:2].tolist() == [0, 41]
    assert run.aggregation_times_us[[0, 1]].tolist() == [1_344_964, 2_714_696]
    assert len(run.contexts) == 1
    auto = read_recording(RECORDINGS / "B4_intervals_autotune")
    assert auto.intervals["sample_us"][:2].tolist() == [8925, 13058]
    assert auto.snapshots.n_rows == 3611
    steps = read_recording(RECORDINGS / "A_quota_steps")
    assert steps.layout is None
    assert steps.contexts == ()
    assert steps.quota_steps.n_rows == 772


@pytest.mark.parametrize("name", RUNS)
def test_every_run_becomes_a_scenario(name):
    run = read_recording(RECORDINGS / name)
    scenario = run.to_scenario()
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert scenario.name == name
    of_second = RAM.get(name, RAM[E3])
    low, high = of_second if name in SECOND else (((0, 640 * MIB),), ((640 * MIB, 1536 * MIB),))
    assert [node.system_ram for node in scenario.machine.nodes] == [low, high]
    assert scenario.machine.hz == 250
    # What the first periodic row says about a node is what the scenario gives it.
    on_node = [0, 0]
    for place in scenario.workload.placement:
        assert place.start_bytes is not None, "every page's frame was recorded"
        on_node[place.start_bytes >= high[0][0]] += place.hi - place.lo
    for node, pages in zip(scenario.machine.nodes, on_node, strict=True):
        total_kb = int(run.record[f"n{node.nid}_total_kb"][0])
        assert total_kb == TOTAL_KB.get(name, TOTAL_KB[E3 if name in SECOND else ""])[node.nid]
        assert node.sz_bytes - node.unmanaged_bytes == total_kb * 1024
        used = node.kernel_bytes + pages * PAGE_SZ
        free_kb = int(run.record[f"n{node.nid}_free_kb"][0])
        assert used == (total_kb - free_kb) * 1024
        assert node.cache_bytes == 0
    counted = [sum(int(run.record[f"{s}_n{i}_pages"][0]) for s in run.layout["segment"]) for i in (0, 1)]
    # Where the kernel moves pages by itself they have moved on; one page of 32 is asked for its node.
    assert on_node == (pytest.approx(counted, abs=32) if name.startswith("G") else counted)
    assert scenario.workload.n_pages == sum(counted)
    for k, context in enumerate(scenario.contexts):
        assert len(context.aggr_times_us) == run.of_kdamond(k).aggregation_rows.size - 1
    assert [c.aggr_times_us for c in run.to_scenario(recorded_intervals=False).contexts] == [()] * len(scenario.contexts)


def test_workload_of_a_run():
    workload = read_recording(RECORDINGS / "B2_paddr").to_scenario().workload
    assert workload.tick_us == 20_000
    hot, warm, late, cool = 4096, 16384, 40960, 51200
    assert [g for g in workload.groups if g.name in ("hot", "late")] == [
        Group(hot, 8192, "period", period=1, end_tick=2250, name="hot"),
        Group(late, 47104, "period", period=1, start_tick=2250, name="late"),
    ]
    assert [(g.lo, g.rate_hz, g.start_tick, g.end_tick) for g in workload.groups if g.kind == "rate"] == [
        (warm, 10.0, 0, 2250), (warm, 10.0, 2250, 2**62), (cool, 1.0, 0, 2250), (cool, 1.0, 2250, 2**62),
    ]  # fmt: skip
    # 20 Hz are 0.4 touches per tick of 20 ms: random, not periodic.
    auto = read_recording(RECORDINGS / "B4_intervals_autotune").to_scenario().workload
    assert {(g.kind, g.rate_hz) for g in auto.groups if g.name == "hot"} == {("rate", 20.0)}
    vma = workload.vmas[1]
    assert (vma.lo, vma.hi, vma.start_bytes, vma.pgoff) == (4096, 8192, 17592202821632, 17592202821632 // 4096)


def test_contexts_of_a_run():
    run = read_recording(RECORDINGS / "D1_dests_3_2_noquota")
    context = run.to_scenario(recorded_intervals=False).contexts[0]
    assert context == run.contexts[0]
    assert context.ops == "fvaddr"
    assert context.targets == (Target(((17592186044416, 17592404148224),)),)
    assert [(d.id, d.weight) for d in context.schemes[0].dests] == [(0, 3), (1, 2)]
    assert run.weights_changed_ms == pytest.approx(60_292.977)
    assert "those before stand in the run's name" in run.notes[0]
    ((at_us, now),) = [(c.at_us, c.to) for c in run.to_scenario().commits]
    assert at_us == 60_293_000
    assert [(d.id, d.weight) for d in now.schemes[0].dests] == [(0, 1), (1, 1)]


def test_arguments():
    run = read_recording(RECORDINGS / "C1_tier_temporal")
    half = run.to_scenario(lru_share_of_other=0.5).machine.nodes[0]
    none = run.to_scenario().machine.nodes[0]
    assert half.cache_bytes + half.kernel_bytes == none.kernel_bytes
    assert abs(half.cache_bytes - none.kernel_bytes / 2) < PAGE_SZ
    with pytest.raises(InputError, match="lru_share_of_other"):
        run.to_scenario(lru_share_of_other=1.5)
    mine = Machine((Node(0, 0, 2048 * MIB),), hz=100)
    assert run.to_scenario(machine=mine).machine == mine
    with pytest.raises(InputError, match=r"no layout\.csv, info\.txt, damon_config\.txt"):
        read_recording(RECORDINGS / "A_quota_steps").to_scenario()


@pytest.fixture
def copy(tmp_path):
    """Return a function that copies a run and edits one of its files."""

    def edit(run, file, change):
        target = tmp_path / run
        shutil.copytree(RECORDINGS / run, target, dirs_exist_ok=True)
        path = target / file
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if file.endswith(".gz") else raw).decode()
        edited = change(text)
        assert edited != text
        path.write_bytes(gzip.compress(edited.encode()) if file.endswith(".gz") else edited.encode())
        return target

    return edit


def on_line(number, old, new):
    def change(text):
        lines = text.split("\n")
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new, 1)
        return "\n".join(lines)

    return change


C3 = "C3_pullpush_temporal"


def test_segments_on_huge_pages_get_folios(tmp_path):
    target = tmp_path / C3
    shutil.copytree(RECORDINGS / C3, target)
    for name in ("layout.csv", "physmap_start.csv", "record.csv", "info.txt"):
        lines = (target / name).read_text().replace("cold0", "cold0_thp").split("\n")
        kept = [line for line in lines if not (name == "physmap_start.csv" and line.startswith("cold0_thp"))]
        (target / name).write_text("\n".join(kept) + ("thp 1\n" if name == "info.txt" else ""))
    workload = read_recording(target).to_scenario().workload
    assert folio_runs(workload) == (FolioRun(40960, 73728, 9),)
    (target / "info.txt").write_text((target / "info.txt").read_text().replace("thp 1", "thp 0"))
    assert folio_runs(read_recording(target).to_scenario().workload) == ()


@pytest.mark.parametrize(
    ("run", "file", "change", "where", "words"),
    [
        (C3, "record.csv", on_line(17, ",599760", ",5997x0"), "record.csv:17", "n0_total_kb is '5997x0'"),
        (C3, "record.csv", on_line(17, ",599760", ""), "record.csv:17", "has 34 cells"),
        (C3, "record.csv", on_line(1, "hot_touches", "warm_touches"), "record.csv:1", "'warm_touches' is not known"),
        (C3, "record.csv", on_line(1, "s1_effective_bytes,", ""), "record.csv:1", "'s1_effective_bytes' is missing"),
        (C3, "layout.csv", on_line(1, "init_node", "node"), "layout.csv:1", "'node' is not known"),
        (C3, "layout.csv", on_line(3, "32768", "32767"), "layout.csv:3", "32767 pages"),
        (C3, "layout.csv", on_line(4, "cold1", "cold0"), "layout.csv:4", "twice"),
        (C3, "layout.csv", lambda text: text.replace("353816576,17592488034304", "353812480,17592488030208"),
         "layout.csv:3", "overlaps"),
        (C3, "layout.csv", on_line(2, ",50", ",-50"), "layout.csv:2", "-50"),
        ("C1_tier_temporal", "layout.csv", on_line(1, "from_0ms", "from_90000ms"), "layout.csv:1", "phases"),
        (C3, "physmap_start.csv", on_line(5, "hot", "hut"), "physmap_start.csv:5", "did you mean 'hot'"),
        (C3, "physmap_start.csv", on_line(2, ",4096", ",4097"), "physmap_start.csv:2", "not whole pages"),
        (C3, "physmap_start.csv", on_line(2, "17592186044416", "17592186040320"), "physmap_start.csv:2", "outside"),
        (C3, "physmap_start.csv", on_line(3, "948060160", "724733952"), "physmap_start.csv:3", "overlaps another run"),
        (C3, "aggregated.csv.gz", on_line(43, "1,", "3,"), "aggregated.csv.gz:43", "agg is 3 after 0"),
        (C3, "resets.csv", on_line(3, "25000", ""), "resets.csv:3", "score is ''"),
        (C3, "info.txt", on_line(4, "tick_ms 20", "tick_ms twenty"), "info.txt:4", "'twenty' is not a number"),
        (C3, "info.txt", on_line(4, "tick_ms 20", "stride 20"), "info.txt:5", "no new 'key value' line"),
        (C3, "damon_config.txt", on_line(21, "migrate_hot", "migrate_hut"), "damon_config.txt:21", "EINVAL"),
        ("D1_dests_3_2_noquota", "weights_changed.txt", lambda t: "never\n", "weights_changed.txt:1", "no time"),
    ],
)  # fmt: skip
def test_broken_files_are_named_with_their_line(copy, run, file, change, where, words):
    target = copy(run, file, change)
    with pytest.raises(InputError) as caught:
        read_recording(target)
    assert caught.value.where == f"{target}/{where}"
    assert words in str(caught.value)


def test_cut_off_compression(tmp_path):
    target = tmp_path / C3
    shutil.copytree(RECORDINGS / C3, target)
    raw = (target / "aggregated.csv.gz").read_bytes()
    (target / "aggregated.csv.gz").write_bytes(raw[:-1000])
    with pytest.raises(InputError, match=r"aggregated\.csv\.gz: its compressed data end too early"):
        read_recording(target)


def test_incomplete_aggregations_are_noted(copy):
    run = read_recording(copy(C3, "aggregated.csv.gz", lambda text: text[: text.rindex("\n88,")] + "\n"))
    assert run.aggregated.n_rows == 8117
    assert "aggregation 88 holds 90 of 91 regions" in run.notes[0]


def test_folders_without_a_recording(tmp_path):
    with pytest.raises(InputError, match="no recording"):
        read_recording(tmp_path)
    with pytest.raises(InputError, match="not a directory"):
        read_recording(tmp_path / "none")


def test_pages_without_a_recorded_frame_lie_on_their_node(copy):
    def drop_second_run(text):
        lines = text.split("\n")
        return "\n".join(lines[:2] + lines[3:])

    scenario = read_recording(copy(C3, "physmap_start.csv", drop_second_run)).to_scenario()
    first, second = scenario.workload.placement[:2]
    assert (first.lo, first.hi, first.start_bytes) == (0, 1, 724733952)
    assert (second.lo, second.hi, second.nid, second.start_bytes) == (1, 2, 1, None)
    whole = read_recording(RECORDINGS / C3).to_scenario()
    assert scenario.machine == whole.machine, "the page still counts on its node"


def test_without_zoneinfo_what_lies_between_monitored_ranges_is_a_hole(copy):
    """The same nodes as with it, and a line that says what they rest on; recorded pages in the gap would say otherwise."""
    target = copy(E5, "zoneinfo.txt", lambda text: text + "\n")
    (target / "zoneinfo.txt").unlink()
    run = read_recording(target)
    (note,) = (note for note in run.notes if "hole" in note)
    assert note == f"{target}: 2 GiB..4 GiB lies between monitored ranges and is taken for a hole: there is no zoneinfo.txt"
    whole = read_recording(RECORDINGS / E5)
    assert not [note for note in whole.notes if "hole" in note]
    found = whole.to_scenario().machine
    assert found.allocator == "buddy"
    assert run.to_scenario().machine == found
    elsewhere = (target / "physmap_start.csv").read_text().replace(",8588918784,4096", f",{3 << 30},4096")
    (target / "physmap_start.csv").write_text(elsewhere)
    run = read_recording(target)
    assert not [note for note in run.notes if "hole" in note]
    assert run.to_scenario().machine.nodes[0].system_ram == ((0, 6 << 30),)


def test_zoneinfo_and_record_must_agree(copy):
    """MemTotal must fit into the ranges, and the nodes must be the same."""
    target = copy(E5, "zoneinfo.txt", lambda text: text.replace("Node 1", "Node 2"))
    with pytest.raises(InputError, match=r"record\.csv: describes nodes 0, 1, zoneinfo.txt nodes 0, 2; pass machine="):
        read_recording(target).to_scenario()
    target = copy(E5, "record.csv", lambda text: text.replace(",4017732,", ",9017732,"))
    with pytest.raises(InputError, match=r"record\.csv:2: node 0 has 9234157568 bytes in total, in ranges of 4294967296"):
        read_recording(target).to_scenario()


def test_node_bounds_follow_the_filters(copy):
    text = (RECORDINGS / C3 / "damon_config.txt").read_text()
    moved = text.replace("671088640", str(642 * MIB))
    nodes = read_recording(copy(C3, "damon_config.txt", lambda _: moved)).to_scenario().machine.nodes
    # 642 MiB puts no page on the wrong node, and the configuration names it.
    assert [(n.start_bytes, n.sz_bytes) for n in nodes] == [(0, 642 * MIB), (642 * MIB, 894 * MIB)]


def test_machines_that_cannot_be_found_are_asked_for(copy, tmp_path):
    target = copy(C3, "record.csv", lambda text: text.replace("n1_", "n2_"))
    with pytest.raises(InputError, match="nodes 0, 2"):
        read_recording(target).to_scenario()
    (target / "record.csv").unlink()
    with pytest.raises(InputError, match="pass machine="):
        read_recording(target).to_scenario()
    target = copy(C3, "record.csv", on_line(2, "395716", "595716"))
    with pytest.raises(InputError, match=r"record\.csv:2: node 0 has"):
        read_recording(target).to_scenario()


def test_virtual_contexts_without_ranges(copy):
    drop = (RECORDINGS / "D1_dests_3_2_noquota/damon_config.txt").read_text()
    kept = [line for line in drop.splitlines(True) if "targets/0/regions" not in line]
    kept_text = "".join(kept).replace("operations fvaddr", "operations vaddr")
    target = copy("D1_dests_3_2_noquota", "damon_config.txt", lambda _: kept_text)
    run = read_recording(target)
    assert run.contexts[0].targets == (Target(),)
    # Adjacent segments have no gaps for the kernel's rule: all of them are monitored.
    assert run.to_scenario().contexts[0].targets == (Target(((17592186044416, 17592404148224),)),)
    (target / "physmap_start.csv").unlink()
    (target / "record.csv").unlink()
    layout = "segment,va_start,va_end,pages,init_node,rate_hz_from_0ms\n"
    layout += "".join(f"s{a},{a},{a + 8192},2,0,0\n" for a in (8192, 32768, 77824, 122880))
    (target / "layout.csv").write_text(layout)
    scenario = read_recording(target).to_scenario(machine=Machine((Node(0, 0, MIB),)))
    assert scenario.contexts[0].targets[0].regions == ((8192, 40960), (77824, 86016), (122880, 131072))


def settings_of(folder, **by_ms):
    """Write settings that hold from times on, each with some words of the last ones replaced."""
    text = (folder / "damon_config.txt").read_text()
    for name, pairs in by_ms.items():
        edited = text
        for old, new in pairs:
            assert old in edited
            edited = edited.replace(old, new)
        (folder / f"damon_config_from_{name.removeprefix('at_')}ms.txt").write_text(edited)


def test_settings_that_were_changed_are_commits(copy):
    folder = copy(C3, "damon_config.txt", lambda text: text.replace("target_value 6000", "target_value 5000"))
    goal, cap = ("target_value 5000", "target_value 6000"), ("quotas/bytes 16777216", "quotas/bytes 4194304")
    settings_of(folder, at_0=[goal, cap], at_40193=[goal], at_80000=[])
    run = read_recording(folder)
    assert run.notes == ()
    scenario = run.to_scenario()
    assert [(c.at_us, c.context) for c in scenario.commits] == [(40_193_000, 0), (80_000_000, 0)]
    quotas = [c.schemes[0].quota for c in (scenario.contexts[0], *(c.to for c in scenario.commits))]
    assert [(q.goals[0].target_value, q.sz_bytes >> 20) for q in quotas] == [(6000, 4), (6000, 16), (5000, 16)]
    assert scenario.contexts[0].aggr_times_us, "attributes stay: aggregations end when they did"
    assert [now.contexts for _, now in scenario.stages()][-1][0].aggr_times_us == scenario.contexts[0].aggr_times_us
    # Numbers of regions leave intervals alone; with other intervals an end was not recorded as one of so many samples.
    settings_of(folder, at_80000=[("nr_regions/min 40", "nr_regions/min 100")])
    run = read_recording(folder)
    assert "differs from the settings from 80000 ms on" in run.notes[0]
    assert run.to_scenario().contexts[0].aggr_times_us == scenario.contexts[0].aggr_times_us
    assert run.to_scenario().commits[1].to.attrs.min_nr_regions == 100
    settings_of(folder, at_80000=[("intervals/sample_us 50000", "intervals/sample_us 100000")])
    assert not read_recording(folder).to_scenario().contexts[0].aggr_times_us


def test_commands_whose_effect_nobody_tells_are_asked_for(copy):
    folder = copy(C3, "damon_config.txt", lambda text: text + "\n")
    (folder / "events.csv").write_text('planned_ms,start_ms,done_ms,command\n40000,40005.1,40193.0,"sh /ev1.sh"\n')
    with pytest.raises(InputError, match=r"events\.csv: says that commands ran, .* write damon_config_from_0ms\.txt"):
        read_recording(folder).to_scenario()
    settings_of(folder, at_0=[])  # they changed nothing
    assert read_recording(folder).to_scenario().commits == ()
    (folder / "damon_config_from_0ms.txt").rename(folder / "damon_config_from_7ms.txt")
    with pytest.raises(InputError, match=r"from_0ms\.txt: settings are told from 7 ms on only"):
        read_recording(folder)


def test_a_recorded_machine_hands_frames_out_as_linux_does():
    assert read_recording(RECORDINGS / "C3_pullpush_temporal").to_scenario().machine.allocator == "buddy"
    recording = read_recording(RECORDINGS / E3)
    assert recording.to_scenario().machine.allocator == "buddy"
    huge = replace(recording, info={**(recording.info or {}), "thp": 1.0})
    assert huge.to_scenario().machine.allocator == "buddy"


K1, H2 = "K1_online_commit", "H2_vaddr_weights_vs_paddr_goal_stride31"


def test_a_line_tells_what_commands_changed(tmp_path):
    """K1 starts as E3, which lies beside it; both changes hold from when their command was done."""
    run = read_recording(RECORDINGS / K1)
    assert run.untold is None
    assert run.contexts == read_recording(RECORDINGS / E3).contexts
    assert [at_ms for at_ms, _ in run.changes] == [40_193, 80_174]
    stages = [run.contexts, *(contexts for _, contexts in run.changes)]
    schemes = [[s for s in contexts[0].schemes] for contexts in stages]
    assert [[s.quota.goals[0].target_value for s in two] for two in schemes] == [[6000, 4000], [3000, 7000], [3000, 7000]]
    assert [two[1].quota.sz_bytes // MIB for two in schemes] == [8, 8, 2]
    assert [two[0].quota.goal_tuner for two in schemes] == ["temporal", "temporal", "consist"]
    assert [two[0].access_pattern.min_nr_accesses for two in schemes] == [3, 3, 1]
    assert [contexts[0].attrs.min_nr_regions for contexts in stages] == [10, 10, 100]
    shutil.copytree(RECORDINGS / K1, tmp_path / K1)
    alone = read_recording(tmp_path / K1)
    with pytest.raises(InputError, match=r"events\.csv: says that commands ran, and no file says what they changed"):
        alone.to_scenario()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("at 40 s", "at 41 s", "tells of a command at 41 s, events.csv of one at 40 s"),
        ("targets 3000/7000", "targets 3000", "'targets 3000' does not name a target for each goal"),
        ("caps 2 MiB", "caps twice", "'caps twice' is no change that is understood"),
        ("caps 2 MiB", "caps 4 MiB", "its changes to the settings of E3 do not lead to those of damon_config.txt"),
    ],
)
def test_a_line_that_does_not_fit_is_refused(tmp_path, old, new, words):
    for name in (K1, E3):
        shutil.copytree(RECORDINGS / name, tmp_path / name)
    notes = tmp_path / K1 / "notes.txt"
    text = notes.read_text()
    assert old in text
    notes.write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_recording(tmp_path / K1)
    assert caught.value.where == f"{notes}:1"
    assert words in str(caught.value)


def test_several_kdamonds_have_tables_of_their_own(tmp_path):
    run = read_recording(RECORDINGS / H2)
    assert run.aggregated is run.resets is run.aggregation_times_us is None
    assert [context.ops for context in run.contexts] == ["vaddr", "paddr"]
    assert [run.of_kdamond(k).resets is None for k in (0, 1)] == [True, False]
    times = [run.of_kdamond(k).aggregation_times_us for k in (0, 1)]
    assert [t[:2].tolist() for t in times] == [[108_177, 240_168], [311_008, 460_419]]
    # What the recording was made to show: the paddr context's aggregations last 233 ms instead of 100.
    assert np.median(np.diff(times[1])) == pytest.approx(233_200, abs=100)
    assert [c.aggr_times_us for c in run.to_scenario().contexts] == [tuple(t.tolist()) for t in times]
    assert "start" not in run.of_kdamond(1).aggregated, "one row for each aggregation, without its regions"


def test_a_scheme_without_goals_has_no_score(copy):
    def drop_goals(text):
        lines = [line for line in text.split("\n") if "schemes/0/quotas/goals/0" not in line]
        return "\n".join(lines).replace("schemes/0/quotas/goals/nr_goals 1", "schemes/0/quotas/goals/nr_goals 0")

    target = copy(C3, "damon_config.txt", drop_goals)
    resets = target / "resets.csv"
    rows = [line.split(",") for line in resets.read_text().split("\n")]
    resets.write_text("\n".join(",".join([*r[:2], "", *r[3:]] if len(r) > 1 and r[1] == "0" else r) for r in rows))
    run = read_recording(target)
    assert run.contexts[0].schemes[0].quota.goals == ()
    assert run.resets["score"][:3].tolist() == [None, 25000, None]
