"""Which Linux: the table of rules in docs/theory/kernels.md, releases with and without a record, names, ways in and out."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from small import scenario

import tieringmodel as tm
from tieringmodel.fields import with_path
from tieringmodel.scenario.features import FEATURES
from tieringmodel.scenario.linux import MAINLINE, NAMES, SHORT, default_rules, rules_of_release, version
from tieringmodel.scenario.metrics import SHIPPED
from tieringmodel.scenario.rules import ONLY_WITH, RECORDS, RULES, SEEN_FIRST, SWITCHES

PAGE = (Path(__file__).parents[2] / "docs" / "theory" / "kernels.md").read_text(encoding="utf-8")
HAS = {"yes": True, "no": False, "n/a": None}


def table(section: int) -> list[list[str]]:
    """The first table of a section, cell by cell, without its head."""
    (text,) = re.findall(rf"^## {section} ·.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


# ---- data -------------------------------------------------------------------------------------------------------------


def test_the_table_of_the_page_is_the_data() -> None:
    rows = [[row, switch.strip("`"), *rest] for row, switch, *rest in table(3)]
    since = {rule.switch: ("≤ " if rule.switch in SEEN_FIRST else "") + rule.since for rule in RULES}
    assert rows == [
        [r.row, r.switch, r.before, r.after, since[r.switch], r.backports or "–"]
        + [next(word for word, has in HAS.items() if has is there) for there in r.records]
        for r in RULES
    ]
    assert f"| {' | '.join(RECORDS)} |" in PAGE


def test_rules_are_numbered_named_and_told() -> None:
    assert len(set(SWITCHES)) == len(RULES) == 48
    assert len({rule.row for rule in RULES}) == len(RULES)
    assert "30" not in {rule.row for rule in RULES}
    for rule in RULES:
        assert len(rule.records) == len(RECORDS)
        assert rule.records[-1], "7.3.4 has every rule"
        assert rule.before
        assert rule.after
        assert rule.before != rule.after
        assert not rule.before.endswith(".")
        assert version(rule.since) <= version("7.3.4")


def test_what_does_not_exist_in_a_record_came_after_it() -> None:
    for rule in RULES:
        absent = {record for record, has in zip(RECORDS, rule.records, strict=True) if has is None}
        came = ONLY_WITH.get(rule.switch, "6.12")
        assert absent == {record for record in RECORDS if version(record) < version(came)}


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_has_what_mainline_had_and_what_was_backported(record: str) -> None:
    """A column of the table, from the release in which a rule came and the point releases that took it."""
    line, _, patch = record.rpartition(".")
    for rule in RULES:
        has = rule.records[RECORDS.index(record)]
        known = [re.fullmatch(rf"{re.escape(line)}\.(\d+)( or before)?", one) for one in rule.backports.split(", ")]
        backported = any(found and int(found[1]) <= int(patch) for found in known)
        came = version(rule.since) <= (version(record) if rule.since == record else version(line))
        if rule.switch == "thisnode":
            assert has is (record in ("6.12.117", "7.3.4"))  # undone in 6.17
        elif has is not None:
            assert has is (came or backported), rule


def test_the_page_lists_the_same_releases() -> None:
    data: dict[str, set[str]] = {}
    for feature, since in [*FEATURES.items(), *((m, facts.linux) for m, facts in SHIPPED.items() if facts.linux)]:
        data.setdefault(since, set()).add(feature.removesuffix(" filter"))
    page = {release: set(re.findall(r"`(\w+)`", here)) for release, here, *_ in table(6)}
    assert {release: names for release, names in page.items() if names} == data
    assert [*page] == sorted(page, key=version)


# ---- names ------------------------------------------------------------------------------------------------------------


def test_a_name_without_a_record_follows_mainline() -> None:
    for name in MAINLINE:
        known = rules_of_release(name)
        for rule in RULES:
            if rule.switch in ONLY_WITH and version(name) < version(ONLY_WITH[rule.switch]):
                assert known[rule.switch] is None
            elif rule.switch != "thisnode":
                assert known[rule.switch] is (version(rule.since) <= version(name))
    assert rules_of_release("6.17")["commit_clears_resume"] is False  # "≤ 6.18"
    assert rules_of_release("7.1")["goal_score_mult_frac"] is False


def test_the_target_node_alone_has_three_ages() -> None:
    assert [tm.Kernel(name).rules.thisnode for name in ("6.13", "6.14", "6.15", "6.16")] == [True] * 4
    assert [tm.Kernel(name).rules.thisnode for name in ("6.17", "6.18", "6.19", "7.0", "7.1", "7.2")] == [False] * 6
    assert [tm.Kernel(name).rules.thisnode for name in ("7.3", "next")] == [True] * 2


def test_short_names_stand_for_the_release_that_was_read() -> None:
    for short, record in SHORT.items():
        assert tm.Kernel(short).release == tm.Kernel(record).release == record
        assert tm.Kernel(short).rules == tm.Kernel(record).rules
        assert str(tm.Kernel(short)) == f"Linux {short}: rules of {record}"
        assert str(tm.Kernel(record)) == f"Linux {record}"
    assert tm.Kernel() == tm.Kernel("7.3.4")
    assert tm.Kernel().rules == tm.Kernel("next").rules == default_rules()
    assert all(getattr(tm.Kernel().rules, switch) for switch in SWITCHES)


def test_names_say_on_what_they_rest() -> None:
    assert str(tm.Kernel("7.0")) == "Linux 7.0: mainline rules, no vectors"
    assert str(tm.Kernel("next")) == "Linux next: 7.3.4 and what is known of later trees, not released, no vectors"
    own = tm.Kernel("6.18", thisnode=True, esz0_stop=False)
    assert str(own) == "Linux 6.18: rules of 6.18.35, thisnode on"  # esz0_stop is what 6.18 does
    assert own.title == "6.18.35, thisnode on"
    assert repr(own) == "Kernel('6.18', esz0_stop=False, thisnode=True)"
    assert eval(repr(own), {"Kernel": tm.Kernel}) == own


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("6.6", r"'6\.6' is older than 6\.12, the first that is modelled; write one of 6\.12, 6\.12\.117, 6\.13"),
        ("7.2.6", r"'7\.2\.6' is not modelled, 7\.2\.12 of that line is; write .* score_mvsum 7\.2\.5, count_age_once 7\.2\.6"),
        ("6.18.40", r"'6\.18\.40' is not modelled, 6\.18\.35 of that line is; .* skip_only_charged 6\.18\.y of October 2026"),
        ("6.14.3", r"'6\.14\.3' is not modelled, 6\.14 of that line is; write '6\.14', .* backports: last_applied 6\.14\.3"),
        ("7.4", r"'7\.4' is newer than 7\.3\.4; write one of .*'next'"),
        ("7.2.y", r"'7\.2\.y' is no kernel that is modelled; did you mean '7\.2'"),
        ("", "'' is no kernel that is modelled; known: 6.12"),
    ],
)
def test_other_names_are_refused_in_one_sentence(name: str, said: str) -> None:
    with pytest.raises(tm.InputError, match=said) as error:
        tm.Kernel(name)
    assert "\n" not in str(error.value)
    with pytest.raises(tm.InputError, match=r"^kernel: ") as error:
        scenario().replace(kernel=name)
    with pytest.raises(tm.InputError, match=r"^kernel\.base: "):
        tm.Scenario.from_dict(scenario().to_dict() | {"kernel": {"base": name}})


# ---- switches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "switch", "came"),
    [
        ("6.12", "node_mem_extremes", "6.16"), ("6.15", "node_mem_extremes", "6.16"), ("6.18", "temporal_huge_sz", "7.1"),
        ("7.0", "temporal_huge_sz", "7.1"), ("6.18", "commit_eligible_nid", "7.2"), ("7.1", "commit_eligible_nid", "7.2"),
    ],
)  # fmt: skip
def test_a_switch_of_what_a_release_does_not_have_is_refused(name: str, switch: str, came: str) -> None:
    said = rf"{switch}: is about something that Linux {re.escape(SHORT.get(name, name))} does not have; .* {came} or later"
    for value in (True, False):
        with pytest.raises(tm.InputError, match=said):
            tm.Kernel(name, **{switch: value})
    assert getattr(tm.Kernel(came, **{switch: False}).rules, switch) is False


def test_a_switch_changes_its_rule_and_no_other() -> None:
    for name in NAMES:
        base = tm.Kernel(name)
        for switch, has in rules_of_release(base.release).items():
            if has is None:
                continue
            changed = tm.Kernel(name, **{switch: not has})
            assert changed.rules == base.rules._replace(**{switch: not has})
            assert changed.changed == {switch: not has}
            assert tm.Kernel(name, **{switch: has}).changed == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base": "6.18", "thisnod": True}, "kernel.thisnod: is not a known key; did you mean 'thisnode'"),
        ({"base": "6.18", "thisnode": 2}, "kernel.thisnode: 2 is not true or false"),
        (618, "kernel: 618 is neither text nor a table; write text in quotes, or a table of Kernel"),
        (6.18, "kernel: 6.18 is neither text nor a table; write text in quotes"),
        (["6.18"], "kernel: .* is neither text nor a table"),
    ],
)
def test_what_is_no_kernel_is_refused(given: object, said: str) -> None:
    with pytest.raises(tm.InputError, match=said):
        tm.Scenario.from_dict(scenario().to_dict() | {"kernel": given})


# ---- in and out -------------------------------------------------------------------------------------------------------


def test_a_name_alone_is_written_as_text_and_switches_as_a_table() -> None:
    plain, own = (scenario().replace(kernel=k) for k in ("6.18", tm.Kernel("6.18", thisnode=True)))
    assert 'kernel = "6.18"\n' in plain.to_toml()
    assert '[kernel]\nbase = "6.18"\nthisnode = true\n' in own.to_toml()
    assert "kernel" not in scenario().to_toml()
    for one in (plain, own, scenario()):
        assert tm.Scenario.from_toml(one.to_toml()) == one
        assert tm.Scenario.from_json(one.to_json()) == one
        assert pickle.loads(pickle.dumps(one)) == one
    inline = 'kernel = { base = "6.18", thisnode = true }\n' + scenario().to_toml()
    assert tm.Scenario.from_toml(inline) == own


def test_a_path_leads_to_a_switch() -> None:
    sc = with_path(with_path(scenario(), "kernel", "6.18"), "kernel.thisnode", True)
    assert sc.kernel == tm.Kernel("6.18", thisnode=True)
    assert with_path(sc, "kernel.base", "7.2").kernel == tm.Kernel("7.2", thisnode=True)
    with pytest.raises(tm.InputError, match="'kernel' cannot change while running"):
        tm.Event(1, "kernel", "6.18")


def test_kernels_are_equal_by_what_was_written() -> None:
    assert tm.Kernel("6.18", thisnode=True) == tm.Kernel("6.18", thisnode=True)
    assert hash(tm.Kernel("6.18", thisnode=True)) == hash(tm.Kernel("6.18", thisnode=True))
    assert len({tm.Kernel("6.18"), tm.Kernel("6.18.35"), tm.Kernel("6.18", thisnode=False)}) == 3
    assert tm.Kernel("6.18").rules == tm.Kernel("6.18", thisnode=False).rules
