"""The interface of lint: order, text, own rules, events; and what it says about the scenarios that ship."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest
import said
from hypothesis import given, settings
from hypothesis import strategies as st
from lint_cases import MIB, PAGES, codes, eligible, found, machine, move, one, quota, scenario, used, workload

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.linting import LEVELS, RULES, Finding, format_findings, lint, rule
from tieringmodel.linting.wording import duration
from tieringmodel.scenario import (
    ACTIONS,
    CLAMPS,
    CORE_FILTERS,
    DEST_RULES,
    EARLY_EXITS,
    OPS_FILTERS,
    AccessPattern,
    Attrs,
    Context,
    Dest,
    Event,
    Filter,
    Goal,
    IntervalsGoal,
    Quota,
    Scenario,
    Scheme,
    Target,
    Vma,
    Watermarks,
    Weights,
)
from tieringmodel.scenario.metrics import SHIPPED, Unregistered


def value_at(sc: Scenario, path: str) -> object:
    """Return what a path of a finding leads to."""
    value: object = sc
    for name, index in re.findall(r"([a-z_0-9]+)|\[(\d+)\]", path):
        value = getattr(value, name) if name else value[int(index)]  # type: ignore[index]
    return value


def test_findings_come_by_level_then_path_then_code():
    wrong = move(0, quota(used(9000), sz=1, reset_interval_ms=0), access_pattern=AccessPattern(max_sz_bytes=0))
    sc = scenario(*[wrong] * 11)
    findings = lint(sc)
    assert [LEVELS.index(f.level) for f in findings] == sorted(LEVELS.index(f.level) for f in findings)
    errors = [f.path for f in findings if f.level == "error"]
    assert errors[:3] == [
        "contexts[0].schemes[0].access_pattern.max_sz_bytes",
        "contexts[0].schemes[0].quota.reset_interval_ms",
        "contexts[0].schemes[0].quota.sz_bytes",
    ]
    order = [int(re.search(r"schemes\[(\d+)\]", p)[1]) for p in errors]  # type: ignore[index]
    assert order == sorted(order)
    assert order[-1] == 10
    assert lint(sc) == findings


def test_a_finding_checks_itself_and_is_frozen():
    f = Finding("some-code", "info", "contexts[0]", "says something", "set x = 1")
    assert str(f) == "info: contexts[0]: says something; set x = 1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        f.level = "error"  # type: ignore[misc]
    with pytest.raises(InputError, match="level: 'fatal' is unknown"):
        Finding("some-code", "fatal", "x", "y")
    with pytest.raises(InputError, match="code: 'Some Code' is not made of words"):
        Finding("Some Code", "info", "x", "y")


def test_text_for_the_terminal():
    assert format_findings([]) == "nothing to report"
    many = [Finding("a-code", "error", "p[0].q", "word " * 30, "set q = 1"), Finding("b", "info", "p", "note")]
    lines = format_findings([*many, many[0]], width=60).splitlines()
    assert lines[0] == "error: p[0].q [a-code]"
    assert max(map(len, lines)) <= 60
    assert "    fix: set q = 1" in lines
    assert lines[-1] == "2 errors, 1 info"
    with pytest.raises(InputError, match="width: 39 leaves no room"):
        format_findings(many, width=39)


def test_only_scenarios_can_be_judged():
    with pytest.raises(InputError, match="scenario: str is not a Scenario"):
        lint("rfc-40-60")  # type: ignore[arg-type]
    assert lint(Scenario(machine(), workload())) == []


def test_rules_of_ones_own():
    def named(sc: Scenario):
        if not sc.name:
            yield Finding("no-name", "info", "name", "the scenario has no name", "give it one")

    sc = scenario()
    assert [f.code for f in lint(sc, rules=[named])] == ["no-name"]
    assert lint(sc.replace(name="x"), rules=[named]) == []
    before = dict(RULES)
    try:
        assert rule(named) is named
        assert "no-name" in codes(sc)
    finally:
        RULES.clear()
        RULES.update(before)
    assert "no-name" not in codes(sc)
    with pytest.raises(InputError, match="is not callable"):
        rule(3)  # type: ignore[arg-type]


def test_every_rule_says_in_one_line_what_it_is_about():
    assert len(RULES) >= 25
    for function in RULES.values():
        assert function.__doc__
        assert "\n" not in function.__doc__


def test_events_are_judged_from_their_time_on():
    sc = scenario(move(0, quota(eligible(0, 6000))), move(1, quota(eligible(1, 3500)), enabled=False))
    assert "targets-overlap" not in codes(sc)
    on = Event(20_000_000, "contexts.0.schemes.1.enabled", True)
    higher = Event(60_000_000, "contexts.0.schemes.1.quota.goals.0.target_value", 5000)
    assert "dead-band" not in codes(sc)
    assert one(sc.replace(events=(on,)), "dead-band").message.startswith("from 20 s on: ")
    finding = one(sc.replace(events=(on, higher)), "targets-overlap")
    assert finding.message.startswith("from 60 s on: goals of 6000 bp on node 0 and 5000 bp on node 1")
    # What was said about the start is not said again.
    constant = scenario(
        move(0, quota(eligible(0, 6000), sz=0)),
        events=(higher.replace(path="contexts.0.schemes.0.apply_interval_us", value=2_000_000),),
    )
    assert len(found(constant, "no-cap")) == 1


def test_what_events_end_is_said_with_its_end():
    sc = scenario(move(0, quota(eligible(0, 6000))), move(1, quota(eligible(1, 4000))))
    path = "contexts.0.schemes.1.quota.goals.0.target_value"
    calm, tight = Event(40_000_000, path, 3000), Event(60_000_000, path, 3950)
    events = sc.replace(events=(calm, tight, Event(90_000_000, path, 3000)))
    assert one(events, "targets-no-gap").message.startswith("until 40 s: goals of 6000 bp")
    assert one(events, "gap-below-step").message.startswith("from 60 s until 90 s: goals of 6000 bp")
    assert one(events, "dead-band").message.startswith("from 40 s until 60 s: ")
    assert one(sc, "targets-no-gap").message.startswith("goals of")


def test_schemes_that_are_not_enabled_are_not_judged():
    wrong = move(0, quota(eligible(0, 6000), sz=1))
    assert "quota-below-region" in codes(scenario(wrong))
    assert lint(scenario(wrong.replace(enabled=False))) == []


# ---- what ships ---------------------------------------------------------------------------------------------------


def summary(name: str) -> dict[str, tuple[str, str]]:
    """Return level and message by code and scheme."""
    out = {}
    for f in lint(tm.load(name)):
        scheme = re.search(r"schemes\[(\d)\]", f.path)
        out[f"{f.code}:{scheme[1] if scheme else ''}"] = (f.level, f.message)
    return out


def test_the_rfc_example_never_rests():
    assert {k: v[0] for k, v in summary("rfc-40-60").items()} == {"targets-no-gap:1": "warning"}


def test_the_recorded_pair_never_rests():
    for name, step, mib in (
        ("C3_pullpush_temporal", "1001 bp of the 159.8 MiB", 12),
        ("C8_pullpush_temporal_q2M", "209 bp of the 95.9 MiB", 1.6),
    ):
        findings = summary(name)
        assert set(findings) == {"targets-no-gap:1"}
        level, message = findings["targets-no-gap:1"]
        assert level == "warning"
        assert step in message
        assert float(re.search(r"\(([\d.]+) MiB/s\)", message)[1]) == pytest.approx(mib, rel=0.02)  # type: ignore[index]


def test_the_recorded_tiering_with_an_on_off_tuner_exchanges_pages_in_its_band():
    findings = summary("C1_tier_temporal")
    assert {k: v[0] for k, v in findings.items()} == {"used-free-overlap:1": "info", "failed-charges:1": "info"}
    assert "used is between 7900 and 8000 bp" in findings["used-free-overlap:1"][1]


def test_the_recorded_slow_start_is_foreseen():
    findings = summary("C2_tier_consist")
    level, message = findings["first-move:0"]
    assert level == "warning"
    evaluation, score = (int(re.search(p, message)[1]) for p in (r"at the (\d+)\w\w evaluation, after 458", r"score is (\d+)"))  # type: ignore[index]
    # Recorded: 9778 at the first evaluation, and nothing moved in 200 s.
    assert score == pytest.approx(9778, abs=10)
    assert evaluation > 300
    assert findings["first-move:1"][0] == "info"
    assert "achieved, nothing moves" in findings["first-move:1"][1]


def test_the_recorded_overshoot_is_foreseen():
    recording = tm.read_recording(tm.data_path("recordings") / "C10_tier_consist_farstart")
    findings = summary("C10_tier_consist_farstart")
    resets = recording.resets
    assert resets is not None
    mine = resets["scheme"] == 0
    esz, score, t_s = (resets[n][mine] for n in ("esz", "score", "t_ms"))
    t_s = t_s / 1000
    said = re.search(r"score is (\d+) .* at the (\d+)th evaluation, after ([\d.]+) s", findings["first-move:0"][1])
    assert said
    assert int(said[1]) == pytest.approx(int(score[0]), abs=10)
    first = int((esz >= 4096).argmax())
    assert int(said[2]) == first + 1
    assert float(said[3]) == pytest.approx(t_s[first], rel=0.1)  # intervals are recorded ones, applications last a while
    told = re.search(r"\(([\d.]+) s\) with a state of .* ends at (\d+) bp", findings["windup-under-cap:0"][1])
    assert told
    crossing = int((score >= 10_000).argmax())
    assert float(told[1]) == pytest.approx(t_s[crossing], rel=0.05)
    # The model leaves out the demoting scheme; MemFree lags by what waits in per-CPU lists.
    assert int(told[2]) == pytest.approx(score.max() * 3500 / 10_000, abs=60)


@pytest.mark.parametrize("name", ["B2_paddr", "B4_intervals_autotune", "C5_tier_temporal_shift", "D1_dests_3_2_noquota"])
def test_the_other_recordings_have_no_errors(name):
    found = [f.code for f in lint(tm.load(name)) if f.level != "info"]
    assert found == (["tick-over-sample"] if name == "B4_intervals_autotune" else [])


# ---- any scenario -------------------------------------------------------------------------------------------------

METRICS = (*(m.name for m in SHIPPED.values() if not m.refused and m.linux != "next"), Unregistered("nonsense"))
SIZES = st.sampled_from([0, 1, 4096, 5000, MIB, 2**50, 2**64 - 1])
SMALL = st.integers(0, 3)
BOUNDS = st.tuples(SMALL, st.sampled_from([0, 2, 2**32 - 1]))


@st.composite
def goals(draw: st.DrawFn, ops: str) -> Goal:
    metric = draw(st.sampled_from((*METRICS, "node_eligible_mem_bp") if ops == "paddr" else METRICS))
    complement = draw(st.booleans()) and metric.partition(":")[0].endswith("_bp")
    return Goal(
        metric, draw(st.integers(1, 10_000)), draw(SMALL), draw(st.integers(-1, 3)), draw(SMALL), complement,
        draw(st.sampled_from(CLAMPS)), draw(st.sampled_from(EARLY_EXITS)),
    )  # fmt: skip


@st.composite
def schemes(draw: st.DrawFn, ops: str) -> Scheme:
    nr, age = draw(BOUNDS), draw(BOUNDS)
    limit = Quota(
        draw(st.sampled_from([0, 10])), draw(SIZES), draw(st.sampled_from([0, 100, 1500, 2**31, 2**33])),
        tuple(draw(st.lists(goals(ops), max_size=2))), draw(st.sampled_from(["consist", "temporal"])),
        Weights(draw(SMALL), draw(SMALL), draw(SMALL)), 1, draw(st.sampled_from([0, 4096])),
        draw(st.sampled_from(["stop", "bypass"])), draw(SIZES), draw(st.booleans()), draw(st.booleans()),
    )  # fmt: skip
    start = draw(st.integers(0, 600 * MIB))
    filters = st.builds(
        Filter, type=st.sampled_from(CORE_FILTERS + OPS_FILTERS), matching=st.booleans(), allow=st.booleans(),
        start_bytes=st.integers(0, start), end_bytes=st.integers(start, 2 * start + 1), target_idx=st.integers(0, 1),
    )  # fmt: skip
    dests = tuple(draw(st.lists(st.builds(Dest, st.integers(0, 3), st.sampled_from([0, 1, 40, 2**32 - 1])), max_size=3)))
    rules = [r for r in DEST_RULES if len(dests) == 2 or r not in ("first", "last")]  # others are refused when read
    return Scheme(
        draw(st.sampled_from(ACTIONS)), AccessPattern(draw(SMALL), draw(SIZES), *nr, *age),
        draw(st.sampled_from([0, 1, 70_000, 1_000_000])), draw(st.integers(-2, 3)), limit,
        Watermarks(draw(st.sampled_from(["none", "free_mem_rate"])), 1, draw(st.integers(0, 1000)), 5, 3),
        tuple(draw(st.lists(filters, max_size=3))),
        dests, draw(st.sampled_from(rules)), enabled=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    ops = draw(st.sampled_from(["paddr", "vaddr", "fvaddr"]))
    goal = IntervalsGoal(400, draw(st.sampled_from([0, 3])), 1_000, 100_000)
    attrs = Attrs(draw(st.sampled_from([1_000, 5_000, 7_000])), 100_000, intervals_goal=goal, max_nr_regions=10)
    lo = draw(st.integers(0, 500 * MIB))
    target = Target(draw(st.sampled_from([(), ((lo, lo + 1),), ((lo, lo + 40 * MIB), (lo + 50 * MIB, lo + 90 * MIB))])))
    return Context(
        ops, attrs, (target,), tuple(draw(st.lists(schemes(ops), max_size=3))), draw(st.sampled_from([1, 4, 4096])),
        draw(st.sampled_from([1, 4096, 2**16])),
    )  # fmt: skip


@settings(max_examples=120)
@given(parts=st.lists(contexts(), max_size=2), on_0=st.integers(0, PAGES), mapped=st.integers(0, 2**30))
def test_any_scenario_is_judged_and_every_path_leads_somewhere(parts, on_0, mapped):
    work = workload(on_0, vmas=(Vma(0, PAGES, mapped * 4096, mapped),))
    sc = Scenario(machine(), work, tuple(parts))
    findings = lint(sc)
    for f in findings:
        value_at(sc, f.path)
        assert f.message
        assert "None" not in f.message + f.remedy
        assert "\n" not in f.message + f.remedy
        f.applied_to(sc)
    format_findings(findings)


def test_neither_matplotlib_nor_xarray_is_needed():
    code = (
        "import sys, tieringmodel as tm; from tieringmodel.linting import lint; lint(tm.load('rfc-40-60'));"
        "print([m for m in ('matplotlib', 'xarray', 'scipy', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_events_may_hold_lists():
    goals = [{"metric": "node_eligible_mem_bp", "target_value": 5000}]
    event = Event(1_000_000, "contexts.0.schemes.0.quota.goals", goals)
    sc = scenario(move(0, quota(eligible(0, 6000), sz=1)), events=(event,))
    assert "quota-below-region" in codes(sc)


def test_times_are_in_the_unit_that_reads_best() -> None:
    told = {0.0005: "0.5 ms", 1: "1 s", 600: "10 min", 7200: "2 h", 172_800: "2 days", 8_640_000: "100 days"}
    assert {seconds: duration(seconds) for seconds in told} == told
    assert duration(float("inf")) == "for ever"


@pytest.mark.parametrize("part", range(8))
def test_every_word_and_number_is_what_it_was(part: int) -> None:
    rows = said.recorded("lint")
    assert len({finding[0] for row in rows for finding in row["found"][0]}) > 60
    now = [said.of_lint(row["scenario"]) for row in rows[part::8]]
    assert now == [row["found"] for row in rows[part::8]], "python tests/said.py says what has changed"
