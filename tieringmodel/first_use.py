"""Compile everything once, so that the first real run starts warm."""

from __future__ import annotations

from .units import MIB


def warmup() -> float:
    """Compile the kernels that a run needs into the disk cache.

    Returns
    -------
    float
        Seconds it took.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> seconds = tm.warmup()
    """
    import time

    from .scenario import Attrs, Context, Group, Machine, Placement, Quota, Scenario, Scheme, Workload
    from .simulation.simulate import simulate

    start = time.perf_counter()
    scheme = Scheme("migrate_hot", target_nid=0, quota=Quota(sz_bytes=MIB, reset_interval_ms=100))
    scenario = Scenario(
        Machine.dram_cxl("16 MiB", "16 MiB"),
        Workload(2048, groups=(Group(0, 512, rate_hz=100.0),), placement=(Placement(0, 2048, 1),)),
        (Context(attrs=Attrs(max_nr_regions=100), schemes=(scheme,)),),
    )
    simulate(scenario, duration=1.0, progress=False)
    return time.perf_counter() - start
