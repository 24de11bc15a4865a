"""What runs: the event loop, the recorder, checkpoints, the oracle."""
