"""Where access information comes from: accessed bits, hint faults, device counters, sampled instructions, and their fusion.

One protocol, `HotnessSource`: what the workload did in an interval goes in, reports come out, at a cost. `source` makes one by
name, `register_source` adds one's own; `watch` runs one, `compare_sources` several, also at equal cost; `fuse` joins what
several found; `promotion_study` lets hint faults promote pages.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
