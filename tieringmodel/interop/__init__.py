"""Formats of other tools: sysfs dumps, recordings of real kernels, scenario files."""
