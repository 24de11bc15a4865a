"""Where access information comes from."""
