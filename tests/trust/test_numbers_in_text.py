"""A number in a text is what it says, or it is refused: decimal commas, thousands, YAML's old numbers, damo's options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import hypothesis.strategies as st
import pytest
from hypothesis import given

import tieringmodel as tm
from tieringmodel import cli, fields, units
from tieringmodel.interop.damo import values as damo
from tieringmodel.interop.documents import parse_yaml
from tieringmodel.interop.load import open_scenario
from tieringmodel.scenario import Scenario

PARSERS: dict[str, tuple[Callable[[str], int], tuple[str, ...]]] = {
    "parse_bytes": (units.parse_bytes, ("", " B", " KiB", "GB", " TiB")),
    "parse_us": (units.parse_us, ("", "us", " ms", " s", " min")),
    "parse_ms": (units.parse_ms, ("", " ms", " s")),
    "parse_bp": (units.parse_bp, ("", " bp", " %")),
    "parse_duration_us": (units.parse_duration_us, ("", " s", " ms")),
    "integer": (lambda t: units.integer(t, "n"), ("",)),
    "damo count": (lambda t: damo.count(t, "n"), ("",)),
    "damo size": (lambda t: damo.size_bytes(t, "n"), ("", " MiB", "G")),
    "damo time": (lambda t: damo.time_in(t, "n"), ("", " ms", " s", " m 1 s")),
    "damo share": (lambda t: damo.share(t, "n", 100), ("", " %")),
    "damo accesses": (lambda t: damo.nr_accesses(t, "n", 1, 10**5), ("", " %", " samples")),
    "damo age": (lambda t: damo.age(t, "n", 1), ("", " s", " aggr_intervals")),
}
NO_THOUSANDS = (
    "1,5", "0,5", "0,500", "12,34", "1,50", "1,2345", "1,23,456", "1234,567", ",5", "5,", "1,,000", "1,000,00", "00,500",
    "1.5,000", "1,000 000",
)  # fmt: skip
THOUSANDS = ("1,000", "12,000", "120,000", "1,234,000")


@pytest.mark.parametrize("unit_at", range(5))
@pytest.mark.parametrize("name", PARSERS)
def test_a_comma_parts_thousands_or_is_refused(name: str, unit_at: int) -> None:
    parse, endings = PARSERS[name]
    unit = endings[unit_at % len(endings)]
    for text in NO_THOUSANDS:
        with pytest.raises(tm.InputError):
            parse(text + unit)
    for text in THOUSANDS:
        assert parse(text + unit) == parse(text.replace(",", "") + unit)


@pytest.mark.parametrize("name", ["parse_bytes", "parse_us", "parse_ms", "parse_bp", "parse_duration_us"])
def test_an_exponent_is_no_unit(name: str) -> None:
    """A bare number means the same however it is written: of a duration seconds, of a reset interval milliseconds."""
    parse, endings = PARSERS[name]
    for unit in endings:
        for text, plain in (("1e3", "1000"), ("2.5E2", "250"), ("1_2e1", "120"), ("3e+2", "300")):
            assert parse(text + unit) == parse(plain + unit)
    assert parse("0x10") == parse("16")


@given(st.text("0123456789,.", min_size=1, max_size=12), st.sampled_from([*PARSERS]), st.integers(0, 4))
def test_no_comma_moves_a_number(text: str, name: str, unit_at: int) -> None:
    parse, endings = PARSERS[name]
    unit = endings[unit_at % len(endings)]
    try:
        found = parse(text + unit)
    except tm.InputError:
        return
    if "," in text:
        whole, _, rest = text.partition(".")
        assert [len(part) for part in whole.split(",")[1:]] == [3] * whole.count(",")
        assert 1 <= len(whole.split(",")[0]) <= 3
        assert not whole.startswith("0")
        assert "," not in rest
    assert found == parse(text.replace(",", "") + unit)


def numeric_fields(cls: type = Scenario, path: str = "") -> Iterator[tuple[type, str]]:
    """Yield every class of the schema with the name of each field that is a whole number."""
    for field in dataclasses.fields(cls):
        hint = get_type_hints(cls)[field.name]
        inner = [h for h in getattr(hint, "__args__", (hint,)) if isinstance(h, type)]
        if int in inner and bool not in inner:
            yield cls, field.name
        for one in inner:
            if dataclasses.is_dataclass(one):
                yield from numeric_fields(one, f"{path}.{field.name}")


@pytest.mark.parametrize(("cls", "name"), sorted({*numeric_fields()}, key=str))
def test_every_number_of_a_scenario_is_read_so(cls: type[Any], name: str) -> None:
    hint = get_type_hints(cls)[name]
    parse = fields._convert
    for text in ("1,5", "0,500", "1,50"):
        given = [text] if getattr(hint, "__origin__", None) is tuple else text
        with pytest.raises(tm.InputError, match="comma"):
            parse(given, hint, name, name)


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize("text", ["1,5", "1,5 s", "0,5", "1,50 min"])
def test_a_duration_with_a_comma_is_refused(
    command: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "rfc-40-60", "--duration", text, "-o", str(tmp_path)]) == 2
    assert "has a comma that does not part thousands; write decimals with a point" in capsys.readouterr().err


LINE = "damo start --ops paddr --damos_action migrate_hot 1 "


@pytest.mark.parametrize(
    "words",
    ["--damos_access_rate 1,5% 50%", "--damos_access_rate 5% 12,5%", "--damos_age 1,5s max", "--damos_sz_region 1,5M max",
     "--monitoring_intervals 5ms 0,1s 1s", "--damos_quotas 1,5s 1G 1s", "--damos_quota_space 1,5G --damos_quota_interval 1s",
     "--damos_wmarks free_mem_rate 5s 80% 50% 1,5%", "--damos_filter allow addr 1,5M 1G", "--regions 1,5-3000"],
)  # fmt: skip
def test_a_damo_line_with_a_decimal_comma_is_refused(words: str) -> None:
    with pytest.raises(tm.InputError, match=r"damo start --\w+: '[0-9,]+' has a comma that does not part thousands"):
        open_scenario(LINE + words)


def test_a_damo_line_may_part_thousands_and_control_groups_may_have_commas() -> None:
    pattern = open_scenario(f"{LINE}--damos_access_rate 1,000% max").scenario.contexts[0].schemes[0].access_pattern
    assert pattern.min_nr_accesses == 200
    assert open_scenario(f"{LINE}--damos_filter allow memcg /a,1,5").memcg_paths == ("/a,1,5",)


@pytest.mark.parametrize(
    "words",
    ["--damos_quota_space 1M", "--damos_quota_time 5ms", "--damos_quota_weights 1 2 3", "--damos_quota_goal_tuner temporal",
     "--damos_quota_fail_charge_ratio 1 4096", "--damos_quotas 1s 1G 1s --damos_quota_space 2M",
     "--damos_quota_space 2M --damos_quota_interval 1s --damos_action stat --damos_quota_space 1M"],
)  # fmt: skip
def test_quotas_that_damo_drops_are_said(words: str) -> None:
    last = words[words.rindex("--damos_quota_") :]
    notes = [n for n in open_scenario(LINE + words).notes if "drops" in n]
    assert notes == [f"damo start {last}: damo 3.4.3 drops it, for no --damos_quota_interval goes with it"]
    assert not [n for n in open_scenario(f"{LINE}{last} --damos_quota_interval 1s").notes if "drops" in n]


TWO = ("--kdamond --damon_ctx --damon_target --ops vaddr --target_pid 1", "--kdamond --damon_ctx --damon_target --ops paddr")


@pytest.mark.parametrize("order", [TWO, TWO[::-1]])
def test_a_damo_line_may_watch_a_process_and_the_machine(order: tuple[str, str]) -> None:
    scenario = open_scenario(f"damo start {' '.join(order)}").scenario
    assert [c.ops for c in scenario.contexts] == [words.split()[4] for words in order]
    tm.simulate(scenario, duration=0.1, progress=False)


@pytest.mark.parametrize("text", ["010", "-010", "+07", "0_1", "00", "1:30", "1:30:00", "12:30.5", "-1:30", "08"])
def test_yaml_numbers_that_readers_disagree_about_are_refused(text: str) -> None:
    for place in (text, f"a: {text}", f"[1, {text}]", f"{{{text}: 1}}", f"- a:\n    - {text}"):
        with pytest.raises(tm.InputError, match=r"y:\d+: \S+ is octal or counts in sixties to some readers of YAML"):
            parse_yaml(place, "y")
    assert parse_yaml(f"a: '{text}'", "y") == {"a": text}


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 1", "a: 1\n'a': 2", "{a: 1, b: 2, a: 3}", "b:\n  - a: 1\n    c: 2\n    a: 3", "1: a\n0x1: b", "<<: {a: 1}\na: 2",
     "? a\n: 1\n? a\n: 2"],
)  # fmt: skip
def test_yaml_keys_that_stand_twice_are_refused(text: str) -> None:
    with pytest.raises(tm.InputError, match=r"y:\d+: a mapping holds a key twice, or '<<'; write each key once"):
        parse_yaml(text, "y")


def test_yaml_that_everybody_reads_alike_is_read() -> None:
    text = "a: 10\nb: [0, 0.5, 0x10, -3, 1e3, '1:30']\nc: {d: 0, e: {d: 1}}\nf: 10 ms\n"
    assert parse_yaml(text, "y") == {
        "a": 10, "b": [0, 0.5, 16, -3, "1e3", "1:30"], "c": {"d": 0, "e": {"d": 1}}, "f": "10 ms",
    }  # fmt: skip
