"""Which configuration should I run? Candidates for an end in words, each run at page level before it is said."""
