"""One door for everything that can be a scenario."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..datafiles import data_path
from ..errors import InputError, printable
from ..scenario import Kernel, Machine, Scenario, Target, Workload
from ..scenario.scenario import read_toml
from .documents import MAX_TEXT_BYTES, decode, parse_json, parse_yaml, read_bytes
from .machines.folder import is_collected
from .machines.moved import moved
from .machines.read import GivenMachine, read_machine
from .proc_version import read_kernel
from .recording.read import read_recording
from .recording.scenario_of import Recording
from .surroundings import default_machine, equal_nodes, nids_of, surround
from .sysfs.read import Dump, read_dump
from .workloads.family import with_family
from .workloads.placed import Surroundings
from .workloads.read import Description, read_workload

if TYPE_CHECKING:
    from .damo.script import Script

_IN_A_DUMP = ("operations", "monitoring_attrs/", "targets/", "schemes/", "nr_contexts", "nr_kdamonds")
_RECORDED = ("layout", "record", "resets", "quota_steps", "info")


@dataclass(frozen=True)
class Loaded:
    """A scenario and what reading it had to say.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    notes : tuple of str
        What was assumed, left out or changed on the way in.
    memcg_paths : tuple of str
        Control groups 1, 2, … that the source names by path.
    pids : tuple of tuple of int
        Process of each target of each context, 0 where there is none.
    seed, duration_s : int, float, optional
        Of the run where a stored result was given; the length of a recording, or of a script that stops DAMON.
    recording : Recording, optional
        The recording that the scenario was made of.
    """

    scenario: Scenario
    notes: tuple[str, ...] = ()
    memcg_paths: tuple[str, ...] = ()
    pids: tuple[tuple[int, ...], ...] = ()
    seed: int | None = None
    duration_s: float | None = None
    recording: Recording | None = field(default=None, compare=False, repr=False)


def load(
    source: str | Path,
    *,
    machine: Machine | str | Path | None = None,
    workload: Workload | str | Path | None = None,
    kernel: Kernel | str | None = None,
    allow_files: bool = False,
) -> Scenario:
    """Return the scenario in a file of any known form, a recording, a command line, or one that ships with the package.

    Parameters
    ----------
    source : str or Path
        A ``.toml`` file; damo's parameters as ``.json``, ``.yaml`` or ``.yml``; a dump of DAMON's sysfs tree (a
        directory, or text of ``path value`` lines), or a shell script that writes it; parameters of DAMON's modules, as words
        for a boot line or their folder; a ``damo start …`` line or a ``.damo`` file with one, and maybe
        ``sleep`` and ``damo tune …`` lines after it, each of which becomes a commit; a directory
        with a recording (``layout.csv``, …); a stored result (``.nc``, ``.zarr``); or a name such as ``"rfc-40-60"`` or
        ``"C3_pullpush_temporal"``.
    machine : Machine, str or Path, optional
        The machine; a line such as ``"dram=512G,cxl=256G"``; TOML with a ``[machine]``, ``/proc/zoneinfo``, what
        ``numactl -H`` or ``lsmem --json`` print, or a folder with such files (docs/howto/your_machine.md). Forms that describe
        DAMON only need one; left out, one that fits the addresses is assumed. A scenario's own machine is replaced.
    workload : Workload, str or Path, optional
        The workload; a line such as ``"total=400G,hot=40G@200Hz,placed=node1"``; TOML with a ``[workload]``, a masim
        configuration, a table of accesses, the text of perf script, or a damo record. Left out, half of the memory is assumed,
        a quarter of it hot.
    kernel : Kernel or str, optional
        Which Linux runs: ``"6.18"``. Left out, it is the source's own: what it says, or the text of ``/proc/version`` in or
        beside a recording or a dump; without one, the default.
    allow_files : bool
        What `source` and `workload` name in turn (a family's file, symbolic links of a folder) may lie outside of their
        folder. Left out, such a file is refused: whoever wrote a scenario decides then what is read here.

    Returns
    -------
    Scenario
        A workload given as a family (`with_family`) is expanded to its groups, and written out as these.

    Warns
    -----
    UserWarning
        With everything that was assumed or left out.

    Raises
    ------
    InputError
        If there is nothing of that name, or what is there is not a scenario.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> scenario = tm.load("rfc-40-60")
    >>> [scheme.quota.goals[0].target_value for scheme in scenario.contexts[0].schemes]
    [4000, 6000]
    >>> tm.load("rfc-40-60", kernel="7.2").kernel.release
    '7.2.12'
    """
    loaded = open_scenario(source, machine=machine, workload=workload, kernel=kernel, allow_files=allow_files)
    if loaded.notes:
        warnings.warn(printable("; ".join(loaded.notes)), stacklevel=2)
    return loaded.scenario


def open_scenario(
    source: str | Path | Sequence[str],
    *,
    machine: Machine | str | Path | None = None,
    workload: Workload | str | Path | None = None,
    kernel: Kernel | str | None = None,
    allow_files: bool = False,
) -> Loaded:
    """Return what `load` returns, with the notes that it turns into warnings.

    Parameters
    ----------
    source : str, Path or sequence of str
        As for `load`, or the words of a ``damo start …`` line.
    machine, workload, kernel, allow_files
        As for `load`.

    Raises
    ------
    InputError
        As for `load`.
    """
    hardware = None if machine is None else read_machine(machine, allow_files=allow_files)
    work = None if workload is None else read_workload(workload, allow_files=allow_files)
    path = resolve(source) if isinstance(source, (str, Path)) and not (_is_line(source) or _is_boot_line(source)) else None
    folder = path if path is not None and path.is_dir() and not _has_tables(path) else None
    if folder and (dump := is_collected(folder, allow_files=allow_files)):
        source, hardware = dump, hardware or read_machine(folder, allow_files=allow_files)
    runs, said = _kernel(kernel), list(hardware.notes if hardware else ())
    if runs is None and hardware and hardware.kernel:
        runs, of_kernel = read_kernel(hardware.kernel)
        said += [*of_kernel, f"kernel: {runs}, by {hardware.kernel} (--kernel replaces it)"]
    try:
        loaded = _open(source, _Given(hardware, work, runs), allow_files)
    except InputError as error:
        if kernel is not None or runs is None or f" is not in {runs}" not in error.what:
            raise
        remedy = f"{error.remedy}, or give another kernel than that of the machine (--kernel)"
        raise type(error)(error.where, error.what, remedy) from None
    return replace(loaded, notes=(*said, *loaded.notes)) if said else loaded


def _is_line(source: str | Path) -> bool:
    return isinstance(source, str) and re.match(r"(sudo\s.*?)?damo\s", source) is not None


def _is_boot_line(source: object) -> bool:
    if not (isinstance(source, str) and "=" in source and "." in source):
        return False
    from .modules import is_modules

    return is_modules(source) and not Path(source).exists()


def _kernel(given: Kernel | str | None) -> Kernel | None:
    if given is None or isinstance(given, Kernel):
        return given
    if not isinstance(given, str):
        raise InputError("kernel", f"{type(given).__name__} is not a kernel's name", 'write e.g. "6.18"')
    return Kernel.from_text(given, "kernel")


class _Given(NamedTuple):
    """What replaces a source's own, or stands for what it does not say."""

    machine: GivenMachine | None = None
    workload: Description | None = None
    kernel: Kernel | None = None

    def replacing(self, scenario: Scenario, **about: Any) -> Loaded:
        """Return a scenario with what was given, and what that had to say; `about` goes to `Loaded`."""
        changes: dict[str, Any] = {}
        said: tuple[str, ...] = ()
        notes: tuple[str, ...] = ()
        if self.machine is not None:
            changes, said = moved(scenario, self.machine.machine)
        if self.workload is not None:
            given = self.machine or GivenMachine(scenario.machine)
            memcgs = len({m.memcg_id for m in scenario.workload.memcgs})
            on = Surroundings(given.machine, changes.get("contexts", scenario.contexts), given.ids, memcgs, given.placed)
            changes["workload"], notes = self.workload(on)
        if self.kernel is not None:
            changes["kernel"] = self.kernel
        try:
            return Loaded(scenario.replace(**changes) if changes else scenario, (*said, *notes), **about)
        except InputError as error:
            if self.machine is None or self.workload is not None or not error.where.startswith("workload"):
                raise
            remedy = "describe a workload for the given machine, too (--workload)"
            raise InputError(error.where, f"{error.what} that was given", remedy) from None

    def on_this_kernel(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a scenario's tables with the kernel that was given: what they use may not be in their own."""
        return {**data, "kernel": self.kernel} if self.kernel and isinstance(data, Mapping) else data


def _open(source: str | Path | Sequence[str], given: _Given, allow_files: bool) -> Loaded:
    if isinstance(source, str) and _is_line(source):
        source = _split_line(source, "damo line")
    if isinstance(source, str) and _is_boot_line(source):
        from .modules import of_line

        return _modules(of_line(source, "boot line"), given, "boot line")
    if isinstance(source, (list, tuple)) and all(isinstance(word, str) for word in source):
        return _line(source, given)
    if not isinstance(source, (str, Path)):
        raise InputError("source", f"{source!r} is not a path", "give a file, a folder, a shipped name or the words of a line")
    path = resolve(source)
    if path.suffix in (".nc", ".zarr"):
        return _result(path, given)
    if path.suffix == ".toml":
        return _toml(path, given, allow_files)
    from .modules import is_modules, of_folder, of_line
    from .sysfs.shell import is_shell

    if path.is_dir() and (parameters := of_folder(path, allow_files=allow_files)):
        return _modules(parameters, given, path.name)
    if path.is_dir() and is_recording(path):
        recording = read_recording(path, allow_files=allow_files, kernel=given.kernel)
        end_s = float(recording.record["t_ms"][-1]) * 1e-3 if recording.record is not None else None
        # What replaces the machine must be known before: a recording without MemTotal has none of its own.
        own = given.machine and given.machine.machine
        return given._replace(kernel=None).replacing(recording.to_scenario(machine=own), duration_s=end_s, recording=recording)
    if path.is_dir():
        return _surrounded(read_dump(path, allow_files=allow_files, kernel=given.kernel), given, path.name)
    raw = read_bytes(path, MAX_TEXT_BYTES)
    if raw[:2] in (b"x\x01", b"x\x9c", b"x\xda") or b":damon_aggregated: " in raw[:4096]:  # how zlib's streams begin
        remedy = f"give it as --workload {path.name} beside a scenario or a damo line"
        raise InputError(str(path), "is a record of accesses, and says nothing of schemes", remedy)
    text = decode(raw, str(path))
    if path.suffix == ".json" or text.lstrip().startswith("{"):
        data = parse_json(text, str(path))
        if isinstance(data, dict) and "machine" in data:
            return given.replacing(Scenario.from_dict(given.on_this_kernel(data)))
        return _damo(data, path, given)
    if path.suffix in (".yaml", ".yml"):
        return _damo(parse_yaml(text, str(path)), path, given)
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if path.suffix == ".damo" or _is_line(code.lstrip()):
        return _script(text, path, given, allow_files)
    if is_shell(text):
        return _shell(text, path, given)
    if is_modules(text):
        return _modules(of_line(text, str(path)), given, printable(path.stem))
    if text.startswith("#!"):
        raise InputError(
            str(path), "is a script that writes none of DAMON's files", "give one that does, or a dump of the tree"
        )
    if not any(word in text for word in _IN_A_DUMP):
        what = "is neither a TOML scenario, damo's parameters, a damo line, a dump of DAMON's sysfs tree nor a recording"
        raise InputError(str(source), what, "give one of these")
    return _surrounded(read_dump(path, kernel=given.kernel), given, printable(path.stem))


def _result(path: Path, given: _Given) -> Loaded:
    """Return the scenario that a stored run, comparison or sweep carries."""
    from ..datasets.read import read_results

    stored = {ds.attrs["scenario"]: ds for ds in read_results(path) if ds.attrs.get("scenario")}
    if len(stored) != 1:
        what = "holds results of several scenarios" if stored else "does not say which scenario it is of"
        raise InputError(str(path), what, "give the result of one run")
    ((text, ds),) = stored.items()
    alone = ds.attrs["kind"] == "simulation"
    return given.replacing(
        Scenario.from_json(str(text)),
        seed=int(ds.attrs["seed"]) if alone else None,
        duration_s=float(ds.attrs["duration_s"]) if alone else None,
    )


def _toml(path: Path, given: _Given, allow_files: bool) -> Loaded:
    try:
        tables = with_family(read_toml(path), path.parent, allow_files=allow_files)
        scenario = Scenario.from_dict(given.on_this_kernel(tables))
    except RecursionError:
        raise InputError(str(path), "is nested too deeply", "no scenario is") from None
    except InputError as error:
        if error.where == str(path):
            raise
        raise type(error)(f"{path}: {error.where}", error.what, error.remedy) from None
    return given.replacing(scenario)


def _surrounded(dump: Dump, given: _Given, name: str, assumed: bool = False) -> Loaded:
    machine, workload, kernel = given
    scenario, said = surround(
        dump.contexts,
        machine,
        workload,
        name,
        assumed=assumed,
        kernel=kernel or dump.kernel,
        memcgs=len(dump.memcg_paths),
    )
    notes = [*said, *dump.notes]
    if dump.memcg_paths:
        ids = ", ".join(f"cgroup{i} is {json.dumps(p)}" for i, p in enumerate(dump.memcg_paths, start=1))
        if workload is None:
            ids += "; which pages are in one is assumed (--workload hot=1G@400Hz@cgroup1 replaces it)"
        elif not scenario.workload.memcgs:
            ids += "; no page of the workload is in one: say which in workload.memcgs, or with --workload hot=1G@400Hz@cgroup1"
        notes.append(f"control groups: {ids}")
    if len({pid for pids in dump.pids for pid in pids if pid}) > 1:
        notes.append("targets name several processes; all of them are the one workload here")
    return Loaded(scenario, tuple(notes), dump.memcg_paths, dump.pids)


def _damo(data: object, path: Path, given: _Given) -> Loaded:
    from .damo.json import read_damo

    return _surrounded(read_damo(data, str(path)), given, printable(path.stem))


def _split_line(text: str, where: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(where, f"cannot be split into words ({error})", "close every quote") from None


def _line(line: Sequence[str], given: _Given) -> Loaded:
    from .damo.line import timeout_us, with_schemes
    from .damo.script import Command, Script

    words = with_schemes(line, Path())
    return _commands(Script(Command(0, "damo start", words), stop_us=timeout_us(words)), "damo start", given)


def _script(text: str, path: Path, given: _Given, allow_files: bool) -> Loaded:
    from .damo.line import with_schemes
    from .damo.script import read_script

    def whole(words: tuple[str, ...]) -> tuple[str, ...]:
        return with_schemes(words, path.parent, named=False, allow_files=allow_files)

    script = read_script(text, str(path))
    tunes = tuple(tune._replace(words=whole(tune.words)) for tune in script.tunes)
    script = script._replace(start=script.start._replace(words=whole(script.start.words)), tunes=tunes)
    return _commands(script, printable(path.stem) if script.tunes else "damo start", given)


def _commands(script: Script, name: str, given: _Given) -> Loaded:
    """Return what damo's commands say; without a machine, one that fits all of them."""
    from .damo.line import read_damo_line, split
    from .damo.script import commits_of, options_of, read_tune

    options = [*split(script.start.words), *(o for tune in script.tunes for o in options_of(tune))]
    ranges = any(o.name in ("-r", "--regions") for o in options)
    by_node = [int(v) for o in options if o.name == "--numa_node" for v in o.values if v.isdecimal() and len(v) < 3]

    def dumps_on(machine: Machine) -> list[Dump]:
        return [read_damo_line(script.start.words, machine), *(read_tune(tune, machine) for tune in script.tunes)]

    guess = given.machine.machine if given.machine else equal_nodes(max([1, *by_node]) + 1)
    dumps = dumps_on(guess)
    if given.machine is None:
        every = tuple(c for dump in dumps for c in dump.contexts)
        contexts = every if ranges else tuple(c.replace(targets=(Target(),) * len(c.targets)) for c in every)
        fitting = equal_nodes(max(nids_of(contexts) | {*by_node}) + 1) if by_node else default_machine(contexts)
        if fitting != guess:
            guess, dumps = fitting, dumps_on(fitting)
    start, *later = dumps
    commits, paths = commits_of(script.tunes, later, start)
    notes = tuple(dict.fromkeys(note for dump in dumps for note in dump.notes))
    whole = Dump(tuple(c for dump in dumps for c in dump.contexts), notes, paths, tuple(p for d in dumps for p in d.pids))
    loaded = _surrounded(whole, given._replace(machine=given.machine or GivenMachine(guess)), name, assumed=not given.machine)
    scenario = loaded.scenario.replace(contexts=start.contexts, commits=commits)
    stop_s = None if script.stop_us is None else script.stop_us * 1e-6
    return replace(loaded, scenario=scenario, pids=start.pids, duration_s=stop_s)


def _modules(found: Mapping[str, tuple[str, str]], given: _Given, name: str) -> Loaded:
    """Return what DAMON's modules do with parameters; without a machine, one that fits the addresses given."""
    from .modules import read_modules

    machine = given.machine.machine if given.machine else equal_nodes(2)
    if given.machine is None:
        fitting = default_machine(read_modules(found, machine).contexts)
        machine = fitting
    dump = read_modules(found, machine)
    known = given._replace(machine=given.machine or GivenMachine(machine))
    return _surrounded(dump, known, name, assumed=not given.machine)


def _shell(text: str, path: Path, given: _Given) -> Loaded:
    """Return what a script of echo commands tells DAMON."""
    from .damo.script import Command, commits_of
    from .sysfs.shell import read_shell

    shell = read_shell(text, str(path))
    if not shell.files:
        loaded = _modules(shell.modules, given, printable(path.stem))
        return replace(loaded, notes=(*shell.notes, *loaded.notes))
    notes = [*shell.notes]
    if shell.modules:
        notes.append(f"{path}: parameters of modules are left out, DAMON runs one of the two")
    kernel = given.kernel
    start = read_dump(shell.start.entries if shell.start else shell.entries, kernel=kernel)
    later = [read_dump(c.entries, kernel=kernel) for c in shell.commits]
    every = (start, *later)
    tunes = [Command(c.at_us, c.where, ()) for c in shell.commits]
    commits, paths = commits_of(tunes, later, start)
    told = {(c.at_us, c.kdamond) for c in shell.commits}
    commits = tuple(c for c in commits if (c.at_us, c.context) in told)
    notes += dict.fromkeys(note for dump in every for note in dump.notes)
    whole = Dump(tuple(c for d in every for c in d.contexts), tuple(notes), paths, tuple(p for d in every for p in d.pids))
    loaded = _surrounded(whole, given, printable(path.stem))
    scenario = loaded.scenario.replace(contexts=start.contexts, commits=commits)
    stop_s = None if shell.stop_us is None else shell.stop_us * 1e-6
    return replace(loaded, scenario=scenario, pids=start.pids, duration_s=stop_s)


def is_recording(path: Path) -> bool:
    """Tell whether a directory holds a recording rather than DAMON's sysfs tree."""
    return _has_tables(path) or not any(
        (path / n).exists()
        for n in ("kdamonds", "nr_kdamonds", "contexts", "operations", "monitoring_attrs", "0", "admin", "sys")
    )


def _has_tables(path: Path) -> bool:
    return any((path / f"{n}.{end}").exists() for n in _RECORDED for end in ("csv", "csv.gz", "txt"))


def resolve(source: str | Path) -> Path:
    """Return the path that `source` names: itself if it exists, else the file or recording of that name in the package.

    Raises
    ------
    InputError
        If there is no such thing.
    """
    if not isinstance(source, (str, Path)) or not source:
        raise InputError("source", f"{source!r} is not a path", "give a file, or a name as text")
    path = Path(source)
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:  # no file system takes such a name
        raise InputError(str(source), f"is no file's name: {error}", "give a file") from None
    shipped = [data_path("scenarios") / f"{source}.toml", data_path("recordings") / str(source)]
    for candidate in shipped:
        if path.name == str(source) and candidate.exists():
            return candidate
    raise InputError(str(source), "does not exist", "give a file, or one of " + ", ".join(shipped_names()))


def shipped_names() -> list[str]:
    """Return the names under which scenarios and recordings ship with the package."""
    names = sorted(p.stem for p in data_path("scenarios").glob("*.toml"))
    return names + sorted(p.name for p in data_path("recordings").iterdir() if (p / "damon_config.txt").exists())
