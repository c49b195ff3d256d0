"""What supervisord's process events say about the end of a program: pure."""

from dataclasses import dataclass

from supervisor import childutils  # type: ignore[import-untyped]

from shards.exits.channel import Event

STARTING = "PROCESS_STATE_STARTING"
_TEXTS = {
    "PROCESS_STATE_EXITED": "exited",
    "PROCESS_STATE_STOPPED": "stopped",
    "PROCESS_STATE_BACKOFF": "exited while starting",
    "PROCESS_STATE_FATAL": "does not start, supervisord has given up",
}


@dataclass(frozen=True, kw_only=True)
class ProgramEnd:
    """The end of one process of a program."""

    name: str
    """The program's name within its group, which for a shard is the shard's name."""
    pid: int
    """0 where supervisord does not say: a process that ended while it was starting."""
    expected: bool
    """Whether it was told to stop, or has ended with an exit code of `exitcodes`."""
    counts: bool
    """Whether it is one more crash. Giving up is not: it follows the last attempt, which was counted."""
    text: str


def program_end(event: Event) -> ProgramEnd | None:
    """Return what an event says about an end, or None for an event about something else.

    Raises:
        ValueError: it cannot be read.
    """
    text = _TEXTS.get(event.name)
    if text is None:
        return None
    fields: dict[str, str] = childutils.get_headers(event.payload)
    if "processname" not in fields:
        raise ValueError("no processname")
    exited = event.name == "PROCESS_STATE_EXITED"
    expected = fields.get("expected") == "1" if exited else event.name == "PROCESS_STATE_STOPPED"
    return ProgramEnd(
        name=fields["processname"],
        pid=int(fields.get("pid", "0")),
        expected=expected,
        counts=not expected and event.name != "PROCESS_STATE_FATAL",
        text=f"{text} {'as expected' if expected else 'unexpectedly'}" if exited else text,
    )
