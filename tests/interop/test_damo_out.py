"""What is written for damo and for sysfs says the same when it is read back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from damo_cases import PATHS, context, scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tieringmodel as tm
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.damo.line import read_damo_line
from tieringmodel.interop.damo.write import damo_command, damo_line, damo_text
from tieringmodel.interop.sysfs.portable import portable
from tieringmodel.interop.sysfs.read import read_dump
from tieringmodel.interop.sysfs.write import sysfs_script, sysfs_writes


def told(*contexts: tm.Context):  # type: ignore[no-untyped-def]
    return portable(scenario(*contexts), memcg_paths=PATHS, pids=[[7] * len(c.targets) for c in contexts])


def renumbered(text: str, paths: tuple[str, ...]) -> dict[int, int]:
    """Ids follow the order of appearance; return old by new."""
    return {i: PATHS.index(p) + 1 for i, p in enumerate(paths, start=1)}


def with_ids(c: tm.Context, ids: dict[int, int]) -> tm.Context:
    schemes = tuple(
        s.replace(
            filters=tuple(f.replace(memcg_id=ids.get(f.memcg_id, 0)) for f in s.filters),
            quota=s.quota.replace(goals=tuple(g.replace(memcg_id=ids.get(g.memcg_id, 0)) for g in s.quota.goals)),
        )
        for s in c.schemes
    )
    return c.replace(schemes=schemes)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(context(), min_size=1, max_size=2))
def test_damo_json_and_back(contexts: list[tm.Context]) -> None:
    out = told(*contexts)
    dump = read_damo(json.loads(damo_text(out)))
    ids = renumbered("", dump.memcg_paths)
    assert tuple(with_ids(c, ids) for c in dump.contexts) == out.contexts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(context(), min_size=1, max_size=2))
def test_sysfs_writes_and_back(contexts: list[tm.Context]) -> None:
    out = told(*contexts)
    dump = read_dump("".join(f"{path} {value}\n" for path, value in sysfs_writes(out)))
    ids = renumbered("", dump.memcg_paths)
    assert tuple(with_ids(c, ids) for c in dump.contexts) == out.contexts


def run_script(text: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"DAMON_ADMIN": str(folder)} | variables
    return subprocess.run(["sh", "-s", "--", "--on"], input=text, env=env, capture_output=True, text=True, check=False)


def tree(folder: Path, out) -> None:  # type: ignore[no-untyped-def]
    for path, _ in sysfs_writes(out):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(c=context())
def test_the_script_run_by_a_shell_makes_the_same_tree(c: tm.Context, tmp_path_factory: pytest.TempPathFactory) -> None:
    out, folder = told(c), tmp_path_factory.mktemp("admin")
    tree(folder, out)
    done = run_script(sysfs_script(out), folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "kdamonds/0/state").read_text() == "on\n"
    dump = read_dump(folder)
    assert tuple(with_ids(x, renumbered("", dump.memcg_paths)) for x in dump.contexts) == out.contexts


def test_the_script_asks_for_what_it_does_not_know_and_stops_at_the_first_refusal(tmp_path: Path) -> None:
    c = tm.Context("vaddr", targets=(tm.Target(),), schemes=(tm.Scheme("stat", filters=(tm.Filter("memcg", memcg_id=1),)),))
    out = portable(scenario(c))
    assert "TARGET_PID_0_0:?" in sysfs_script(out)
    assert run_script(sysfs_script(out), tmp_path).returncode != 0
    done = run_script(sysfs_script(out), tmp_path, TARGET_PID_0_0="12", MEMCG_1="/x $(touch y)")
    assert "refused: kdamonds/nr_kdamonds" in done.stderr
    tree(tmp_path, out)
    done = run_script(sysfs_script(out), tmp_path, TARGET_PID_0_0="12", MEMCG_1="/x $(touch y)")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kdamonds/0/contexts/0/targets/0/pid_target").read_text() == "12\n"
    assert (tmp_path / "kdamonds/0/contexts/0/schemes/0/ops_filters/0/memcg_path").read_text() == "/x $(touch y)\n"


PULL = tm.Scheme(
    "migrate_hot", tm.AccessPattern(min_nr_accesses=7, min_age=3, max_age=50), 200_000, 0,
    tm.Quota(sz_bytes=1234567, ms=7, reset_interval_ms=500, goal_tuner="temporal", weights=tm.Weights(1, 2, 3),
             fail_charge_num=1, fail_charge_denom=4,
             goals=(tm.Goal("node_eligible_mem_bp", 4000), tm.Goal("node_mem_used_bp", 9970, nid=1))),
    tm.Watermarks("free_mem_rate", 5_000_000, 500, 400, 200), (tm.Filter("addr", True, True, 4096, 8192),),
)  # fmt: skip
PAGEOUT = tm.Scheme("pageout", tm.AccessPattern(4096, 1 << 21, 0, 0), filters=(tm.Filter("young", False),))
STAT = tm.Scheme("stat", quota=tm.Quota(reset_interval_ms=2**64 - 1, goals=(tm.Goal("user_input", 3, 1),)))
MEMCG = tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_memcg_used_bp", 5, nid=1, memcg_id=1),)))
PAIR = (tm.Target(((0, 1 << 30), (1 << 31, 3 << 30))),)
ATTRS = tm.Attrs(7_000, 100_000, 1_000_000, 20, 200, tm.IntervalsGoal(400, 3, 5_000, 10_000_000))


@pytest.mark.parametrize(
    "contexts",
    [
        (tm.Context(attrs=ATTRS, targets=PAIR, schemes=(PULL, PAGEOUT, STAT)),),
        (tm.Context(targets=PAIR, schemes=(PULL, STAT)), tm.Context(attrs=ATTRS, targets=PAIR, schemes=(MEMCG,))),
        (tm.Context(targets=PAIR),),
        (tm.Context("vaddr", targets=(tm.Target(),), schemes=(
            tm.Scheme("migrate_hot", dests=(tm.Dest(0, 3), tm.Dest(1, 2))), PAGEOUT)),),
        (tm.Context("fvaddr", targets=PAIR * 2),),
        (tm.Context(addr_unit=4096, min_region_sz=1, targets=(tm.Target(((0, 4096),)),)),),
    ],
)  # fmt: skip
def test_the_real_damo_translates_the_written_line_to_the_same_contexts(contexts: tuple[tm.Context, ...]) -> None:
    out = told(*contexts)
    dump = read_damo_line(damo_line(out), tm.Machine.dram_cxl("1 GiB", "1 GiB"))
    assert tuple(with_ids(c, renumbered("", dump.memcg_paths)) for c in dump.contexts) == out.contexts
    assert damo_command(out).count("--damos_action") == sum(len(c.schemes) for c in contexts)


def test_the_real_damo_reads_the_written_file_as_it_was_meant(tmp_path: Path) -> None:
    from tieringmodel.interop.damo.program import run_damo

    out = told(tm.Context(attrs=ATTRS, targets=PAIR, schemes=(PULL, PAGEOUT, STAT)))
    path = tmp_path / "damo.json"
    path.write_text(damo_text(out), encoding="utf-8")
    done = run_damo("args", "damon", "--format", "json", str(path), root=True)
    again = read_damo(json.loads(done.stdout)).contexts[0]
    # Sizes are shown with three decimals, which costs bytes; everything else is exact.
    sized = again.schemes[0].quota
    assert abs(sized.sz_bytes - 1234567) <= 2**20 // 1000
    mended = again.schemes[0].replace(quota=sized.replace(sz_bytes=1234567))
    assert again.replace(schemes=(mended, *again.schemes[1:])) == out.contexts[0]


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_sys_bp", 4000),))), "metric.*node_sys_bp"),
        (tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_mem_used_bp", 4000, clamp="v1"),))), "clamp"),
        (tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_mem_used_bp", 4000, early_exit="both"),))), "early_exit"),
        (tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_mem_used_bp", 4000, complement=True),))), "complement"),
        (tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_mem_used_bp", 4000, lag_cache=True),))), "lag_cache"),
        (tm.Scheme("stat", quota=tm.Quota(esz0="bypass")), "esz0"),
        (tm.Scheme("stat", quota=tm.Quota(esz_floor_min_region=True)), "esz_floor_min_region"),
        (tm.Scheme("migrate_hot", dests=(tm.Dest(0, 1),)), "paddr in Linux 7.3.4 ignores"),
        (tm.Scheme("migrate_hot", dests=(tm.Dest(0, 1),), dest_rule="iid"), "dest_rule"),
        (tm.Scheme("stat", enabled=False), "enabled"),
    ],
)
def test_what_mainline_lacks_is_refused_by_name(scheme: tm.Scheme, said: str) -> None:
    with pytest.raises(tm.InputError, match=said):
        portable(scenario(tm.Context(schemes=(scheme,))))


def test_every_refusal_is_listed_and_what_only_a_simulation_has_is_marked() -> None:
    bad = tm.Scheme("stat", quota=tm.Quota(esz0="bypass", goals=(tm.Goal("node_sys_bp", 4000, clamp="v1"),)))
    with pytest.raises(tm.InputError, match=r"2 more.*metric.*clamp"):
        portable(scenario(tm.Context(schemes=(bad,))))
    fine = tm.Scheme("stat", quota=tm.Quota(esz_bp0=5, goals=(tm.Goal("user_input", 3, current_values=((0, 1),)),)))
    event = tm.Event(5, "contexts.0.schemes.0.apply_interval_us", 200_000)
    sc = scenario(tm.Context(schemes=(fine,), rng_seed=3, aggr_times_us=(100_000, 200_000))).replace(events=(event,))
    out = portable(sc)
    for word in ("events", "rng_seed", "aggr_times_us", "esz_bp0", "current_values", "no range was given"):
        assert any(word in mark for mark in out.marks), word
        assert word in sysfs_script(out)
        assert word in damo_command(out)


@pytest.mark.parametrize(
    ("c", "said"),
    [
        (tm.Context(schemes=(tm.Scheme("stat", filters=(tm.Filter("anon"), tm.Filter("young"))),)), "one for each scheme"),
        (tm.Context(schemes=(tm.Scheme("stat", quota=tm.Quota(goals=(tm.Goal("node_eligible_mem_bp", 5, nid=1),))),)), "nid"),
        (tm.Context("vaddr", targets=(tm.Target(),)), "--pid"),
        (tm.Context(schemes=(MEMCG,)), "no path"),
    ],
)
def test_what_the_command_line_cannot_say_is_refused(c: tm.Context, said: str) -> None:
    with pytest.raises(tm.InputError, match=said):
        damo_line(portable(scenario(c)))
