"""What is read from supervisord's process events."""

import pytest

from shards.exits.channel import Event
from shards.exits.ends import ProgramEnd, program_end

COMMON = "processname:shard_00 groupname:shard"


def end(state: str, payload: str) -> ProgramEnd | None:
    return program_end(Event(name=f"PROCESS_STATE_{state}", payload=payload))


@pytest.mark.parametrize(
    ("state", "rest", "pid", "expected", "counts"),
    [
        ("EXITED", "from_state:RUNNING expected:0 pid:2766", 2766, False, True),
        ("EXITED", "from_state:RUNNING expected:1 pid:2766", 2766, True, False),
        ("STOPPED", "from_state:STOPPING pid:2766", 2766, True, False),
        ("STOPPED", "from_state:BACKOFF pid:0", 0, True, False),
        ("BACKOFF", "from_state:STARTING tries:1", 0, False, True),
        ("FATAL", "from_state:BACKOFF", 0, False, False),
    ],
)
def test_each_end_is_told_to_stop_or_not_and_counts_once(
    state: str, rest: str, pid: int, expected: bool, counts: bool
) -> None:
    found = end(state, f"{COMMON} {rest}")
    assert found is not None
    assert (found.name, found.pid, found.expected, found.counts) == ("shard_00", pid, expected, counts)


def test_another_event_is_no_end() -> None:
    assert end("RUNNING", f"{COMMON} from_state:STARTING pid:1") is None


@pytest.mark.parametrize("payload", ["", "shard_00", "groupname:shard pid:1", f"{COMMON} pid:x"])
def test_what_cannot_be_read_is_said_so(payload: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        end("EXITED", payload)
