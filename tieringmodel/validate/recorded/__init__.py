"""Recordings of a real kernel beside the band of the model."""
