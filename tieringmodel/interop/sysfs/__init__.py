"""DAMON's sysfs tree: read from a folder or a dump, written as a script."""
