"""Comparisons on older kernels: what the kernel cannot run says what it lacks, and the others run on that kernel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small import HOT, MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.comparison.policies import Policy, policies
from tieringmodel.plot.files import drawn
from tieringmodel.plot.reading import ran, verdict
from tieringmodel.reports.text_of_comparison import text_of_comparison
from tieringmodel.scenario.features import Used
from tieringmodel.scenario.linux import NAMES
from tieringmodel.verdicts.row import NOT_IN_KERNEL


def consist(kernel: str) -> tm.Scenario:
    """A pull and a push that every kernel runs: the merged metric as the RFC's fourth version, CONSIST."""
    goals = [tm.Goal("node_eligible_mem_bp:v4", bp, nid=nid) for nid, bp in ((0, 6000), (1, 4000))]
    quotas = [tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(goal,)) for goal in goals]
    schemes = [tm.Scheme("migrate_hot", HOT, target_nid=g.nid, quota=q) for g, q in zip(goals, quotas, strict=True)]
    return scenario(*schemes, name="consist").replace(kernel=kernel)


LACKS = {
    "goal: gap and small quota": ("temporal", "7.1"),
    "weights: vma_offset": ("dests", "6.17"),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_policy_runs_on_the_scenarios_kernel_or_says_what_it_lacks(name: str) -> None:
    kernel = tm.Kernel(name)
    made = policies(consist(name))
    for policy, one in made.items():
        lacks = LACKS.get(policy)
        if lacks and not kernel.has(lacks[1]):
            assert one.missing is not None
            assert (one.missing.feature, one.missing.since) == lacks
        else:
            assert one.missing is None
            assert one.scenario.kernel == kernel
    assert [*made] == [*policies(consist("7.3.4"))]


def test_policies_of_the_default_kernel_are_what_they_were() -> None:
    for one in policies(scenario(pull(), push())).values():
        assert one.missing is None
        assert one.scenario.kernel == tm.Kernel()


@pytest.fixture(scope="module")
def compared() -> xr.Dataset:
    return tm.compare(policies(consist("6.12")), duration="3 s", seed=1)


def test_the_row_of_what_is_not_run_says_so(compared: xr.Dataset) -> None:
    assert compared.attrs["kernel"] == "6.12.117"
    for policy, (feature, since) in LACKS.items():
        row = compared.sel(policy=policy)
        assert str(row["kind"].values) == NOT_IN_KERNEL
        assert str(row["cause"].values) == f"not in this kernel, first in {since}: {feature}"
        assert not row["settled"]
        for name in ("share_bp", "migrated_mib_s", "settling_s", "share_error_bp", "residual_mib_s", "ping_pong"):
            assert np.isnan(row[name].values).all(), name
    others = compared.isel(policy=ran(compared))
    assert others.sizes["policy"] == compared.sizes["policy"] - len(LACKS)
    assert np.isfinite(others["share_error_bp"].values).all()


def test_tables_pages_and_figures_show_it(compared: xr.Dataset, tmp_path: Path) -> None:
    from tieringmodel.reports import write_report

    text = text_of_comparison(compared.assign_attrs(name="consist"))
    assert text.count("not run") == len(LACKS)
    folded = " ".join(text.split())
    assert "not in this kernel, first in 7.1: temporal" in folded
    assert "not in this kernel, first in 6.17: dests" in folded
    page = write_report([compared], tmp_path / "r.html", command="x", figures=tmp_path).read_text(encoding="utf-8")
    assert "<h3>Not run</h3>" in page
    assert "<b>weights: vma_offset</b> not in this kernel, first in 6.17: dests." in page
    assert page.count("<td>not run</td>") == len(LACKS)
    judged = [p for p in compared["policy"].values if str(p).startswith(("goal", "weights"))]
    assert f"of {len(judged) - len(LACKS)} policies" in verdict(compared)
    assert "share" in drawn(compared)
    axes = tm.plot.share(compared)
    assert not {line.get_label() for line in axes.get_lines()} & {*LACKS}


def test_nothing_that_can_run_is_one_sentence() -> None:
    lacks = Used("contexts[0].schemes[0].dests", "dests", "6.17")
    with pytest.raises(tm.InputError, match="scenarios: hold nothing that the kernel can run"):
        tm.compare({"a": Policy(consist("7.2"), missing=lacks)}, duration="1 s")


def test_the_command_prints_and_stores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("consist.toml").write_text(consist("6.12").to_toml())
    assert cli.main(["compare", "consist.toml", "--duration", "2 s", "--seeds", "2", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["scenarios"]
    rows = {row["policy"]: row for row in told["rows"]}
    assert [name for name, row in rows.items() if row["kind"] == NOT_IN_KERNEL] == [*LACKS]
    assert rows["weights: vma_offset"]["cause"] == "not in this kernel, first in 6.17: dests"
    assert told["seeds"]["weights: vma_offset"] == {"1": NOT_IN_KERNEL, "2": NOT_IN_KERNEL}


def test_goals_that_the_kernel_cannot_run_leave_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scenario's own policy is one of many: the row says from which release on it runs, the others run on the kernel."""
    monkeypatch.chdir(tmp_path)
    temporal = scenario(pull(), push(), name="temporal").to_toml()
    own = "goal: node_eligible_mem_bp temporal"
    Path("told.toml").write_text(temporal)
    Path("own.toml").write_text('kernel = "6.18"\n' + temporal)
    for given in (["told.toml", "--kernel", "6.18"], ["own.toml"]):
        assert cli.main(["compare", *given, "--duration", "1 s", "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)["scenarios"]
        rows = {row["policy"]: row for row in told["rows"]}
        assert rows[own]["cause"] == "not in this kernel, first in 7.2: node_eligible_mem_bp"
        assert rows["weights: vma_offset"]["kind"] != NOT_IN_KERNEL
        assert rows["all-slow"]["share_error_bp"] == -told["target_bp"]
    assert cli.main(["run", "own.toml", "--duration", "1 s"]) == 2
    assert "not in Linux 6.18.35" in capsys.readouterr().err


def test_policies_can_be_asked_for_another_kernel() -> None:
    made = policies(scenario(pull(), push()), kernel="6.18")
    assert {one.scenario.kernel.release for one in made.values() if not one.missing} == {"6.18.35"}
    assert {one.missing.since for one in made.values() if one.missing} == {"7.2"}
