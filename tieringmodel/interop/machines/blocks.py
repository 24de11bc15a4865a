"""Ranges of RAM as Linux tells them, made into ranges of whole blocks."""

from __future__ import annotations

from itertools import pairwise

from ...errors import InputError

Ram = tuple[int, int, int]
"""Start and end in physical bytes, and the node's id."""


def widened(ram: list[Ram], grain: int, where: str) -> list[Ram]:
    """Return ranges in order of address, their bounds rounded outwards to `grain` bytes where nodes leave room for it.

    Ranges of one node that touch or overlap when rounded are joined. A block that parts of two nodes lie in stays as told.

    Raises
    ------
    InputError
        If ranges of two nodes overlap as they are told.
    """
    ram = sorted(ram)
    for (_, end, nid), (start, _, other) in pairwise(ram):
        if start < end and nid != other:
            text = f"nodes {nid} and {other} overlap at {start:#x}"
            raise InputError(where, text, "describe the nodes' ranges in a TOML file: [machine] nodes = [{ranges = …}]")
    out: list[Ram] = []
    for i, (start, end, nid) in enumerate(ram):
        low, high = start // grain * grain, -(-end // grain) * grain
        if i and ram[i - 1][2] != nid and -(-ram[i - 1][1] // grain) * grain > low:
            low = start
        if i + 1 < len(ram) and ram[i + 1][2] != nid and ram[i + 1][0] // grain * grain < high:
            high = end
        if out and out[-1][2] == nid and low <= out[-1][1]:
            low, high = out[-1][0], max(out.pop()[1], high)
        out.append((low, high, nid))
    return out
