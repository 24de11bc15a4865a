"""The RFC's claims as experiments, and maps of what settles over the parameters of a scheme."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
