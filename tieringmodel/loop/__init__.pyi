# The room's public names and where they live: `lazy_loader` imports each when it is first used.

from .axes import sweep as sweep
from .grid import run_many as run_many
from .pair import run_pair as run_pair
from .single import run as run
