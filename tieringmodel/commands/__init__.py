"""The commands, a module each: ``add(commands)`` declares it to argparse, ``run(arguments)`` returns the exit status.

Importing them is cheap: what computes is imported inside ``run``.
"""
