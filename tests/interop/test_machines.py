"""Nodes from zoneinfo and lsmem: where RAM lies, and what is refused."""

import json

import pytest

import tieringmodel as tm
from tieringmodel.interop.machines.lsmem import from_lsmem
from tieringmodel.interop.machines.zoneinfo import from_zoneinfo

GIB = 1 << 30


def zone(nid, name, start, spanned, present, managed, free, least, protection="(0, 0, 0, 0, 0)"):
    """Return the lines of a zone that are read, among others."""
    return (
        f"Node {nid}, zone {name:>8}\n  per-node stats\n      nr_inactive_anon 100\n  pages free     {free}\n"
        f"        min      {least}\n        low      {least + 1}\n        spanned  {spanned}\n        present  {present}\n"
        f"        managed  {managed}\n        cma      0\n        protection: {protection}\n      nr_free_pages {free}\n"
        f"  pagesets\n    cpu: 0\n              count:    7\n  node_unreclaimable:  0\n  start_pfn:           {start}\n"
    )


LOW = zone(0, "DMA", 1, 4095, 3998, 3840, 3584, 6, "(0, 1925, 3908, 3908, 3908)") + zone(
    0, "DMA32", 4096, 1044480, 520157, 492862, 491574, 794, "(0, 0, 1983, 1983, 1983)"
).replace("      nr_inactive_anon 100\n", "")
HIGH = zone(0, "Normal", 1048576, 524288, 524288, 507731, 473109, 822).replace("      nr_inactive_anon 100\n", "")
FAR = zone(1, "Normal", 1572864, 524288, 524288, 515849, 509596, 835)
EMPTY = zone(1, "Movable", 0, 0, 0, 0, 0, 32)


def test_zoneinfo_of_a_pc_with_the_hole_inside_node_0():
    """A PC's DMA32 zone spans up to 4 GiB and is present in the lower half: the rest is the PCI hole."""
    near, far = from_zoneinfo(LOW + HIGH + FAR + EMPTY, "zoneinfo.txt")
    assert near.ranges == ((0, 2 * GIB), (4 * GIB, 6 * GIB))
    managed = 3840 + 492862 + 507731
    assert near.unmanaged_bytes == 4 * GIB - managed * 4096
    assert near.kernel_bytes == (managed - 3584 - 491574 - 473109 - 100) * 4096
    assert near.reserve_pages == 3840 + 794 + 1983 + 822  # what is protected of DMA is more than it has
    assert (far.nid, far.start_bytes, far.sz_bytes, far.ranges) == (1, 6 * GIB, 2 * GIB, ())
    assert tm.Machine((near, far)).extent == (0, 8 * GIB)


def test_zoneinfo_keeps_bounds_that_two_nodes_share():
    """Rounding to 2 MiB must not take frames of the neighbour."""
    near, far = from_zoneinfo(zone(0, "DMA32", 0, 700, 700, 700, 0, 0) + zone(1, "Normal", 700, 500, 500, 500, 0, 0), "z")
    assert near.system_ram == ((0, 700 * 4096),)
    assert far.system_ram == ((700 * 4096, 3 * 512 * 4096),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MemTotal: 12 kB\n", r"z: names no zone with memory; give the text of /proc/zoneinfo"),
        (EMPTY, r"z: names no zone with memory"),
        (FAR.replace("managed", "mangaed"), r"z:1: the zone has no 'managed'"),
        (LOW + FAR.replace("present  524288", "present  524289"), r"z:34: 524289 pages are present of 524288"),
        (zone(0, "Normal", 0, 1024, 1024, 1024, 0, 1) + zone(1, "Normal", 512, 512, 512, 512, 0, 1), "nodes 0 and 1 overlap"),
        (zone(0, "Normal", 0, 1024, 1024, 1024, 1025, 1), "z:1: node 0 has 1025 pages free of 1024 managed"),
    ],
)
def test_zoneinfo_that_is_refused(text, message):
    """Errors name file, line and what is wrong."""
    with pytest.raises(tm.InputError, match=message):
        from_zoneinfo(text, "z")


def lsmem(*rows):
    """Return what lsmem --json prints."""
    return json.dumps({"memory": [dict(zip(("range", "state", "node"), row, strict=True)) for row in rows]})


def test_lsmem_with_holes_and_offline_blocks():
    """Rows of one node that touch are one range; what is offline is none."""
    nodes = from_lsmem(
        lsmem(
            ("0x0000000000000000-0x0000000007ffffff", "online", 0),
            ("0x0000000008000000-0x000000007fffffff", "online", "0"),
            ("0x0000000100000000-0x000000017fffffff", "online", 0),
            ("0x0000000180000000-0x00000001ffffffff", "online", 1),
            ("0x0000000200000000-0x00000002ffffffff", "offline", 1),
        ),
        "lsmem.json",
    )
    assert nodes == (
        tm.Node(0, ranges=((0, 2 * GIB), (4 * GIB, 6 * GIB))),
        tm.Node(1, 6 * GIB, 2 * GIB),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "has no list 'memory'; run lsmem --json -o RANGE,STATE,NODE"),
        ("[]", "has no list 'memory'"),
        ('{"memory": [{"range": "0x0-0xfff", "state": "online"}]}', r"memory\[0\]: has no 'node'"),
        ('{"memory": ["0x0"]}', r"memory\[0\]: '0x0' is not an object"),
        (lsmem(("0-5", "online", 0)), r"memory\[0\]\.range: '0-5' is not first-last address"),
        (lsmem(("0x5000-0x1fff", "online", 0)), r"memory\[0\]\.range: "),
        (lsmem(("0x0-0xfff", "online", "-")), r"memory\[0\]\.node: '-' is not the number of a node"),
        (lsmem(("0x0-0xfff", "offline", 0)), "lists no memory that is online"),
        (lsmem(("0x0-0x1fff", "online", 0), ("0x1000-0x2fff", "online", 1)), "nodes 0 and 1 overlap at 0x1000"),
        ("{", "is not JSON"),
    ],
)
def test_lsmem_that_is_refused(text, message):
    """Errors say what is missing and how to get it."""
    with pytest.raises(tm.InputError, match=message):
        from_lsmem(text, "lsmem.json")
