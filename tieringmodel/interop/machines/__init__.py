"""Machines from a line, and from what Linux and its tools say of nodes: a module per source."""
