"""Scripts of echo commands and parameters of modules are read, never run."""

from __future__ import annotations

from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.interop.convert import write_converted
from tieringmodel.interop.load import Loaded, open_scenario

SCRIPT = """#!/bin/bash
set -e
A=/sys/kernel/mm/damon/admin
cd $A
echo 1 > kdamonds/nr_kdamonds
K="${A}/kdamonds/0"   # the only one
echo 1 | sudo tee $K/contexts/nr_contexts > /dev/null
C=$K/contexts/0; echo paddr > $C/operations
echo 1 >$C/targets/nr_targets && echo 1 > $C/targets/0/regions/nr_regions
echo $((2 << 30)) > $C/targets/0/regions/0/end
echo 3 > $C/schemes/nr_schemes
echo 1 > $C/schemes/nr_schemes
set_pattern() {
    printf '%s\\n' "$2" > "$C/schemes/0/access_pattern/$1/max" || { echo "no: $1" >&2; exit 1; }
}
set_pattern sz 18446744073709551615
set_pattern age 4294967295
SZ=200
echo "pageout" > $C/schemes/0/action
echo $((SZ * 1024*1024)) > $C/schemes/0/quotas/bytes
echo 1000 > $C/schemes/0/quotas/reset_interval_ms
sudo sh -c "echo 50 > $C/schemes/0/access_pattern/age/min"
echo 1 > /proc/sys/vm/drop_caches
if [ "${1:-}" = --never ]; then echo off > $K/state; fi
echo on > $K/state
sleep 30
echo $((100 * 1024 * 1024)) > $C/schemes/0/quotas/bytes
echo commit > $K/state
sleep 10
echo off > $K/state
"""


def test_a_script_of_echo_commands(tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text(SCRIPT)
    loaded = open_scenario(tmp_path / "x.sh")
    (context,) = loaded.scenario.contexts
    (scheme,) = context.schemes
    assert context.targets == (tm.Target(((0, 2 << 30),)),)
    assert scheme.access_pattern == tm.AccessPattern(max_nr_accesses=0, min_age=50)
    assert (scheme.action, scheme.quota) == ("pageout", tm.Quota(sz_bytes="200 MiB", reset_interval_ms=1000))
    (commit,) = loaded.scenario.commits
    assert (commit.at_us, commit.to.schemes[0].quota.sz_bytes) == (30_000_000, 100 << 20)
    assert loaded.duration_s == 40.0
    assert any("drop_caches is left out" in note for note in loaded.notes)


def test_our_own_script_comes_back(tmp_path: Path) -> None:
    scenario = tm.load("rfc-40-60")
    write_converted(Loaded(scenario), tmp_path / "x.sh")
    (context,) = open_scenario(tmp_path / "x.sh", machine=scenario.machine).scenario.contexts
    assert (context.attrs, context.schemes) == (scenario.contexts[0].attrs, scenario.contexts[0].schemes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("for i in 0 1; do echo 1 > /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds; done", "x.sh:1: 'for' is no command"),
        ("echo 1 > $KD/damon/nr_kdamonds", "variable that is not set"),
        ("echo $X > /sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/addr_unit", "X is not set"),
        ("echo $((9**9)) > /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "is not understood"),
        ("f() {\nf damon\n}\nf\necho 1 > damon", "calls itself"),
        ("echo nr_schemes", "writes none of DAMON's files"),
        ("if [ -d /sys/kernel/mm/damon ]; then\necho 1 > damon\nfi", "x.sh:1: is a condition"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.sh").write_text(f"{text}\n")
    with pytest.raises(tm.InputError, match=said):
        open_scenario(tmp_path / "x.sh")


def test_modules_on_a_boot_line_in_a_folder_and_in_a_script(tmp_path: Path) -> None:
    machine = tm.Machine.dram_cxl("1 GiB", "2 GiB")
    loaded = open_scenario(
        "quiet damon_reclaim.enabled=Y damon_reclaim.min_age=30000000 damon_reclaim.skip_anon=1", machine=machine
    )
    (scheme,) = loaded.scenario.contexts[0].schemes
    assert scheme.access_pattern == tm.AccessPattern(min_sz_bytes=4096, max_nr_accesses=0, min_age=300)
    assert (scheme.quota.ms, scheme.quota.sz_bytes, scheme.filters) == (10, 128 << 20, (tm.Filter("anon"),))
    folder = tmp_path / "damon_reclaim" / "parameters"
    folder.mkdir(parents=True)
    for name, value in (("enabled", "Y"), ("min_age", "30000000"), ("skip_anon", "Y"), ("kdamond_pid", "-1")):
        (folder / name).write_text(f"{value}\n")
    for place in (tmp_path, folder.parent, folder):
        assert open_scenario(place, machine=machine).scenario.contexts == loaded.scenario.contexts
    writes = "".join(
        f"echo {p.read_text().strip()} > /sys/module/damon_reclaim/parameters/{p.name}\n" for p in folder.iterdir()
    )
    (tmp_path / "x.sh").write_text(writes)
    assert open_scenario(tmp_path / "x.sh", machine=machine).scenario.contexts == loaded.scenario.contexts
    hot, cold = (
        open_scenario("damon_lru_sort.active_mem_bp=6000 damon_lru_sort.filter_young_pages=Y").scenario.contexts[0].schemes
    )
    assert (hot.action, hot.access_pattern.min_nr_accesses, hot.quota.ms) == ("lru_prio", 10, 5)
    assert [s.quota.goals[0].target_value for s in (hot, cold)] == [6000, 4002]
    up, down = open_scenario("mtier.enabled=Y", machine=machine).scenario.contexts
    assert [c.targets[0].regions for c in (up, down)] == [((1 << 30, 3 << 30),), ((0, 1 << 30),)]
    with pytest.raises(tm.InputError, match="no parameter 'min_aeg'; did you mean 'min_age'"):
        open_scenario("damon_reclaim.min_aeg=3")
