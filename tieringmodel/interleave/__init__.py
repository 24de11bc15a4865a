"""Weighted page placement, with page identity (VMA offset, rmap) and without it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
