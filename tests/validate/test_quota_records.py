"""Recorded quota resets are replayed exactly, and a single changed number is found and named."""

import shutil
from pathlib import Path

import pytest

from tieringmodel.errors import InputError
from tieringmodel.validate.recorded.quota_records import cases

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"
HEADER = (
    "seq,tuner,step,t_ms,n_goals,target0,current0,target1,current1,target2,current2,bytes_cap,ms_cap,n_resets_seen,"
    "score_kprobe,esz_trace,effective_bytes,nr_tried,sz_tried,qt_exceeds,nr_snapshots\n"
)


def test_every_recorded_reset_agrees():
    found = cases(RECORDINGS)
    assert [c.name for c in found if not c.ok] == []
    assert {c.name: c.checked for c in found} == {
        # 772 scores, of which 652 without time quota: effective bytes and trace of each
        "A_quota_steps/quota_steps.csv": 772 + 2 * 652,
        # score, effective bytes and change of each reset
        "C1_tier_temporal/resets.csv": 3 * 240,
        "C2_tier_consist/resets.csv": 3 * 336,
        "C3_pullpush_temporal/resets.csv": 3 * 178,
        "C5_tier_temporal_shift/resets.csv": 3 * 202,
        "C8_pullpush_temporal_q2M/resets.csv": 3 * 206,
        "C10_tier_consist_farstart/resets.csv": 3 * 438,
        "C12_pullpush_consist_long/resets.csv": 3 * 920,
        "E3_pullpush_temporal_defaults/resets.csv": 3 * 144,
        "E5_hole_inside_node0/resets.csv": 3 * 70,
        "F1_thp_mixed_pullpush/resets.csv": 3 * 140,
        "F2_thp_off_pullpush/resets.csv": 3 * 160,
        "G2_numab_with_damon_demotion/resets.csv": 3 * 82,
        "H2_vaddr_weights_vs_paddr_goal_stride31/resets_k1.csv": 3 * 47,
        "J1_pageout_psi_zram/resets.csv": 3 * 65,
        "J2_pageout_freebp_disk/resets.csv": 3 * 13,
        "K1_online_commit/resets.csv": 3 * 164,  # with what was committed at 40 s and 80 s
    }


@pytest.fixture
def run(tmp_path):
    def make(name, file, line, old, new):
        target = tmp_path / name
        if not target.exists():
            shutil.copytree(RECORDINGS / name, target)
        lines = (target / file).read_text().split("\n")
        assert old in lines[line - 1]
        lines[line - 1] = lines[line - 1].replace(old, new)
        (target / file).write_text("\n".join(lines))
        return cases(target)

    return make


def test_a_changed_quota_step_is_named(run):
    # line 20 is step 18 of the first sequence, at score 0: 2**19 bytes
    (case,) = run("A_quota_steps", "quota_steps.csv", 20, ",524288,524288,", ",524288,524289,")
    assert not case.ok
    expected = "A_quota_steps/quota_steps.csv:20 (sequence c1_saturate, step 18): effective_bytes: "
    assert case.detail == expected + "expected 524289, got 524288"


def test_a_changed_goal_shows_in_the_score(run):
    (case,) = run("A_quota_steps", "quota_steps.csv", 2, ",10000,0,", ",10000,1,")
    assert case.detail.endswith("(sequence c1_saturate, step 0): score_kprobe: expected 0, got 1")


def test_a_changed_reset_is_named(run):
    (case,) = run("C3_pullpush_temporal", "resets.csv", 4, "16777216", "16777215")
    assert case.detail == "C3_pullpush_temporal/resets.csv:4 (scheme 0): esz: expected 16777215, got 16777216"


def test_a_score_that_no_share_gives_is_named(run):
    # shares over 4000 come in steps of 2.5 bp: 25000 and 24997 exist, 24998 does not
    (case,) = run("C3_pullpush_temporal", "resets.csv", 3, "25000", "24998")
    assert case.detail == "C3_pullpush_temporal/resets.csv:3 (scheme 1): score: expected 24998, got 24997"


def test_a_changed_cap_is_found(run):
    (case,) = run("C1_tier_temporal", "damon_config.txt", 36, "quotas/bytes 16777216", "quotas/bytes 8388608")
    assert case.detail == "C1_tier_temporal/resets.csv:2 (scheme 0): esz: expected 16777216, got 8388608"


def test_a_broken_file_is_a_failed_case(run):
    (case,) = run("C1_tier_temporal", "resets.csv", 3, "10976", "x")
    assert not case.ok
    assert "resets.csv:3: score is 'x'" in case.detail


def test_two_goals_and_time_quota(tmp_path):
    rows = [
        # the better achieved goal decides: 12000, so 10000 -> 10000; then 5000 -> 15000
        "a,consist,0,1.0,2,6000,3000,5000,6000,,,0,0,1,12000,1,1,0,0,0,0",
        "a,consist,1,2.0,2,6000,3000,5000,2500,,,0,0,1,5000,,1,0,0,0,0",
        # under a time quota only the score is compared
        "b,temporal,0,1.0,1,10000,9000,,,,,0,10,1,9000,77,77,0,0,0,0",
    ]
    (tmp_path / "quota_steps.csv").write_text(HEADER + "\n".join(rows) + "\n")
    (case,) = cases(tmp_path)
    assert (case.ok, case.checked) == (True, 3 + 2 * 2), case.detail


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,consist,0,1.0,2,6000,3000,,,,,0,0,1,5000,1,1,0,0,0,0", "goal 1 of 2 has current None, target None"),
        ("a,consist,0,1.0,1,6000,3000,,,,,0,0,2,5000,1,1,0,0,0,0", "n_resets_seen: expected 1, got 2"),
        ("a,pid,0,1.0,1,6000,3000,,,,,0,0,1,5000,1,1,0,0,0,0", "tuner 'pid' is unknown"),
    ],
)
def test_rows_that_cannot_be_replayed_fail(tmp_path, row, words):
    (tmp_path / "quota_steps.csv").write_text(HEADER + row + "\n")
    (case,) = cases(tmp_path)
    assert not case.ok
    assert words in case.detail


def test_empty_table_is_no_evidence(tmp_path):
    (tmp_path / "quota_steps.csv").write_text(HEADER)
    (case,) = cases(tmp_path)
    assert (case.ok, case.detail) == (False, "nothing to compare")


def test_folders(tmp_path):
    assert cases(tmp_path) == []
    with pytest.raises(InputError, match="not a directory"):
        cases(tmp_path / "none")
