# The room's public names and where they live: `lazy_loader` imports each when it is first used.

from .compare import compare_sources as compare_sources
from .fusion import Fused as Fused
from .fusion import by_region as by_region
from .fusion import fuse as fuse
from .fusion import region_accesses as region_accesses
from .promotion import promotion_study as promotion_study
from .protocol import Activity as Activity
from .protocol import HotnessSource as HotnessSource
from .protocol import Reports as Reports
from .protocol import page_reports as page_reports
from .protocol import register_source as register_source
from .protocol import source as source
from .protocol import sources as sources
from .protocol import unregister_source as unregister_source
from .truth import activities as activities
from .truth import activity as activity
from .truth import hot_set as hot_set
from .truth import score as score
from .watching import Watched as Watched
from .watching import watch as watch
