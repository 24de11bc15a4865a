"""Several policies on the same accesses, side by side."""
