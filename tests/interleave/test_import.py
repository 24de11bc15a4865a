"""The room opens without numba, scipy or xarray."""

import subprocess
import sys

import pytest

import tieringmodel.interleave as room


def test_importing_the_room_is_cheap():
    code = "import sys, tieringmodel.interleave; print([m for m in ('numba', 'scipy', 'xarray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names():
    assert dir(room) == sorted(room.__all__)
    for name in room.__all__:
        assert getattr(room, name).__doc__
    with pytest.raises(AttributeError, match="attribute runn"):
        _ = room.runn
