"""Messages quote a few characters of a file, and nothing from a file steers a terminal."""

from __future__ import annotations

import ast
import io
import json
import random
import re
import shutil
import string
import sys
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import h5py
import pytest
from good import GOOD
from small import pull, scenario
from test_fuzz import FULL, PLACES, put

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.commands.output import Ours, complain, lines, mark, paint, say, strict_json
from tieringmodel.datafiles import data_path
from tieringmodel.datasets.read import read_results
from tieringmodel.errors import QUOTED, InputError, printable, quoted
from tieringmodel.interop.load import open_scenario
from tieringmodel.interop.workloads.record_workload import read_record_workload
from tieringmodel.progress import Progress
from tieringmodel.simulation import checkpoint
from tieringmodel.validate.golden.vectors import cases

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\x7f\u202e\u2028\nerror: forged"
STEERS = re.compile(r"[^\n\x20-\x7e]")


# ---- a few characters -------------------------------------------------------------------------------------------------


def secret(seed: int, n: int = 200) -> str:
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=n))


S = [secret(i) for i in range(10)]
SHAPES = {
    "word": S[0],
    "passwd": ":".join(s[:9] for s in S) + "\n",
    "words": " ".join(S) + "\n",
    "lines": "\n".join(S),
    "ini": f"[{S[0]}]\n{S[1]} = {S[2]}\n",
    "toml text": f'{S[0]} = "{S[1]}"\n',
    "toml table": f'[machine]\n{S[0]} = "{S[1]}"\n',
    "toml twice": f'[{S[0]}]\n[{S[0]}]\n',
    "toml in place": f'machine = "{S[0]}"\nworkload = ["{S[1]}", "{S[2]}"]\n',
    "json": json.dumps({S[0]: S[1], S[2]: [S[3]]}),
    "json list": json.dumps(S),
    "json text": json.dumps(S[0]),
    "json twice": f'{{"{S[0]}": 1, "{S[0]}": 2}}',
    "json machine": json.dumps({"machine": S, "workload": {S[0]: S[1]}, "contexts": S[2]}),
    "json kdamonds": json.dumps({"kdamonds": [{"contexts": [{"ops": S[0]}]}]}),
    "json kdamonds key": json.dumps({"kdamonds": [{"contexts": [{S[0]: S[1]}]}]}),
    "record": json.dumps([{"kdamond_idx": S[0], "snapshots": S}]),
    "record key": json.dumps([{s: 1 for s in S} | {"snapshots": []}]),
    "yaml": "".join(f"{s}: &{s} !{s} *{s}\n" for s in S),
    "yaml alias": f"{S[0]}: *{S[1]}\n",
    "csv": ",".join(S) + "\n" + ",".join(S) + "\n",
    "trace": f"time_s,address\n{S[0]},{S[1]}\n",
    "masim": f"{S[0]}, {S[1]}\n\n{S[2]}\n{S[3]}\n",
    "masim region": f"{S[0]}, 4096\n{S[0]}, 4096\n\n{S[2]}\n{S[3]}\n",
    "masim pattern": f"{S[0]}, 4096\n\n{S[2]}\n1000\n{S[3]}, {S[4]}, {S[5]}, {S[6]}\n",
    "dump": f"operations {S[0]}\n",
    "dump path": f"operations paddr\n{S[0]} {S[1]}\n",
    "dump of words": f"operations paddr {S[0]} {S[1]}\nschemes/{S[2]}/action {S[3]}\n",
    "damo": f"damo start {S[0]}\n",
    "damo option": f"damo start --{S[0]} {S[1]}\n",
    "damo value": f"damo start --target_pid {S[0]} --damos_action {S[1]}\n",
    "perf": f"{S[0]} 1/1 [0] 1.0: 1 {S[1]}: {S[2]}\n",
    "perf address": f"{S[0]} 1/1 [0] 1.0: 1 {S[1]}: 7f00 {S[2]}\n",
    "info": f"{S[0]} {S[1]}\n",
}  # fmt: skip
DIRECT: dict[str, Callable[[Path], object]] = {
    **{f"x{end}": open_scenario for end in (".toml", ".json", ".yaml", ".damo", ".txt", "")},
    "m.toml": lambda p: open_scenario("rfc-40-60", machine=p),
    "w.toml": lambda p: open_scenario("rfc-40-60", workload=p),
    **{name: lambda p: open_scenario("rfc-40-60", machine=p) for name in ("m", "zoneinfo.txt", "lsmem.json")},
    "w": lambda p: open_scenario("rfc-40-60", workload=p),
    "placed": lambda p: open_scenario("rfc-40-60", workload=f"hot=1G@1Hz,placed={p}"),
    **{f"here/{n}": lambda p: open_scenario("rfc-40-60", machine=p.parent) for n in ("version.txt", "numactl.txt")},
    "w.masim": tm.read_masim,
    "damon.data": read_record_workload,
    "t.csv": tm.read_trace,
    "t.perf": tm.read_perf,
    "x.nc": read_results,
    "x.checkpoint": checkpoint.read,
    "v/feed_loop.csv": lambda p: cases(p.parent),
    "v/e2e_x.json": lambda p: cases(p.parent),
    "tree/operations": lambda p: open_scenario(p.parent),
    "tree/targets/nr_targets": lambda p: open_scenario(p.parent.parent),
    **{f"run/{n}": lambda p: tm.read_recording(p.parent) for n in ("layout.csv", "record.csv", "info.txt", "damon_config.txt")},
    "run/weights_changed.txt": lambda p: tm.read_recording(p.parent),
}


def longest(text: str, said: str) -> str:
    found = SequenceMatcher(None, text, said, autojunk=False).find_longest_match()
    return text[found.a : found.a + found.size]


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_message_quotes_a_few_characters(name: str, shape: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(SHAPES[shape])
    with pytest.raises(InputError) as caught:
        DIRECT[name](path)
    said = str(caught.value).replace(str(tmp_path), "")
    assert max(len(longest(s, said)) for s in S) <= QUOTED
    assert sum(len(longest(s, said)) >= 8 for s in S) <= 3


VALUES: list[Any] = [S[0], S, {S[0]: S[1]}, {"file": S[0]}, [[S[0]], [S[1]]], [{"nid": S[0]}, S[1]]]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_message_of_any_field_does(value: Any) -> None:
    """Every place of a scenario, also in what is inside of a family."""
    refusals = 0
    for data, places in (
        (FULL, PLACES),
        ({"workload": {"family": FAMILY}}, [("workload", "family", *p) for p in FAMILY_PLACES]),
    ):
        for place in places:
            changed = json.loads(json.dumps(data))
            put(changed, place, value)
            try:
                scenario_of(changed)
            except InputError as error:
                refusals += 1
                said = str(error)
                at_most = max(len(longest(s, said)) for s in S)
                if at_most > QUOTED or sum(len(longest(s, said)) >= 8 for s in S) > 3:
                    pytest.fail(f"{place}: {said}")
    assert refusals > len(PLACES) // 2


FAMILY = {
    "kind": "mix",
    "memcg_ids": {"a": 1},
    "tenants": {"a": {"kind": "zipf", "n_pages": 9, "accesses_per_s": 1.0, "exponent": 1.0}},
}
FAMILY_PLACES = [
    ("kind",),
    ("memcg_ids",),
    ("memcg_ids", "a"),
    ("tenants",),
    ("tenants", "a"),
    *(("tenants", "a", k) for k in FAMILY["tenants"]["a"]),
]


def scenario_of(data: dict[str, Any]) -> None:
    from tieringmodel.interop.workloads.family import with_family

    tm.Scenario.from_dict(with_family(data, Path()))


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        (f"{'a' * 22!r} is", f"{'a' * 22!r} is"),
        (f"{'a' * 100!r} is unknown", "'" + "a" * 23 + "…' is unknown"),
        ("it's the user's own, isn't it, though it goes on", "it's the user's own, isn't it, though it goes on"),
        (f"{chr(39) + 'b' * 99!r} and {'c' * 99!r} and more", f'"\'{"b" * 22}…" and \'{"c" * 23}…\' and more'),
        (f"{chr(39) + chr(34) + 'b' * 99!r} and more", f"'\\'\"{'b' * 20}…' and more"),
        ("cut off in '" + "d" * 99, "cut off in '" + "d" * 23 + "…'"),
        ("a \x1b[31m b", "a \\x1b[31m b"),
    ],
)  # fmt: skip
def test_how_quotes_are_cut(what: str, shown: str) -> None:
    assert InputError("x", what).what == shown


def test_quotes_take_no_time() -> None:
    """However many quotes and backslashes a megabyte holds."""
    for unit in ("\\'", "'", '"', "' \"", "\\", "'\\"):
        assert len(str(InputError("x", unit * 500_000, "y"))) < 2000


def test_any_value_is_quoted_in_a_few_characters() -> None:
    deep: Any = S
    for _ in range(50):
        deep = [deep, {S[0]: deep}]
    for value in (S, tuple(S), set(S), frozenset(S), dict(zip(S, S, strict=True)), deep, S[0].encode(), 10**300, [10**300] * 9):
        assert len(quoted(value)) < 130


# ---- the terminal -----------------------------------------------------------------------------------------------------


def test_printable() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert printable(everything).isprintable()
    assert printable("α…×−–'\"\\ ok") == "α…×−–'\"\\ ok"
    assert printable("\x1b[2J\r\n\x7f\x9b\u202e\udc80") == "\\x1b[2J\\r\\n\\x7f\\x9b\\u202e\\udc80"


def test_no_module_speaks_for_itself() -> None:
    """All that is printed goes through `say`; the progress line, which moves the cursor, prints its own."""
    package = Path(tm.__file__).parent
    speakers = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Name) and node.id == "print"
            stream = (
                isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr") and getattr(node.value, "id", "") == "sys"
            )
            written = stream and any(
                isinstance(up, ast.Attribute) and up.value is node and up.attr in ("write", "writelines", "buffer")
                for up in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            )
            if named or written:
                speakers.add(path.relative_to(package).as_posix())
    assert speakers <= {"commands/output.py", "progress.py"}
    assert "commands/output.py" in speakers


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    say(mark(True), " ", EVIL, mark(False), paint(EVIL, "bad"))
    say(lines(f"a{EVIL}\nb"))
    complain(EVIL)
    said = stream.getvalue()
    assert said.count("\n") == 5  # one line each, and of the block its two and the one in EVIL
    assert set(re.findall(r"\x1b\[\d+m", said)) == {"\x1b[32m", "\x1b[31m", "\x1b[0m"}
    assert not STEERS.search(re.sub(r"\x1b\[(32|31|0)m", "", said))
    assert isinstance(mark(True), Ours)


def test_json_is_printable_and_says_the_same() -> None:
    text = strict_json({EVIL: [EVIL]})
    assert text.isprintable()
    assert json.loads(text) == {EVIL: [EVIL]}


def test_the_progress_line(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(EVIL, 1, "s", show=True)
    bar.start = bar.last = bar.start - 10
    bar.update(0.5)
    said = capsys.readouterr().err
    assert "owned" in said
    assert not STEERS.search(said.removeprefix("\r").removesuffix("\x1b[K"))


NAMED = scenario(pull(), groups=[tm.Group(0, 2048, rate_hz=400.0, name=EVIL)], name=EVIL)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody sent: names and values that would steer a terminal, in every form."""
    folder = tmp_path_factory.mktemp("sent")
    (folder / "s.toml").write_text(NAMED.to_toml())
    (folder / "action.toml").write_text(tm.Scenario.from_dict(GOOD).to_toml().replace('"migrate_hot"', json.dumps(EVIL)))
    (folder / "key.toml").write_text(f"{json.dumps(EVIL)} = 1\n" + tm.Scenario.from_dict(GOOD).to_toml())
    filters = [{"filter_type": "memcg", "memcg_path": "/" + EVIL, "matching": True, "allow": True}]
    schemes = [{"action": "stat", "filters": filters}]
    (folder / "damo.json").write_text(json.dumps({"kdamonds": [{"contexts": [{"ops": "paddr", "schemes": schemes}]}]}))
    (folder / "dump.txt").write_text(f"operations paddr\nschemes/0/action {EVIL}\n")
    (folder / "w.masim").write_text(f"{EVIL}, 1\n")
    run = Path(shutil.copytree(data_path("recordings", "C1_tier_temporal"), folder / "run"))
    (run / "layout.csv").write_text((run / "layout.csv").read_text().replace("segment", EVIL.replace("\n", "")))
    (folder / "v").mkdir()
    (folder / "v" / "feed_loop.csv").write_text(f"last_input,score,next\n1,2,{EVIL}\n")
    with h5py.File(folder / "kind.nc", "w") as file:
        file.attrs["kind"] = EVIL
        file[EVIL] = 1.0
    return folder


COMMANDS = [
    "lint s.toml", "lint s.toml --json", "lint action.toml", "lint key.toml", "lint damo.json", "lint dump.txt", "lint run",
    "lint damo.json --json", "lint rfc-40-60 --workload w.masim", "run s.toml --duration 1 -o out",
    "run s.toml --duration 1 -o out --json", "run s.toml --duration 1 -o out --expect EVIL", "report out", "report out --json",
    "compare s.toml --duration 1 -o out", "compare s.toml --duration 1 -o out --json", "report kind.nc",
    "convert s.toml out.toml", "convert s.toml out.sh", "convert s.toml out.damo --json", "convert damo.json out.sh",
    "convert damo.json out.json --json", "sweep s.toml --seeds 2 --duration 1 --executor serial -o s.nc",
    "sweep s.toml --grid name=EVIL --duration 1 --executor serial -o t.nc", "sweep s.toml --grid EVIL=1 -o u.nc",
    "validate --vectors v", "validate --vectors v --json", "validate --recordings run --seeds 0", "completion bash",
    "diff s.toml --kernels 7.2,7.3 --duration 1", "diff s.toml rfc-40-60 --duration 1", "diff out s.toml --json",
    "diff s.toml EVIL", "diff s.toml --kernels EVIL", "explore s.toml -o e.html", "explore EVIL", "schema",
    "lint s.toml --plugin EVIL",
    "lint s.toml --set EVIL=1", "run s.toml --duration 1 -o out --no-fix --expect p95(EVIL)<1",
    "tune s.toml --end EVIL", "tune s.toml --end residual_mib_s<1 --change EVIL",
    "tune s.toml --end residual_mib_s<1 --objective EVIL",
    "tune s.toml --end residual_mib_s<1 --budget 2 --duration 1 --seeds 1 -o tuned", "report tuned",
    "report EVIL", "lint EVIL", "EVIL", "run --EVIL", "explain", "explain EVIL", "explain limit-cycle",
]  # fmt: skip


def test_no_command_lets_a_file_steer_the_terminal(
    sent: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(sent)
    for command in COMMANDS:
        try:
            status = cli.main([word.replace("EVIL", EVIL) for word in command.split()])
        except SystemExit as end:
            status = int(end.code or 0)
        said = "".join(capfd.readouterr())
        assert status in (0, 1, 2), command
        assert said, command
        found = [c for c in said if not c.isprintable() and c != "\n"]
        assert not found, (command, found)
        assert not re.search(r"^error: forged", said, re.MULTILINE), command
    assert {c.split()[0] for c in COMMANDS} >= {*cli.COMMANDS}


@pytest.mark.parametrize("name", ["damo.json", "run"])
def test_what_python_warns_of(sent: Path, name: str) -> None:
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            tm.load(sent / name)
        except InputError as error:
            assert str(error).isprintable()  # noqa: PT017
    assert all(str(w.message).isprintable() for w in caught)
