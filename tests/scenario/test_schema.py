"""The JSON schema has the fields of the dataclasses, no more and no fewer, and shipped scenarios fit it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest

import tieringmodel as tm
from tieringmodel.datafiles import data_path
from tieringmodel.interop.workloads.family import with_family
from tieringmodel.scenario.scenario import read_toml
from tieringmodel.scenario.schema import SYSFS, classes, json_schema, table
from tieringmodel.units import ULONG_MAX

SCHEMA = json_schema()
PARTS = {"Scenario": SCHEMA, **SCHEMA["$defs"]}
OF_FILES = {"Scenario": {"schema_version"}, "Workload": {"family"}}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Tell whether a value fits; the words of JSON schema that ours uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    kind = schema.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    if kind == "integer":
        return bool(schema["minimum"] <= value <= schema["maximum"])
    if kind == "array":
        items = schema.get("prefixItems")
        if items is not None:
            return len(value) == len(items) and all(map(fits, value, items))
        return all(fits(one, schema["items"]) for one in value)
    if kind == "object" and "properties" in schema:
        known = schema["properties"]
        return set(schema.get("required", ())) <= value.keys() <= known.keys() and all(
            fits(v, known[k]) for k, v in value.items()
        )
    return True


def test_it_has_every_field_of_every_class_and_no_other() -> None:
    assert {c.__name__ for c in classes()} == set(PARTS)
    for one in classes():
        names = {f.name for f in dataclasses.fields(one)}
        assert set(PARTS[one.__name__]["properties"]) == names | OF_FILES.get(one.__name__, set())
    known = {f"{c.__name__}.{f.name}" for c in classes() for f in dataclasses.fields(c)}
    assert set(SYSFS) <= known
    assert [name for name, _, _ in table()] == [c.__name__ for c in classes()]


def test_every_field_has_a_meaning_that_its_class_tells() -> None:
    rows = [(name, row) for name, _, rows in table() for row in rows]
    assert [f"{name}.{row.key}" for name, row in rows if len(row.meaning) < 8] == []
    meanings = {f"{name}.{row.key}": row.meaning for name, row in rows}
    assert meanings["Quota.esz_bp0"].startswith("The last three fields are in no Linux: ``esz_bp0`` is the tuner's state")
    assert meanings["Kernel.esz0_stop"] == (
        "On: an effective quota of 0 stops the scheme. Off: an effective quota of 0 means no quota and no score threshold."
    )
    for one in classes():  # a section names fields, and none that is gone
        _, _, attributes = inspect.cleandoc(one.__doc__ or "").partition("Attributes\n----------\n")
        told = set(re.findall(r"^(\w+)$", attributes.partition("\n\n")[0], re.MULTILINE))
        assert told <= {f.name for f in dataclasses.fields(one)}
    told = [part["description"] for part in PARTS["Attrs"]["properties"].values()]
    assert told[0] == "Time between two looks at a region. (in us; monitoring_attrs/intervals/sample_us)"


def test_defaults_and_bounds_are_those_of_the_classes() -> None:
    quota = PARTS["Quota"]["properties"]
    assert quota["sz_bytes"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": ULONG_MAX}
    assert quota["esz0"]["enum"] == ["", "stop", "bypass"]
    assert PARTS["AccessPattern"]["properties"]["max_sz_bytes"]["default"] == "max"
    assert PARTS["Goal"]["required"] == ["metric", "target_value"]
    for one in classes():
        for field in dataclasses.fields(one):
            told = PARTS[one.__name__]["properties"][field.name].get("default")
            assert told in (None, "max", field.default)


@pytest.mark.parametrize("path", sorted(data_path("scenarios").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_scenarios_fit(path: Any) -> None:
    assert fits(dict(read_toml(path)), SCHEMA)
    scenario = tm.load(str(path))
    assert fits(scenario.to_dict(), SCHEMA)
    assert not fits(scenario.to_dict() | {"machin": 1}, SCHEMA)
    with_family(read_toml(path), path.parent)
