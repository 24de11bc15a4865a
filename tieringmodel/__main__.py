"""``python -m tieringmodel``, and the script of that name: a process that does what a command line says and ends."""

import gc
import sys

from .cli import main


def run() -> int:
    """Run the command of this process; return the exit status.

    The garbage collector looks less often than by default, and not at what is left in the end: the system takes that back at
    once, while taking every object apart is a tenth of a short command.
    """
    gc.set_threshold(50_000, 20, 20)
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(run())
