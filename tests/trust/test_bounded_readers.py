"""Small files that once cost much: time and memory of a reader grow with the file, and what would not is refused."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.documents import parse_json, parse_yaml
from tieringmodel.linting.rules.monitors import MAX_COMPARED
from tieringmodel.scenario.scenario import MAX_KEY_PARTS, read_toml


class Word(str):
    """A text that counts how often it is compared or hashed."""

    calls = 0

    def __eq__(self, other: object) -> bool:
        Word.calls += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_repeated_key_is_found_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    n, load = 3000, json.loads

    def counted(text: str, *, object_pairs_hook: object, **options: object) -> object:
        pairs = lambda them: object_pairs_hook([(Word(k), v) for k, v in them])  # type: ignore[operator]  # noqa: E731
        return load(text, object_pairs_hook=pairs, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(json, "loads", counted)
    Word.calls = 0
    with pytest.raises(InputError, match=f"key 'k{n - 1}' stands twice"):
        parse_json("{" + ",".join(f'"k{i}":1' for i in range(n)) + f',"k{n - 1}":2}}', "x")
    assert Word.calls < 20 * n


@pytest.mark.parametrize(
    "line", ["{} = 1", "[{}]", "[[ {} ]]", "x = {{ {} = 1 }}", "x = {{y = 1, {} = 1 }}", "  {} = 1", '"\\"".{} = 1']
)
@pytest.mark.parametrize("part", ["a", "'a.b'", '"a\\"b"', " a "])
def test_a_toml_key_of_many_parts_is_refused(line: str, part: str) -> None:
    few, many = (line.format(".".join([part] * n)) for n in (MAX_KEY_PARTS // 2, MAX_KEY_PARTS + 1))
    read_toml(few)
    with pytest.raises(InputError, match=f"line 3 holds a key of more than {MAX_KEY_PARTS} parts"):
        read_toml(f"\n\n{many}\n")


def test_a_toml_key_of_ten_thousand_parts_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(".".join(["a"] * 10_000) + " = 1\n")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"x\.toml: line 1 holds a key"):
            read_toml(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_values_with_many_dots_are_no_keys() -> None:
    text = ".".join(["a"] * 100)
    assert read_toml(f"x = '{text}'\ny = [1, '{text}']\n# {text}\n")["y"] == [1, text]


def test_a_long_yaml_list_is_read_whole() -> None:
    assert parse_yaml("kdamonds:\n" + "- contexts: []\n" * 3000, "x") == {"kdamonds": [{"contexts": []}] * 3000}


def test_pairs_of_many_contexts_are_not_all_compared() -> None:
    n = MAX_COMPARED + 36
    one = {"contexts": [{"ops": "paddr", "targets": [{"regions": [{"start": 0, "end": 1 << 26}]}]}]}
    contexts = read_damo({"kdamonds": [one] * n}).contexts
    found = [f for f in tm.lint(tm.load("rfc-40-60").replace(contexts=contexts)) if f.code == "two-contexts-same-memory"]
    assert len(found) == MAX_COMPARED * (MAX_COMPARED - 1) // 2 + 1
    (said,) = (f for f in found if "compared" in f.message)
    assert said.path == f"contexts[{MAX_COMPARED}].targets"
    assert said.message.startswith(f"of {n} contexts only the first {MAX_COMPARED} are compared")
