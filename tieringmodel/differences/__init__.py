"""What another kernel, another scenario or another run changes, and which rules of kernels make the difference."""
