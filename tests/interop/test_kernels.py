"""Which kernel a foreign source is of: /proc/version in and beside dumps and recordings, and what --kernel replaces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small import pull, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.damo.write import damo_json
from tieringmodel.interop.load import open_scenario
from tieringmodel.interop.proc_version import kernel_of
from tieringmodel.interop.sysfs.portable import portable
from tieringmodel.interop.sysfs.read import read_dump
from tieringmodel.interop.sysfs.write import sysfs_script, sysfs_writes
from tieringmodel.scenario.linux import NAMES

DEBIAN = (
    "Linux version {} (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-14) #1 SMP PREEMPT_DYNAMIC Debian (2026-10-01)\n"
)
OLD = "operations paddr\ntargets/0/regions/0/start 0\ntargets/0/regions/0/end 0x40000000\nschemes/0/action migrate_hot\n"
TEMPORAL = OLD + "schemes/0/quotas/goal_tuner temporal\n"
RECORDED = tm.data_path("recordings", "C3_pullpush_temporal")


def tree(root: Path, text: str = OLD) -> Path:
    """A copy of sysfs as `cp -r --parents` makes it; its directory."""
    admin = root / "sys" / "kernel" / "mm" / "damon" / "admin"
    for line in text.splitlines():
        path, _, value = line.partition(" ")
        file = admin / "kdamonds" / "0" / "contexts" / "0" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
    return admin


def says(folder: Path, release: str, name: str = "proc/version") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(DEBIAN.format(release))


# ---- what a text names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "kernel", "note"),
    [
        ("6.12.117+deb13-amd64", "6.12.117", ""),
        ("7.3.4+deb13-cloud-amd64", "7.3.4", ""),
        ("6.18.35", "6.18.35", ""),
        (
            "6.18.31.1-1.azl3",
            "6.18.35",
            "v: Linux 6.18.31 has no record: the rules of 6.18.35, the nearest of its line, are used",
        ),
        ("6.18.40", "6.18.35", "are used; what it took later is not known"),
        (
            "6.12.115-rt",
            "6.12.117",
            "the rules of 6.12.117 are used, which took since then charge_filtered_sz (6.12.117), refuse",
        ),
        ("7.2.6+deb13-amd64", "7.2.12", "took since then skip_only_charged (7.2.9), time_quota_zero_esz (7.2.9), adjust"),
        ("6.17.0-5-generic", "6.17", "v: Linux 6.17.0 has no record: mainline rules of 6.17 are used, no vectors"),
        ("7.0", "7.0", "v: Linux 7.0 has no record: mainline rules of 7.0 are used, no vectors"),
        ("7.3", "7.3.4", ""),
        ("7.3.0", "7.3.4", "took since then charge_filtered_sz (7.3.4), folio_end (7.3.4)"),
    ],
)
def test_the_nearest_record_of_a_line_stands_for_a_release(release: str, kernel: str, note: str) -> None:
    for text in (DEBIAN.format(release), release + "\n"):
        found, notes = kernel_of(text, "v")
        assert found.release == tm.Kernel(kernel).release
        assert len(notes) == bool(note)
        assert not note or note in notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DEBIAN.format("5.15.0-25-generic"), "v: Linux 5.15.0 is not modelled, nor .* its line; .*--kernel NAME, one of 6.12"),
        (DEBIAN.format("7.4.0-rc2"), r"v: Linux 7.4.0 is not modelled.* next\W*$"),
        ("Darwin Kernel Version 23", "v: 'Darwin Kernel Version 23' names no kernel; .*give --kernel"),
        ("", "v: '' names no kernel"),
        ("6.", "names no kernel"),
        ("6.123456.1", "names no kernel"),
    ],
)
def test_a_kernel_that_is_not_modelled_is_refused_with_what_to_give(text: str, said: str) -> None:
    with pytest.raises(tm.InputError, match=said):
        kernel_of(text, "v")


# ---- dumps ------------------------------------------------------------------------------------------------------------


def test_a_dump_has_the_kernel_that_lies_in_it_or_beside_it(tmp_path: Path) -> None:
    admin = tree(tmp_path / "machine")
    assert open_scenario(admin).scenario.kernel == tm.Kernel()
    says(tmp_path / "machine", "6.12.117+deb13-amd64")
    for source in (tmp_path / "machine", admin):
        assert read_dump(source).kernel == tm.Kernel("6.12.117")
        assert open_scenario(source).scenario.kernel == tm.Kernel("6.12.117")
    loose = tmp_path / "loose" / "0"
    shutil.copytree(admin / "kdamonds" / "0" / "contexts" / "0", loose)
    says(tmp_path / "loose", "6.18.31", "version")
    loaded = open_scenario(loose)
    assert loaded.scenario.kernel == tm.Kernel("6.18.35")
    assert any("Linux 6.18.31 has no record" in note for note in loaded.notes)
    says(loose, "6.18.35", "version.txt")
    assert open_scenario(loose).scenario.kernel == tm.Kernel("6.18.35")


@pytest.mark.parametrize("line", ["/proc/version {}", "/proc/version:{}", "./proc/version {}", "version {}"])
def test_a_dump_as_text_has_a_line_or_a_file_beside_it(tmp_path: Path, line: str) -> None:
    file = tmp_path / "dump.txt"
    file.write_text(OLD + line.format(DEBIAN.format("6.12.117+deb13-amd64")))
    assert read_dump(file.read_text()).kernel == read_dump(file).kernel == tm.Kernel("6.12.117")
    file.write_text(OLD)
    assert read_dump(file).kernel is None
    says(tmp_path, "6.18.35", "version")
    assert open_scenario(file).scenario.kernel == tm.Kernel("6.18.35")
    (tmp_path / "version").write_text("1.2.3\n")  # somebody's, not a kernel's
    assert read_dump(file).kernel is None


def test_the_machine_that_reads_is_not_taken_for_the_one_that_was_dumped() -> None:
    from tieringmodel.interop.proc_version import _around

    assert _around(Path("/dump.txt")) is None
    assert _around(Path("/dump")) is None
    assert _around(Path("/sys/kernel/mm/damon/admin")) == Path("/")
    assert _around(Path("/a/sys/kernel/mm/damon/admin")) == Path("/a")
    assert _around(Path("/a/b")) == Path("/a")


def test_links_that_lead_out_of_a_dump_are_not_followed(tmp_path: Path) -> None:
    admin = tree(tmp_path / "machine")
    says(tmp_path, "6.12.117", "elsewhere")
    (admin / "version").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(tm.InputError, match="leads out of"):
        read_dump(admin)
    assert read_dump(admin, allow_files=True).kernel == tm.Kernel("6.12.117")


def test_what_the_dumped_kernel_lacks_is_refused_and_a_given_kernel_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "dump.txt"
    file.write_text(TEMPORAL + "/proc/version " + DEBIAN.format("6.18.35"))
    with pytest.raises(tm.InputError, match=r"goal_tuner: temporal is not in Linux 6\.18\.35; take 7\.1 or later"):
        open_scenario(file)
    assert open_scenario(file, kernel="7.2").scenario.kernel == tm.Kernel("7.2")
    file.write_text(OLD + "/proc/version " + DEBIAN.format("5.10.0"))
    with pytest.raises(tm.InputError, match=r"dump\.txt:\d+: Linux 5\.10\.0 is not modelled"):
        open_scenario(file)
    assert open_scenario(file, kernel="6.12").scenario.kernel == tm.Kernel("6.12")


# ---- recordings -------------------------------------------------------------------------------------------------------


def test_a_recording_states_its_kernel_or_has_the_default(tmp_path: Path) -> None:
    run = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    assert tm.read_recording(run).kernel is None
    assert tm.load(run).kernel == tm.Kernel()
    says(run, "7.2.12+deb13-amd64", "version")
    recording = tm.read_recording(run)
    assert recording.kernel == recording.to_scenario().kernel == tm.load(run).kernel == tm.Kernel("7.2.12")
    assert recording.to_scenario(kernel=tm.Kernel("7.3")).kernel == tm.load(run, kernel="7.3").kernel == tm.Kernel("7.3")
    says(run, "6.18.40", "version")
    recording = tm.read_recording(run)
    assert sum("has no record" in note for note in recording.notes) == 1
    with pytest.raises(tm.InputError, match=r"temporal is not in Linux 6\.18\.35"):
        recording.to_scenario()


# ---- everything else --------------------------------------------------------------------------------------------------


def test_a_kernel_that_is_given_replaces_every_sources_own(tmp_path: Path) -> None:
    sc = scenario(pull()).replace(kernel="7.2")
    plain = scenario(tm.Scheme("stat")).replace(kernel="6.12")
    ds = tm.simulate(plain, duration="1 s")
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    (tmp_path / "s.toml").write_text(sc.to_toml())
    (tmp_path / "s.json").write_text(sc.to_json())
    (tmp_path / "d.json").write_text(json.dumps({"kdamonds": [{"contexts": [{"ops": "paddr", "targets": [{"regions": []}]}]}]}))
    (tmp_path / "l.damo").write_text("damo start --damos_action migrate_hot 0\n")
    for name, own in (("s.toml", "7.2"), ("s.json", "7.2"), ("run.nc", "6.12"), ("d.json", "7.3.4"), ("l.damo", "7.3.4")):
        assert open_scenario(tmp_path / name).scenario.kernel == tm.Kernel(own)
        for given in ("7.3", tm.Kernel("next"), "7.2, thisnode on"):
            want = tm.Kernel.from_text(given) if isinstance(given, str) else given
            assert open_scenario(tmp_path / name, kernel=given).scenario.kernel == want
    with pytest.raises(tm.InputError, match=r"kernel: '6\.6' is older than 6\.12"):
        tm.load(tmp_path / "s.toml", kernel="6.6")
    with pytest.raises(tm.InputError, match="kernel: float is not a kernel's name"):
        tm.load(tmp_path / "s.toml", kernel=6.18)  # type: ignore[arg-type]


def test_a_scenario_that_its_own_kernel_refuses_is_read_for_another(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('kernel = "6.18"\n' + scenario(pull()).to_toml())
    with pytest.raises(tm.InputError, match=r"s\.toml: contexts\[0\]\.schemes\[0\]\.quota\.goal_tuner: temporal is not in"):
        tm.load(tmp_path / "s.toml")
    assert tm.load(tmp_path / "s.toml", kernel="7.2").kernel == tm.Kernel("7.2")


def test_a_damo_line_with_what_the_kernel_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    line = "damo start --damos_action migrate_hot 0 --damos_quota_goal node_mem_used_bp 90% 0 --damos_quota_interval 1s".split()
    assert cli.main(["lint", "--kernel", "6.12", "--", *line]) == 2
    said = capsys.readouterr().err
    assert "node_mem_used_bp is not in Linux 6.12.117; take 6.16 or later, or another metric" in said
    assert cli.main(["lint", "--kernel", "6.18", "--", *line]) in (0, 1)


def test_metrics_of_later_trees_are_read_for_the_kernel_that_has_them(tmp_path: Path) -> None:
    text = OLD + "schemes/0/quotas/goals/0/target_metric hugepage_mem_bp\nschemes/0/quotas/goals/0/target_value 4000\n"
    (tmp_path / "dump.txt").write_text(text)
    with pytest.raises(tm.InputError, match=r"hugepage_mem_bp is not in Linux 7\.3\.4; take 'next', or another metric"):
        open_scenario(tmp_path / "dump.txt")
    loaded = open_scenario(tmp_path / "dump.txt", kernel="next")
    assert loaded.scenario.contexts[0].schemes[0].quota.goals[0].metric == "hugepage_mem_bp"


# ---- what a kernel can be told ----------------------------------------------------------------------------------------

PLAIN = tm.Context(
    targets=(tm.Target(((0, 1 << 30),)),),
    schemes=(
        tm.Scheme("pageout", quota=tm.Quota(sz_bytes=4096), filters=(tm.Filter("young"), tm.Filter("addr", end_bytes=4096))),
    ),
)


def writes(sc: tm.Scenario) -> list[tuple[str, str]]:
    return sysfs_writes(portable(sc))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_writes_the_files_that_its_kernel_has(name: str) -> None:
    kernel, sc = tm.Kernel(name), scenario(contexts=(PLAIN,)).replace(kernel=name)
    paths = {path.partition("/contexts/0/")[2] for path, _ in writes(sc)}
    for path, since in {
        "addr_unit": "6.18",
        "monitoring_attrs/intervals/intervals_goal/aggrs": "6.15",
        "schemes/0/quotas/goal_tuner": "7.1",
        "schemes/0/quotas/fail_charge_num": "7.2",
        "schemes/0/core_filters/nr_filters": "6.15",
        "schemes/0/ops_filters/0/type": "6.15",
        "schemes/0/dests/nr_dests": "6.17",
        "schemes/0/stats/max_nr_snapshots": "7.0",
    }.items():
        assert (path in paths) == kernel.has(since), path
    assert ("schemes/0/filters/1/type" in paths) == (not kernel.has("6.15"))
    assert ("schemes/0/filters/1/allow" in paths) == (name == "6.14")
    assert f", for Linux {kernel.release} or later." in sysfs_script(portable(sc))
    back = read_dump("".join(f"{path} {value}\n" for path, value in writes(sc)))
    assert back.contexts == portable(sc).contexts or not kernel.has("6.15")
    assert {f for s in back.context.schemes for f in s.filters} == {*PLAIN.schemes[0].filters}


def test_what_is_the_kernels_own_rule_can_be_told_and_another_cannot() -> None:
    def with_rules(kernel: str, moving_sum: str, esz0: str) -> tm.Scenario:
        scheme = tm.Scheme("stat", quota=tm.Quota(sz_bytes=4096, esz0=esz0))
        return scenario(contexts=(tm.Context(schemes=(scheme,), moving_sum=moving_sum),)).replace(kernel=kernel)

    for kernel, moving_sum, esz0 in (("7.3", "on_demand", "stop"), ("6.18", "stored", "bypass"), ("7.2", "stored", "")):
        assert portable(with_rules(kernel, moving_sum, esz0)).kernel == tm.Kernel(kernel)
    for kernel, moving_sum, esz0, said in (
        ("7.3", "stored", "", r"contexts\[0\]\.moving_sum: 'stored' is not in Linux 7\.3\.4"),
        ("7.2", "on_demand", "", r"moving_sum: 'on_demand' is not in Linux 7\.2\.12"),
        ("6.18", "", "stop", r"quota\.esz0: 'stop' is not in Linux 6\.18\.35"),
        ("7.3", "", "bypass", r"quota\.esz0: 'bypass' is not in Linux 7\.3\.4"),
    ):
        with pytest.raises(tm.InputError, match=said):
            portable(with_rules(kernel, moving_sum, esz0))


def test_commits_and_switches_are_marked() -> None:
    sc = scenario(contexts=(PLAIN,)).replace(kernel=tm.Kernel("6.18", thisnode=True))
    marks = portable(sc.replace(commits=(tm.Commit("1 s", 0, PLAIN),))).marks
    assert "kernel: thisnode on is left out, which no Linux 6.18.35 can be told" in marks
    assert "commits: 1 timed changes are left out" in marks


def test_complemented_goals_can_be_told_to_later_trees() -> None:
    quota = tm.Quota(sz_bytes=4096, goals=(tm.Goal("node_mem_used_bp", 4000, complement=True),))
    sc = scenario(contexts=(tm.Context(schemes=(tm.Scheme("stat", quota=quota),)),))
    with pytest.raises(tm.InputError, match=r"complement: True is not in Linux 7\.3\.4"):
        portable(sc)
    later = sc.replace(kernel="next")
    assert ("kdamonds/0/contexts/0/schemes/0/quotas/goals/0/complement", "Y") in writes(later)
    back = read_damo(damo_json(portable(later))).contexts
    assert back[0].schemes[0].quota.goals[0].complement
