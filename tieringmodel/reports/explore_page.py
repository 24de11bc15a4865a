"""A page to play with: one scheme's goal as a loop on one page count, sliders, live curves, and the damo line they come to."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import need_place, replacing
from ..errors import InputError
from ..linting.scheme_facts import SchemeFacts, facts_of
from ..plot.explore import controlling, stands_at
from ..scenario.metrics import metric_of
from ..units import MIB, format_bytes

if TYPE_CHECKING:
    from ..interop.load import Loaded
    from ..scenario import Scenario

_STEPS: tuple[tuple[str, str, str, tuple[float, ...]], ...] = (
    ("target_bp", "Target", "bp", tuple(range(250, 10_001, 250))),
    ("quota_mib", "Size quota", "MiB", (0, *(2.0**k for k in range(-2, 15)))),
    ("interval_ms", "Reset interval", "ms", (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)),
    ("delay_ms", "Delay", "ms", (0, 100, 200, 500, 1000, 2000, 3000, 5000, 10_000, 30_000)),
    ("leak_percent_per_s", "Leak", "%/s", (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)),
    ("hot_mib", "Hot set", "MiB", tuple(2.0**k for k in range(4, 21))),
    ("start_bp", "On node at start", "bp", tuple(range(0, 10_001, 500))),
    ("noise_bp", "Noise", "bp", (0, 10, 20, 50, 100, 200, 500, 1000)),
)
ABOUT = (
    "One number is followed: how many pages are on the goal's node, quota window by quota window, in the kernel's own integer "
    "arithmetic. Regions, sampling, the order of pages and a second scheme are not in it: tieringmodel run has these. A delay "
    "is rounded up to whole windows; the band is 2 % of the target; the seed of the noise is 1."
)


def _which(loaded: Loaded, facts: SchemeFacts | None) -> str:
    """Return whose loop the page shows first, so that nobody takes its verdict for the scenario's."""
    if facts is None:
        return "A common scheme: the scenario has none that moves pages for a share."
    goal, others = facts.scheme.quota.goals[0], sum(len(c.schemes) for c in loaded.scenario.contexts) - 1
    of_node = f" of node {goal.nid}" if "nid" in metric_of(goal.metric).needs else ""
    alone = f" alone; {others} more in the scenario, which tieringmodel run has together" if others else ""
    return f"{facts.path}: {facts.scheme.action} for {goal.metric}{of_node}{alone}."


def _line(loaded: Loaded, facts: SchemeFacts | None) -> tuple[list[str], dict[str, int | None], str]:
    """Return the words of a damo line, where the sliders' numbers stand in it, and why it is not the scenario's own."""
    from ..interop.damo.values import DROPS_NID
    from ..interop.damo.write import PINNED, damo_line
    from ..interop.sysfs.portable import portable

    plain = ["damo", "start", "--damos_action", "migrate_hot", "0", "--damos_access_rate", "5%", "max"]
    plain += ["--damos_quota_interval", "1000", "--damos_quota_space", "0", "--damos_quota_goal_tuner", "consist"]
    plain += ["--damos_quota_goal", "node_mem_used_bp", "6000", "0"]
    words, why, number, before = plain, "", 0, 0
    if facts is not None:
        scenario = loaded.scenario
        goals = [g for c in scenario.contexts for s in c.schemes for g in s.quota.goals]
        try:
            pids = loaded.pids or tuple((0,) * len(c.targets) for c in scenario.contexts)
            words = damo_line(portable(_on_node_0(scenario), memcg_paths=loaded.memcg_paths, pids=pids))
        except InputError as error:
            why = f"The scenario's own line cannot be written ({error}); this is a scheme of its kind."
        else:
            number = [f.path for f in facts_of(scenario).schemes].index(facts.path)
            listed = [s for c in scenario.contexts for s in c.schemes]
            before = sum(len(s.quota.goals) for s in listed[:number])
            at = [i for i, word in enumerate(words) if word == "--damos_quota_goal"]
            for i, goal in zip(at, goals, strict=True):
                if goal.metric == DROPS_NID and goal.nid:
                    words[i + 3] = str(goal.nid)
                    why = f"damo {PINNED} drops the node of {DROPS_NID} from its command line: tieringmodel convert keeps it."

    def place(option: str, k: int, after: int = 1) -> int | None:
        at = [i for i, word in enumerate(words) if word == option]
        return at[k] + after if k < len(at) else None

    places = {
        "quota": place("--damos_quota_space", number),
        "interval": place("--damos_quota_interval", number),
        "tuner": place("--damos_quota_goal_tuner", number),
        "target": place("--damos_quota_goal", before, 2),
    }
    return words, places, why


def _on_node_0(scenario: Scenario) -> Scenario:
    """Return a scenario whose goals name no node that damo would drop."""
    from ..interop.damo.values import DROPS_NID

    changes = {
        f"contexts.{c}.schemes.{s}.quota.goals.{g}.nid": 0
        for c, context in enumerate(scenario.contexts)
        for s, scheme in enumerate(context.schemes)
        for g, goal in enumerate(scheme.quota.goals)
        if goal.metric == DROPS_NID
    }
    return scenario.set(changes) if changes else scenario


def page_facts(loaded: Loaded, duration_s: float = 600.0) -> dict[str, Any]:
    """Return what the page starts from: knobs with their steps, the tuner, the damo line and its places.

    Parameters
    ----------
    loaded : Loaded
        The scenario.
    duration_s : float
        Simulated time.
    """
    facts = controlling(loaded.scenario)
    now = {"target_bp": 6000, "quota_mib": 16, "interval_ms": 1000, "hot_mib": 4096} | (stands_at(facts) if facts else {})
    knobs = []
    for name, label, unit, steps in _STEPS:
        value = now.get(name, 0)
        every = sorted({*map(float, steps), float(value)})
        knobs.append(
            {
                "name": name,
                "label": label,
                "at": every.index(float(value)),
                "steps": [{"value": v, "text": _told(name, v, unit)} for v in every],
            }
        )
    words, places, why = _line(loaded, facts)
    tuner = facts.scheme.quota.goal_tuner if facts else "temporal"
    if facts is None:
        why = "The scenario has no scheme that moves pages for a share; the sliders start from a common one."
    return {
        "knobs": knobs,
        "tuner": tuner if tuner in ("consist", "temporal") else "consist",
        "duration_s": duration_s,
        "words": words,
        "places": places,
        "why": why,
        "which": _which(loaded, facts),
    }


def _told(name: str, value: float, unit: str) -> str:
    if name == "quota_mib" and not value:
        return "none"
    return format_bytes(round(value * MIB)) if unit == "MiB" else f"{value:g} {unit}"


def write_explore(loaded: Loaded, path: Path, *, duration_s: float = 600.0) -> Path:
    """Write the page; return its path.

    Parameters
    ----------
    loaded : Loaded
        The scenario that the sliders start from.
    path : Path
        Replaced if it exists.
    duration_s : float
        Simulated time.

    Raises
    ------
    InputError
        If the path is a folder.
    """
    from markupsafe import Markup

    from .write import templates

    if path.is_dir():
        raise InputError("-o", f"{path} is a folder", f"write {path / 'explore.html'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    need_place(path, "-o")
    name = loaded.scenario.name or "a tiering loop"
    script = (files(__package__) / "templates" / "explore.js").read_text(encoding="utf-8")
    text = (
        templates()
        .get_template("explore.html")
        .render(
            title=f"Explore {name}",
            about=ABOUT,
            facts=page_facts(loaded, duration_s),
            script=Markup(script),
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
