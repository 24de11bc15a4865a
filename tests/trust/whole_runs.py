"""What a whole scenario must stand: every door of the package, and changes to it that may change nothing, or nothing else.

Each door takes a scenario, its run (None if that is refused) and an empty folder; each relation gives two datasets that must be
the same. Both may refuse in one sentence; `trial` runs them all and says which did not.
"""

from __future__ import annotations

import json
import math
import random
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tieringmodel as tm
from tieringmodel.commands.results import write_netcdf
from tieringmodel.datasets.read import read_results
from tieringmodel.interop.convert import FORMS, converted, write_converted
from tieringmodel.interop.load import Loaded, load, open_scenario
from tieringmodel.memory.reuse import reused
from tieringmodel.reports import write_report
from tieringmodel.reports.text_of_comparison import text_of_comparison
from tieringmodel.reports.text_of_diff import text_of_diff
from tieringmodel.reports.text_of_run import text_of_run
from tieringmodel.reports.text_of_sweep import table
from tieringmodel.scenario.folios import folio_runs
from tieringmodel.simulation import checkpoint
from tieringmodel.simulation.running import Running

SEED = 3
Run = Any
Door = Callable[[tm.Scenario, Run, Path, float], None]


def simulate(sc: tm.Scenario, duration: float, **options: Any) -> Any:
    return tm.simulate(sc, duration=duration, seed=SEED, snapshots=5, progress=False, **options)


def said(text: str) -> None:
    assert text
    assert text.replace("\n", "").isprintable()


# ---- doors ----------------------------------------------------------------------------------------------------------


def written(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    assert tm.Scenario.from_json(sc.to_json()) == sc
    (folder / "a.toml").write_text(sc.to_toml(), encoding="utf-8")
    assert load(folder / "a.toml") == sc


def linted(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    for finding in tm.lint(sc):
        assert str(finding).isprintable() or "\n" in str(finding)


def judged(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    if ds is None:
        return
    nodes = ds["used_pages"].values + ds["free_pages"].values
    assert (nodes == nodes[0]).all() or sc.events
    pages = ds["class_pages"].values.sum(axis=(1, 2)) + (ds["out_pages"].values if "out_pages" in ds else 0)
    cache = sum(n.cache_bytes for n in sc.machine.nodes) // sc.machine.folio_bytes
    assert (pages == sc.workload.n_pages + cache).all()
    found = tm.verdict(ds)
    assert json.loads(json.dumps(found.to_dict()))["kind"] == found.kind
    said(text_of_run(ds, found))


def stored(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    if ds is None:
        return
    write_netcdf(ds, folder / "a.nc")
    (again,) = read_results(folder / "a.nc")
    assert again.identical(ds)
    assert str(tm.verdict(again)) == str(tm.verdict(ds))
    path = folder / "record.json"
    tm.to_damo_record(ds, path)
    records = tm.read_damo_record(path)
    assert sum(len(s.rows) for r in records for s in r.snapshots) == ds.sizes["region"]


def reported(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    if ds is not None:
        assert "<html" in write_report([ds], folder / "a.html", command="x").read_text(encoding="utf-8")


def compared(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    cmp = tm.compare({"a": sc, "b": sc}, duration=duration, seed=SEED, progress=False)
    said(text_of_comparison(cmp))
    for name, values in cmp.data_vars.items():
        if values.dims[:1] == ("policy",):
            np.testing.assert_array_equal(values[0], values[1], err_msg=str(name))
    if ds is not None:
        write_report([cmp], folder / "c.html", command="x")


def swept(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    def pages(one: Any) -> dict[str, int]:
        return {"moved": int(one["migrated_pages"].sum()), "records": one.sizes["time"]}

    found = tm.sweep(sc, {"seed": [SEED, 4]}, duration=duration, measure=pages, progress=False)
    said(table(found))
    if ds is not None:
        assert not any(found["error"].values)
        assert found["moved"].values[0] == int(ds["migrated_pages"].sum())  # in a batch as alone
        assert found["records"].values[0] == ds.sizes["time"]


def different(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    other = sc.replace(name="other", events=())
    found = tm.diff(sc, other, duration=duration, rules=False, workers=1, progress=False)
    said(text_of_diff(found))
    assert sc.events or not found.fields


def converted_and_back(sc: tm.Scenario, ds: Run, folder: Path, duration: float) -> None:
    for suffix in FORMS:
        path = folder / f"x{suffix}"
        if refusal(lambda path=path: write_converted(Loaded(sc), path, pid=7)) or suffix == ".sh":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            back = open_scenario(path, machine=sc.machine, workload=sc.workload)
        if not refusal(lambda back=back, suffix=suffix: converted(back, suffix)):
            assert _code(converted(back, suffix)[0]) == _code(path.read_text(encoding="utf-8")), suffix


def _code(text: str) -> str:
    """Return a script without its comments and the name of the scenario."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(("#", "name =")))


QUICK = (written, linted, judged, converted_and_back)
DOORS = (reported, compared, swept, different, stored)


# ---- relations: what may not change a run -----------------------------------------------------------------------------

Pair = tuple[Any, Any]
Relation = Callable[[tm.Scenario, Any, Path, float, random.Random], Pair | None]


def resumed(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair:
    kept, saved = b"", 0
    save = checkpoint.save

    def keep(path: Any, *state: Any) -> Path:
        """Write one of all of them, each with the same chance: the k-th replaces the one before with a chance of 1 / k."""
        nonlocal kept, saved
        saved += 1
        if rng.random() * saved < 1:
            kept = Path(save(path, *state)).read_bytes()
        return Path(path)

    checkpoint.save = keep  # type: ignore[assignment]
    try:
        whole = simulate(sc, duration, checkpoint=folder / "a.ck", checkpoint_s=0.0)
    finally:
        checkpoint.save = save
    assert whole.identical(ds)
    (folder / "b.ck").write_bytes(kept)
    return simulate(sc, duration, checkpoint=folder / "b.ck"), ds


def looked_at(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair | None:
    if not sc.contexts or sc.workload.demand:
        return None
    lengths_us = [rng.randint(1, round(duration * 1e6) - 1), round(duration * 1e6)]
    run = Running(sc, seed=SEED, lengths_us=lengths_us, snapshots=5)
    try:
        first = run.to(lengths_us[0])
        assert first.identical(simulate(sc, lengths_us[0] * 1e-6))
        return run.to(lengths_us[1]), ds
    finally:
        run.close()


def reusing(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair:
    for used_s in (duration / 3, duration):
        with reused():
            again = simulate(sc, used_s)
    return again, ds


def groups_split(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair | None:
    if sc.workload.demand or folio_runs(sc.workload) or any(c.sources for c in sc.contexts):
        return None
    out: list[tm.Group] = []
    for g in sc.workload.groups:
        step = g.stride if g.kind == "period" else 1
        cuts = range(g.lo + step, g.hi, step)
        if g.dirty_share or g.unevictable_share or g.sweep_ticks or not cuts:  # turns depend on the range
            out.append(g)
        else:
            at = rng.choice(cuts)
            out += [g.replace(hi=at), g.replace(lo=at)]
    other = simulate(sc.replace(workload=sc.workload.replace(groups=tuple(out))), duration)
    return _without_classes(other), _without_classes(ds)


def _without_classes(ds: Any) -> Any:
    """Return a run with its pages counted over all classes: which there are follows from the groups."""
    left = ds.drop_dims("page_class").drop_vars("access_share_bp")  # that is of the mean rate of each class
    return left.assign(pages=ds["class_pages"].sum("page_class"))


def nodes_renamed(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair | None:
    names = rng.sample(range(900), len(sc.machine.nodes))
    new = dict(zip([n.nid for n in sc.machine.nodes], names, strict=True))
    if any(c.sources for c in sc.contexts) or (sc.machine.performance and not sc.machine.performance.nodes):
        return None

    def renamed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            named = {k: renamed(v, k) for k, v in value.items()}
            path = str(value.get("path", ""))
            return named | {"value": renamed(value["value"], path.rpartition(".")[2])} if path else named
        if isinstance(value, list):
            return [renamed(v, key if key == "dests" else "") for v in value]
        return value

    def with_names(value: Any, where: str = "") -> Any:
        if isinstance(value, dict):
            value = {k: with_names(v, f"{where}.{k}") for k, v in value.items()}
            for k in ("nid", "target_nid"):
                if k in value:
                    value[k] = new.get(value[k], value[k] if value[k] < 0 else 1000)
            if "metric" in value and "target_value" in value and "nid" not in value:
                value["nid"] = new.get(0, 1000)
            if where.endswith(".dests") and "id" in value:
                value["id"] = new.get(value["id"], 1000)
            if where.endswith(".placement") and "nid" not in value and "start_bytes" not in value and "weights" not in value:
                value["nid"] = new.get(0, 0)
            if where.endswith(".performance.nodes") and "nid" not in value:
                value["nid"] = new.get(0, 0)
        return [with_names(v, where) for v in value] if isinstance(value, list) else value

    data = sc.to_dict()
    for k, node in enumerate(data["machine"].get("performance", {}).get("nodes", [])):
        node.setdefault("nid", sc.machine.nodes[k].nid)
    for place in data["workload"].get("placement", []):
        if "start_bytes" not in place:
            place.setdefault("nid", 0)
    other = tm.Scenario.from_dict(with_names(data))
    got = simulate(other, duration)
    return got.assign_coords(node=ds["node"].values), ds


def addresses_shifted(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair | None:
    shift = (1 << 20) * 4096
    rules = {s.dest_rule for c in sc.contexts for s in c.schemes if s.dests}
    if sc.machine.allocator == "buddy" or (sc.machine.numa_balancing and not sc.machine.numa_balancing.zones):
        return None  # zones of a PC begin and end where they do
    if "pfn_mod" in rules or "pfn_mod" in sc.to_json():
        return None

    def moved(span: Any, by: int = shift) -> Any:
        return tuple((a + by, b + by) for a, b in span)

    def in_filters(value: Any, by: int) -> Any:
        """Return a value of JSON with the addresses of its filters moved."""
        if isinstance(value, dict):
            new = {k: in_filters(v, by) for k, v in value.items()}
            return new | {k: new[k] + by for k in ("start_bytes", "end_bytes") if new.get("type") == "addr"}
        return [in_filters(v, by) for v in value] if isinstance(value, list | tuple) else value

    def context_moved(c: tm.Context, by: int) -> tm.Context:
        c = tm.Context.from_dict(in_filters(c.to_dict(), by))
        return c.replace(targets=tuple(t.replace(regions=moved(t.regions, by)) for t in c.targets))

    by = [shift // c.addr_unit if c.ops == "paddr" else 0 for c in sc.contexts]
    of_path = [re.match(r"contexts\.(\d+)\.", e.path) for e in sc.events]
    other = sc.replace(
        machine=sc.machine.replace(
            nodes=tuple(
                n.replace(ranges=moved(n.ranges)) if n.ranges else n.replace(start_bytes=n.start_bytes + shift)
                for n in sc.machine.nodes
            )
        ),
        workload=sc.workload.replace(
            placement=tuple(
                p.replace(start_bytes=p.start_bytes + shift) if p.start_bytes is not None else p for p in sc.workload.placement
            )
        ),
        contexts=tuple(map(context_moved, sc.contexts, by)),
        commits=tuple(c.replace(to=context_moved(c.to, by[c.context])) for c in sc.commits),
        events=tuple(
            e.replace(value=in_filters(e.value, by[int(at[1])])) if at else e for e, at in zip(sc.events, of_path, strict=True)
        ),
    )
    got = simulate(other, duration)
    if "region_start" not in ds:
        return got, ds
    of_region = np.repeat(np.array(by, np.uint64)[ds["snapshot_context"].values], ds["region_count"].values)
    return got, ds.assign({name: ds[name] + of_region for name in ("region_start", "region_end")})


def idle_added(sc: tm.Scenario, ds: Any, folder: Path, duration: float, rng: random.Random) -> Pair | None:
    last = len(sc.contexts) - 1
    if not any(c.schemes for c in sc.contexts) or any(e.path.startswith(f"contexts.{last}.schemes.") for e in sc.events):
        return None
    if any(c.context == last and len(c.to.schemes) != len(sc.contexts[last].schemes) for c in sc.commits):
        return None  # a scheme that a commit adds would take over from the idle one

    def with_idle(c: tm.Context) -> tm.Context:
        return c.replace(schemes=(*c.schemes, tm.Scheme("stat", enabled=False)))

    other = sc.replace(
        contexts=(*sc.contexts[:-1], with_idle(sc.contexts[-1])),
        commits=tuple(c.replace(to=with_idle(c.to)) if c.context == last else c for c in sc.commits),
    )
    return simulate(other, duration).isel(scheme=slice(0, -1)), ds


RELATIONS: tuple[Relation, ...] = (
    addresses_shifted, idle_added, groups_split, nodes_renamed, looked_at, resumed, reusing,
)  # fmt: skip
"""The last one can be had of every run, and few of the first."""
OF_THE_CALL = ("scenario", "parameters", "name", "sources")


def refusal(door: Callable[[], Any]) -> str:
    """Return what a door refuses, in one line; any other error is one of the test's."""
    said = ""
    try:
        door()
    except tm.TieringError as error:
        said = str(error)
        assert "\n" not in said
        assert said.isprintable()
    return said


def trial(sc: tm.Scenario, folder: Path, duration: float, chosen: int, few: bool = False) -> Iterator[str]:
    """Yield what is wrong with each door and relation that does not hold.

    `few`: beside the quick doors only one door or relation, the first from number `chosen` on that has something to do.
    """
    runs: list[Any] = []
    rng = random.Random(chosen)

    def door(opened: Door) -> bool:
        no = refusal(lambda: opened(sc, ds, folder, duration))
        assert opened not in QUICK or not no, no
        assert not refused or opened is not compared or no, f"run says {refused!r}, compare nothing"
        return ds is not None and not no

    def relation(held: Relation) -> bool:
        pairs: list[Pair | None] = []
        no = refusal(lambda: pairs.append(held(sc, ds, folder, duration, rng)))
        assert not no or (held is resumed and re.search("sources|without contexts", no)), no
        pair = pairs[0] if pairs else None
        if pair:
            same(*pair)
        return pair is not None

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=UserWarning, module="tieringmodel")
        try:
            refused = refusal(lambda: runs.append(simulate(sc, duration)))
        except Exception:
            yield f"run: {traceback.format_exc(limit=-4)}"
            return
        ds = runs[0] if runs else None
        once = [(f.__name__, partial(door, f)) for f in QUICK]
        turns = [(f.__name__, partial(relation, f)) for f in RELATIONS] if ds is not None else []
        turns += [(f.__name__, partial(door, f)) for f in DOORS]
        if few and ds is not None:
            turns = 4 * turns[:-1] + turns[-1:]  # files take a second
        at = chosen % len(turns) if few else 0
        for number, (name, go) in enumerate([*once, *turns[at:], *turns[:at]], start=1):
            try:
                done = go()
            except Exception:
                done = True
                yield f"{name}: {traceback.format_exc(limit=-4)}"
            if few and done and number > len(once):
                break


def same(one: Any, other: Any) -> None:
    """Refuse datasets that differ in a variable, a coordinate, or an attribute that is not about the call."""
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=str(name))
    for name in one.attrs:
        if name not in OF_THE_CALL and not (isinstance(one.attrs[name], float) and math.isnan(one.attrs[name])):
            assert one.attrs[name] == other.attrs[name], name
