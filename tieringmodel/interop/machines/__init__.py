"""Machines from what Linux says of itself: a module per source, each of which returns nodes with their ranges of RAM."""
