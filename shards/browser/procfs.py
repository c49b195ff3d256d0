"""What /proc says about processes and process groups: start time, members, command line. Changes nothing."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class ProcessStat:
    """One line of /proc/<pid>/stat, as far as it is needed (proc(5))."""

    pid: int
    state: str
    pgid: int
    start_ticks: int
    """Clock ticks from boot to the start of the process: with the pid and the boot id it names a process for ever."""

    @property
    def running(self) -> bool:
        """Whether it can still do something; a zombie cannot."""
        return self.state not in {"Z", "X"}


def read_stat(pid: int) -> ProcessStat | None:
    """Return what is known of a process, or None if there is none."""
    return _read_stat(_PROC / str(pid))


def is_busy(pid: int) -> bool:
    """Whether a thread of a process runs, waits for a processor or waits for a disk; False if that cannot be told."""
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
        return any(stat is not None and stat.state in {"R", "D"} for stat in map(_read_stat, threads))
    except OSError:
        return False


def group_members(pgid: int) -> list[ProcessStat]:
    """Return the running processes of a process group."""
    stats = (read_stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [stat for stat in stats if stat is not None and stat.pgid == pgid and stat.running]


def all_groups() -> dict[int, list[ProcessStat]]:
    """Return the running processes of every process group, in one pass."""
    groups: defaultdict[int, list[ProcessStat]] = defaultdict(list)
    for entry in _PROC.iterdir():
        stat = read_stat(int(entry.name)) if entry.name.isdigit() else None
        if stat is not None and stat.running:
            groups[stat.pgid].append(stat)
    return dict(groups)


def command_line(pid: int) -> str:
    """Return a process's arguments joined by spaces, or an empty text if there is no such process."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def boot_id() -> str:
    """Return the id of this run of the kernel."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _read_stat(entry: Path) -> ProcessStat | None:
    try:
        line = (entry / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name may hold spaces and brackets: the fields begin after its last closing bracket.
    fields = line.rpartition(")")[2].split()
    return ProcessStat(pid=int(entry.name), state=fields[0], pgid=int(fields[2]), start_ticks=int(fields[19]))
