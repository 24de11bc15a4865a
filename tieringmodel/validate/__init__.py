"""The evidence that holds this build: golden vectors, recordings, anchor cases."""
