"""Many runs: design, points, executors, results, the store that survives a kill."""
