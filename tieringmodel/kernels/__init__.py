"""Numba kernels: arrays and scalars in, arrays out. Nothing here knows a scenario, a file or a plot."""
