"""Folios above 4 KiB, and per-CPU lists that hide free memory."""

from __future__ import annotations

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.damon.weighted import vma_index
from tieringmodel.interleave import vaddr_dest_index
from tieringmodel.interop.machines.read import GivenMachine
from tieringmodel.interop.surroundings import surround
from tieringmodel.linting.scheme_facts import in_base_pages
from tieringmodel.simulation.engine import Engine

MIB = 1 << 20
ORDER = 9
BIG = 4096 << ORDER


def machine(size: int, folio: int) -> tm.Machine:
    """Two nodes of `size` bytes."""
    return tm.Machine((tm.Node(0, 0, size, reserve_pages=3, kernel_bytes=4 * folio), tm.Node(1, size, size)), folio_bytes=folio)


def pair(folio: int, unit: int, quota: int) -> tm.Scenario:
    """A pull scheme and a push scheme over 2 * 4096 pages of `folio` bytes, in core addresses of `unit` bytes."""
    schemes = tuple(
        tm.Scheme(
            action=action, target_nid=nid, access_pattern=tm.AccessPattern(min_nr_accesses=low, max_nr_accesses=high),
            quota=tm.Quota(
                sz_bytes=quota, reset_interval_ms=200, goal_tuner="temporal",
                goals=(tm.Goal("node_mem_used_bp", 6000, nid=nid),),
            ),
        )
        for action, nid, low, high in (("migrate_hot", 0, 3, 20), ("migrate_cold", 1, 0, 0))
    )  # fmt: skip
    context = tm.Context(attrs=tm.Attrs(sample_us=5000, aggr_us=100_000), addr_unit=unit, min_region_sz=4096, schemes=schemes)
    workload = tm.Workload(
        5000, (tm.Group(0, 1500, rate_hz=300.0), tm.Group(3000, 3300, rate_hz=60.0)),
        (tm.Placement(0, 2000, 0), tm.Placement(2000, 5000, 1)),
    )  # fmt: skip
    return tm.Scenario(machine(4096 * folio, folio), workload, (context,))


def test_folios_with_as_large_core_units_are_pages_under_another_name() -> None:
    """Core address x * unit, page size and quota all 512 times larger: nothing that is counted may change."""
    small, large = (
        tm.simulate(pair(4096 << order, 1 << order, 2 * MIB), duration="6 s", seed=3, progress=False) for order in (0, ORDER)
    )
    assert small["migrated_pages"].sum() > 300
    for name in ("used_pages", "migrated_pages", "nr_regions", "region_nr_accesses", "sz_tried", "sz_applied", "score"):
        np.testing.assert_array_equal(small[name].values, large[name].values, err_msg=name)
    np.testing.assert_array_equal(small["region_start"].values, large["region_start"].values)


def counted(folio: int, regions: list[tuple[int, int]], **scheme: object) -> np.void:
    """Scheme statistics of one pass over given regions of a machine whose first 8 folios are taken, on node 1 else."""
    m = tm.Machine((tm.Node(0, 0, 64 * folio), tm.Node(1, 64 * folio, 64 * folio)), folio_bytes=folio)
    context = tm.Context(
        attrs=tm.Attrs(sample_us=5000, aggr_us=5000, min_nr_regions=3), targets=(tm.Target(tuple(regions)),),
        schemes=(tm.Scheme(**{"action": "migrate_hot", "target_nid": 1} | scheme),),
    )  # fmt: skip
    engine = Engine(tm.Scenario(m, tm.Workload(8), (context,)))
    kdamond = engine.kdamonds[0]
    kdamond.next_apply = [0] * len(kdamond.next_apply)
    kdamond.apply_schemes()
    return kdamond.schemes[0]


def test_a_folio_across_two_regions_is_handled_once_and_whole() -> None:
    """Three regions of 4 KiB, 8 KiB and 3 MiB in folios 0 and 1 of 2 MiB."""
    regions = [(0, 4096), (4096, 12288), (12288, 12288 + 3 * MIB)]
    row = counted(BIG, regions)
    assert (row["sz_tried"], row["nr_tried"]) == (12288 + 3 * MIB, 5), "min_nr_regions cuts the third in three"
    assert row["sz_ops_filter_passed"] == 2 * BIG
    assert row["sz_applied"] == 2 * BIG
    assert row["nr_applied"] == 2


def test_a_rejected_folio_is_looked_up_once_too() -> None:
    reject = tm.Filter("hugepage_size", matching=True, allow=False, min_bytes=BIG, max_bytes=BIG)
    assert counted(BIG, [(0, 4096), (4096, 8192)], filters=(reject,))["sz_ops_filter_passed"] == 0
    small = counted(4096, [(0, 4096), (4096, 8192)], filters=(reject,))
    assert small["sz_ops_filter_passed"] == 8192


def test_weighted_destinations_count_folios() -> None:
    vma = (tm.Vma(0, 64, 7 << 21, pgoff=1536),)
    index = vma_index(vma, np.arange(64), ORDER)
    weights = (3, 2)
    for page in range(64):
        addr = (7 << 21) + page * BIG
        chosen = vaddr_dest_index(1536, 7 << 21, addr, ORDER, 9, (0, 1), weights)
        assert chosen == (0 if int(index[page]) % 5 < 3 else 1)


@pytest.mark.parametrize("rule", ["pfn_mod", "iid"])
def test_weights_on_physical_addresses_deal_whole_folios(rule: str) -> None:
    dealing = tm.Scheme(action="migrate_hot", dests=(tm.Dest(0, 1), tm.Dest(1, 1)), dest_rule=rule)
    context = tm.Context(attrs=tm.Attrs(sample_us=5000, aggr_us=100_000), schemes=(dealing,))
    ds = tm.simulate(tm.Scenario(machine(512 * BIG, BIG), tm.Workload(400), (context,)), duration="1 s", seed=1, progress=False)
    moved = int(ds["migrated_pages"].sum())
    assert moved * BIG == int(ds["sz_applied"][-1, 0])
    assert 100 < moved


def test_lint_counts_bytes_whatever_the_folio() -> None:
    scenario = pair(BIG, 1, 8 * MIB)
    found = {f.code: f for f in tm.lint(scenario)}
    assert "large-folios" in found
    assert "512 times" in found["large-folios"].message
    base = in_base_pages(scenario)
    assert base.workload.n_pages == 5000 << ORDER
    assert base.machine.nodes[0].reserve_pages == 3 << ORDER
    assert {f.code for f in tm.lint(base)} == set(found) - {"large-folios"}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"folio_bytes": 6144}, "folio_bytes"),
        ({"folio_bytes": 2048}, "folio_bytes"),
        ({"folio_bytes": 1 << 31}, "folio_bytes"),
        ({"percpu_lists": 5000}, "percpu_lists"),
        ({"percpu_lists": 2, "folio_bytes": 1 << 16}, "percpu_lists"),
    ],
)
def test_what_machines_refuse(change: dict[str, int], where: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        machine(64 * MIB, 4096).replace(**change)
    assert where in caught.value.where


def test_nodes_and_mappings_must_be_aligned_to_folios() -> None:
    with pytest.raises(tm.InputError, match="multiple of folio_bytes"):
        tm.Machine((tm.Node(0, 0, 3 * MIB),), folio_bytes=BIG)
    with pytest.raises(tm.InputError, match="page size"):
        tm.Scenario(machine(64 * BIG, BIG), tm.Workload(8, vmas=(tm.Vma(0, 8, MIB),)))


def test_too_many_frames_are_refused_before_anything_is_allocated() -> None:
    huge = tm.Machine((tm.Node(0, 0, 1 << 45),))
    with pytest.raises(tm.InputError, match="folio_bytes = '2 MiB'"):
        Engine(tm.Scenario(huge, tm.Workload(8)))


def test_free_memory_shows_late_and_shows_in_the_end() -> None:
    """A goal on MemFree lets more be moved than was asked for: freed pages wait on per-CPU lists, for some seconds.

    Lists of this node have batches of 3 pages and keep some 32 batches under such traffic (zone_batchsize).
    """
    push = tm.Scheme(
        action="migrate_cold", target_nid=1,
        quota=tm.Quota(
            sz_bytes=MIB // 8, reset_interval_ms=200, goal_tuner="temporal", goals=(tm.Goal("node_mem_free_bp", 5000, nid=0),)
        ),
        access_pattern=tm.AccessPattern(max_nr_accesses=0),
    )  # fmt: skip
    context = tm.Context(attrs=tm.Attrs(sample_us=5000, aggr_us=100_000), schemes=(push,))

    def run(m: tm.Machine) -> tuple[int, list[int]]:
        ds = tm.simulate(tm.Scenario(m, tm.Workload(8_500), (context,)), duration="30 s", seed=1, progress=False)
        return int(ds["free_pages"][-1, 0]), ds["goal_current"].values[:, 0].tolist()

    plain = tm.Machine((tm.Node(0, 0, 64 * MIB), tm.Node(1, 64 * MIB, 64 * MIB)))
    (prompt, _), (late, seen) = run(plain), run(plain.replace(percpu_lists=2))
    assert 8192 <= prompt < 8192 + 32
    assert prompt < late <= prompt + 2 * 32 * 3 + 32
    # After the last page has moved lists shrink, to each CPU's part of the low watermark (226 pages) at most.
    assert 0 < late * 10_000 // 16_384 - seen[-1] <= 1 + 226 * 10_000 // 16_384


def test_pages_on_lists_at_the_start_are_not_in_memfree() -> None:
    nodes = (tm.Node(0, 0, 64 * MIB, percpu_pages=1500), tm.Node(1, 64 * MIB, 64 * MIB))
    memory = Engine(tm.Scenario(tm.Machine(nodes, percpu_lists=2), tm.Workload(100))).memory
    assert memory.visible_free(0) == 16_384 - 100 - 1500
    assert memory.visible_free(1) == 16_384


def test_bytes_of_a_folio_machine_are_folios() -> None:
    """What sweeps and costs say in bytes grows 512 times with the folio; what they say in folios does not."""
    both = [tm.sweep(pair(4096 << o, 1 << o, 2 * MIB), {"seed": [3]}, duration="3 s", progress=False) for o in (0, ORDER)]
    small, large = (float(ds["migrated_mib_s"].item()) for ds in both)
    assert small > 0
    assert large == pytest.approx(512 * small, rel=1e-12)
    runs = [tm.simulate(pair(4096 << o, 1 << o, 2 * MIB), duration="3 s", seed=3, progress=False) for o in (0, ORDER)]
    base = tm.cost.control_cost(runs[0], folio="4 KiB")["cpu_s"]
    huge = tm.cost.control_cost(runs[1], folio="2 MiB")["cpu_s"]
    for part in ("access checks", "migration walk", "region upkeep"):
        assert float(huge.sel(component=part, estimate="default")) == float(base.sel(component=part, estimate="default"))
    copied = [float(c.sel(component="copies", estimate="default")) for c in (base, huge)]
    assert copied[1] / copied[0] == pytest.approx(190 / 1.24)


def test_the_assumed_workload_is_counted_in_folios() -> None:
    size = 8 << 30
    scenario, said = surround((tm.Context(),), GivenMachine(machine(size, BIG)), None)
    room = 2 * size - 4 * BIG
    assert scenario.workload.n_pages == room // BIG // 2
    assert "total=8188M" in said[0]
    fixed = tm.Context(ops="vaddr", targets=(tm.Target(((BIG, 3 * BIG),)),))
    scenario, _ = surround((fixed,), GivenMachine(machine(size, BIG)), None)
    assert [(v.lo, v.hi, v.start_bytes, v.pgoff) for v in scenario.workload.vmas] == [(0, 2, BIG, 1)]


def test_workloads_counted_in_base_pages_do_not_go_beside_folios(tmp_path) -> None:
    (tmp_path / "w.masim").write_text("a, 409600\n\np\n1000\na, 1, 1, 1\n")
    text = pair(BIG, 512, 2 * MIB).to_toml()
    family = '[workload.family]\nkind = "masim"\nfile = "w.masim"\naccesses_per_s = 1000\n'
    (tmp_path / "s.toml").write_text(text[: text.index("[workload]")] + family)
    with pytest.raises(tm.InputError, match=r"workload\.family: counts pages of 4 KiB"):
        tm.load(tmp_path / "s.toml")
