"""Formats of others, in and out: damo, DAMON's sysfs tree, recordings of kernels, masim and traces; and scenario files."""
