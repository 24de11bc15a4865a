"""What a result holds: every variable once, and the only place that opens one."""
