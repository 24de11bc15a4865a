"""The published anchor cases hold, and a case that fails says where."""

from tieringmodel.validate.theory.anchors_weights import Checks, cases


def test_every_case_holds():
    found = cases()
    assert [c.name for c in found] == [
        "P1",
        "P2",
        "P3",
        "P4",
        "P5",
        "table:iid",
        "table:iid_q2",
        "table:pfn_mod_fresh",
        "table:pfn_mod_lifo",
        "table:vma_offset",
        "table:vma_offset_stride5",
    ]
    assert [c for c in found if not c.ok] == []
    assert {c.kind for c in found} == {"anchor"}
    assert all(c.checked and c.detail for c in found)


def test_a_wrong_number_is_reported():
    checks = Checks()
    checks.near("share", 0.5, 0.4, 0.01)
    checks.exact("moved", [3, 4], [3, 0])
    checks.near("rate", float("nan"), 0.0, 1.0)
    case = checks.case("X")
    assert not case.ok
    assert case.checked == 4
    assert case.detail.startswith("share: expected 0.4 ± 0.01, got 0.5; moved: expected [3, 0], got [3, 4]; rate")
