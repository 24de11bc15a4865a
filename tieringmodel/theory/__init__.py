"""What follows without running pages: closed forms, linear analysis, exponents, Markov chains."""
