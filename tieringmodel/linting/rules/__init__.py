"""The rules that ship: each module yields findings about one part of a scenario."""
