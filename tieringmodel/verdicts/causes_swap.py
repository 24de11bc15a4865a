"""What a swap device makes of a quota: pages first written to a disk count as failed, and hardly as charged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..units import format_bytes
from .record import Cause
from .state import State

BROKEN = 2.0
"""A quota is broken if so many times its bytes pass between two records."""


def broken_quotas(state: State) -> Iterator[Cause]:
    """Yield schemes whose failures are charged in part, and which let several quotas pass to a disk at once."""
    run = state.run
    of = run.scenario.machine.swap
    if of is None or of.kind != "disk" or not run.has("device_wait_us"):
        return
    waited, written = run.values("device_wait_us"), run.values("device_written_pages")
    for one in (s for s in run.schemes if s.reclaims and s.acts and s.scheme.quota.fail_charge_denom):
        passed, esz = run.column("sz_ops_filter_passed", one.number), run.esz_bytes(one)
        applied = run.column("sz_applied", one.number)
        if passed is None or applied is None:
            continue
        unit = one.context.addr_unit
        at_once = np.diff(passed, prepend=0.0) * unit
        failed = at_once - np.diff(applied, prepend=0.0) * unit
        broken = (esz > 0) & (failed > BROKEN * esz) & (written > 0)
        if not broken.any():
            continue
        k = int(np.argmax(np.where(broken, failed, 0.0)))
        quota = one.scheme.quota
        text = (
            f"{format_bytes(at_once[k])} passed at once under a quota of {format_bytes(esz[k])}: a page first written to disk "
            f"is not freed yet, counts as failed and is charged {quota.fail_charge_num}/{quota.fail_charge_denom}; kdamond "
            f"waited {waited[k] * 1e-6:.1f} s for the device"
        )
        evidence = {
            "passed_bytes": float(at_once[k]),
            "failed_bytes": float(failed[k]),
            "esz_bytes": float(esz[k]),
            "at_s": float(run.time[k]),
            "waited_s": float(waited[k]) * 1e-6,
            "written_pages": float(written[k]),
        }
        yield Cause("quota-broken", one.number, text, evidence)
