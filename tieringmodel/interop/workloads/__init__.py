"""Workloads from files: masim configurations, traces, damo records, families by name."""
