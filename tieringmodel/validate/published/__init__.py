"""Published measurements of real machines beside the prediction."""
