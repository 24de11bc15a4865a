"""Machines from a line, from what Linux and its tools print about nodes, and from folders with such texts."""
