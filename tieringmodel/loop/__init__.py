"""The control loop on one page count per quota window: the exact integer tuners with a plant, a delay and a leak.

Thousands of times cheaper than the page-level model, and run by the same tuner functions.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
