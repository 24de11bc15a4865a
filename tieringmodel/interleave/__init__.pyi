# The room's public names and where they live: `lazy_loader` imports each when it is first used.

from . import closed_forms as closed_forms
from .costs import PlacementCosts as PlacementCosts
from .costs import placement_costs as placement_costs
from .model import ping_pong as ping_pong
from .model import run as run
from .vaddr import vaddr_dest_index as vaddr_dest_index
