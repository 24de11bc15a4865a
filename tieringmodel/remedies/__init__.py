"""Which change of a scenario would help? Candidates for each cause, and the run of each before it is said."""
