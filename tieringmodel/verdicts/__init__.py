"""What a run came to: its measures, its kind, its causes; nothing here runs a model."""
