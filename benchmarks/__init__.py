"""How fast the package is, as ratios to what one would write instead; see README.md."""
