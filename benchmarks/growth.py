"""How the time of an aggregation grows: ``python benchmarks/growth.py [--pages LOG2]``.

Writes docs/figures/growth.png and prints a table with the slopes in double logarithmic scale: 0 = no growth, 1 = linear.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.loop import Counted
from benchmarks.measure import Table, short
from benchmarks.scenarios import ALL_WARM, tiered
from tieringmodel.scenario import Attrs, Scenario
from tieringmodel.simulation.engine import Engine

FIGURE = Path(__file__).resolve().parent.parent / "docs" / "figures" / "growth.png"
AGGREGATIONS = 20


def scenario(log2_pages: int, regions: int, schemes: int = 1, contexts: int = 1) -> Scenario:
    """Return the benchmarks' scenario with about that many regions, each of them looked at by `schemes` schemes."""
    base = tiered(4096 << log2_pages, areas=256, rates_hz=ALL_WARM)
    one = base.contexts[0]
    attrs = Attrs(min_nr_regions=regions, max_nr_regions=max(regions + regions // 2, 12))
    context = one.replace(attrs=attrs, schemes=one.schemes * schemes)
    return base.replace(contexts=(context,) * contexts)


def cost(one: Scenario, repeats: int = 5) -> tuple[float, float]:
    """Return (mean regions of a context, microseconds of processor time per aggregation of all contexts), the median."""
    observer = Counted()
    engine = Engine(one, seed=1, observer=observer)
    engine.run(2_000_000)
    observer.counts.clear()
    took = []
    for _ in range(repeats):
        began = time.process_time()
        engine.run(AGGREGATIONS * 100_000)
        took.append(1e6 * (time.process_time() - began) / AGGREGATIONS)
    return float(np.mean(observer.counts)), float(np.median(took))


def curves(most_pages: int) -> Iterator[tuple[str, list[float], list[float]]]:
    """Yield (what grows, its values, microseconds per aggregation)."""
    pages = range(18, most_pages + 1, 2)
    yield "pages", [2.0**k for k in pages], [cost(scenario(k, 100))[1] for k in pages]
    found = [cost(scenario(22, n), 3) for n in (10, 100, 1_000, 10_000, 100_000)]
    yield "regions", [n for n, _ in found], [us for _, us in found]
    counts = (1, 2, 4, 8)
    yield "schemes", [float(k) for k in counts], [cost(scenario(22, 100, schemes=k))[1] for k in counts]
    counts = (1, 2, 3, 4)
    yield "contexts", [float(k) for k in counts], [cost(scenario(22, 100, contexts=k), 9)[1] for k in counts]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, draw the figure."""
    parser = argparse.ArgumentParser(prog="benchmarks/growth.py", description="Measure how an aggregation's time grows.")
    parser.add_argument("--pages", type=int, default=28, metavar="LOG2", help="largest machine: 28 = 1 TiB")
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    table = Table(
        "Growth of the time of one aggregation (20 sampling ticks, processor time)",
        ("what grows", "from ... to", "us from ... to", "slope (log-log)"),
        "100 regions and 2^22 pages where nothing else is said. Several contexts share the pages' accessed state and\n"
        "take turns in order of time, which costs more than a single context's batches.",
    )
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained", sharey=True)
    for axis, (name, x, us) in zip(axes, curves(options.pages), strict=True):
        slope = float(np.polyfit(np.log(x), np.log(us), 1)[0])
        last = float(np.diff(np.log(us[-2:]))[0] / np.diff(np.log(x[-2:]))[0])
        slopes = f"{slope:.2f} (last step {last:.2f})"
        table.add(name, f"{short(x[0])} ... {short(x[-1])}", " ".join(short(v) for v in us), slopes)
        axis.loglog(x, us, "o-", color="#0072B2")
        axis.set_xticks(x, [f"$2^{{{round(np.log2(v))}}}$" if name == "pages" else f"{v:,.0f}" for v in x], fontsize=7)
        axis.minorticks_off()
        axis.set(xlabel=name, title=f"slope {slope:.2f}, last step {last:.2f}")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("µs per aggregation")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=150)
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
