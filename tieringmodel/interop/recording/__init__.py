"""Recordings of a real kernel: their files, their tables, the scenario that repeats them."""
