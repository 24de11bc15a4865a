"""The machine's memory: pages as numpy arrays, frame allocators, migration."""
