"""Runs and comparisons: the event loop, recorders, policies, datasets."""
