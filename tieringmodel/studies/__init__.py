"""Where the RFC's claims come true and where not; what becomes of one or two loops over maps of their parameters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
