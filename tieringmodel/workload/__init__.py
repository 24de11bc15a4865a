"""Who touches which page and when: families of workloads, and what is true about them."""

from .families import (
    FAMILIES,
    NAMED,
    Classes,
    NamedCase,
    access_rate_hz,
    build,
    drift,
    exchange,
    hot_set,
    mix,
    named,
    page_rate_hz,
    power_law,
    power_law_classes,
    rotate,
    scatter,
    sequence,
    step,
    streaming,
    two_level,
    uniform,
    zipf,
    zipf_classes,
)

__all__ = [
    "FAMILIES", "NAMED", "Classes", "NamedCase", "access_rate_hz", "build", "drift", "exchange", "hot_set", "mix", "named",
    "page_rate_hz", "power_law", "power_law_classes", "rotate", "scatter", "sequence", "step", "streaming", "two_level",
    "uniform", "zipf", "zipf_classes",
]  # fmt: skip
