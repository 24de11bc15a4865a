"""Vectors and whole runs of the kernel's own C code, replayed."""
