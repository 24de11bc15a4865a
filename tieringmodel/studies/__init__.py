"""Where the RFC's claims come true and where not; what becomes of one or two loops over maps of their parameters."""
