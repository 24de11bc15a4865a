"""Who touches which page and when."""
