# The room's public names and where they live: `lazy_loader` imports each when it is first used.

from .five_pages import five_pages_table as five_pages_table
from .five_pages import rfc_five_pages as rfc_five_pages
from .maps import gain_map as gain_map
from .maps import quota_map as quota_map
from .maps import start_map as start_map
from .pull_push_map import pair_map as pair_map
from .rfc_claims import Case as Case
from .rfc_claims import Claim as Claim
from .rfc_claims import Evidence as Evidence
from .rfc_claims import claim as claim
from .rfc_claims import claims as claims
