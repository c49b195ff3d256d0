"""Every Redis name of this project, in one place.

A session's keys share the hash tag `{session_id}`, so that one script can touch several of them on Redis Cluster.
A full Redis (`volatile-lru`) drops keys with a TTL, those first that were not used for the longest time. Hot copies
are meant for that. What else has a TTL and is dropped:

- lease, heartbeat, leader lock: not while they are renewed every few seconds and hot copies are left that are older;
  see `daemon/embedded/redis.py` for how many keys Redis must compare. A lost lease comes back at its next renewal,
  unless another shard waited for it and took it: then two hold the session until that renewal;
- set of told events: an event comes a second time with the same id;
- reply to a command: its outcome is called unknown;
- upload: its message is not sent, or its file not given, and that is said;
- code on display: the page's next one replaces a QR code, a pairing code is asked for again;
- exit report: leases run out by their TTL instead, and a shard that crashed gets sessions at once;
- restore job that is done: it is a 404 before its week is over. One that is not done has no TTL and is not dropped,
  but for the moment until it is listed: then its request has not been answered yet.
"""

INDEX = "wa:sessions"
"""Sorted set (all scores 0) of session ids: read in pages by lexical range."""
SHARDS = "wa:shards"
"""Set of the names of all shards ever seen."""
EVENTS = "wa:events"
"""Stream of all events: the log, and what waits for delivery; a consumer group `to:{endpoint}` for each endpoint."""
DEAD_LETTERS = "{wa:events}:dead"
"""Stream of events that were given up, with endpoint and reason. The tag is the stream's whole name: one slot."""
EVENT_COUNTS = "{wa:events}:counts"
"""Hash of numbers, most of them for an endpoint: `parked:`, `dead:`, `dropped:`, `forgotten:`; and `begun`."""
ENDPOINTS = "{wa:events}:endpoints"
"""Hash endpoint -> JSON: what the leading coordinator last said of it."""
ENDPOINTS_PAUSED = "{wa:events}:paused"
"""Hash endpoint -> JSON: why nothing is delivered to it until somebody says so."""
TOKENS = "wa:tokens"
"""Hash id -> JSON: the API tokens, as hashes."""
LEADER = "wa:coordinator:leader"
"""Lock of the coordinator that reconciles; its value names the holder."""
EPOCH = "wa:epoch"
"""Hash: the id of the present epoch of Redis' data, the servers it belongs to, and since when."""
RECOVERED = "wa:recovered"
"""String: the id of the epoch in which sessions that Redis had lost were looked for."""
WAKES = "wa:coordinator:wakes"
"""Short stream that tells the coordinators to look at once."""
DRAINS = "wa:drains"
"""Hash shard -> JSON: the shards that are to be emptied, since when, and how many sessions they had."""
DRAIN_COUNTS = "wa:drains:counts"
"""Hash shard -> JSON: how far each drain is, written by the leading coordinator."""
INCARNATIONS = "wa:shards:last"
"""Hash shard -> JSON: the last process of the shard that anybody heard of."""
JOBS = "wa:jobs"
"""Sorted set of the ids of the restore jobs, by when they were asked for."""
JOBS_UNFINISHED = "{wa:jobs}:unfinished"
"""Sorted set of those that are not done, or whose end is not told yet; in the slot of `JOBS`."""
SENDERS = "wa:senders"
"""Sorted set of the sessions that may have idempotency keys, deleted ones too, by when expired ones are looked for."""
TOMBSTONES = "wa:tombstones"
"""Hash `workspace/session` -> JSON of what is left of a deleted or logged-out login, until its archives are removed."""


def record(session_id: str) -> str:
    """Hash: the session record."""
    return f"wa:{{{session_id}}}:record"


def lease(session_id: str) -> str:
    """String `holder|token` with a TTL: exists while somebody may run the session."""
    return f"wa:{{{session_id}}}:lease"


def token(session_id: str) -> str:
    """Integer: the highest fencing token ever given for the session; never deleted."""
    return f"wa:{{{session_id}}}:token"


def seen_epoch(session_id: str) -> str:
    """String: the epoch in which the session's token and record were last found to be whole.

    `lost`: its holder has the lease again after Redis lost the session, and is to write the record again.
    """
    return f"wa:{{{session_id}}}:epoch"


def hot_copy(session_id: str) -> str:
    """String: the bytes of the hot copy; may be evicted."""
    return f"wa:{{{session_id}}}:hot"


def code(session_id: str) -> str:
    """Hash: the QR code or pairing code on display, with a TTL."""
    return f"wa:{{{session_id}}}:code"


def send(session_id: str, key: str) -> str:
    """Hash: what is known of the message of one idempotency key, given as its digest."""
    return f"wa:{{{session_id}}}:send:{key}"


def sends(session_id: str) -> str:
    """Sorted set of the digests of the session's idempotency keys, by when they expire."""
    return f"wa:{{{session_id}}}:sends"


def upload(session_id: str, name: str) -> str:
    """String with a TTL of minutes: bytes of media on the way to or from the shard; may be evicted."""
    return f"wa:{{{session_id}}}:upload:{name}"


def told(session_id: str) -> str:
    """Sorted set with a TTL of the ids of the last events that may come twice; without it they do, with the same id."""
    return f"wa:{{{session_id}}}:told"


def parked_queue(endpoint: str, session_id: str) -> str:
    """Stream of the events of one session that wait for one endpoint, outside the event stream."""
    return f"{{wa:events}}:to:{endpoint}:of:{session_id}"


def parked_due(endpoint: str) -> str:
    """Sorted set of the sessions parked at an endpoint, by when they are tried next."""
    return f"{{wa:events}}:to:{endpoint}:due"


def parked_oldest(endpoint: str) -> str:
    """Sorted set of the same sessions, by when their first waiting event was told."""
    return f"{{wa:events}}:to:{endpoint}:oldest"


def parked_tries(endpoint: str) -> str:
    """Hash parked session -> JSON: how often its first event was tried."""
    return f"{{wa:events}}:to:{endpoint}:tries"


def heartbeat(shard: str) -> str:
    """String of JSON with a TTL: exists while the shard lives."""
    return f"wa:shard:{{{shard}}}:heartbeat"


def exit_report(shard: str) -> str:
    """String of JSON with a TTL: how the last process of the shard ended."""
    return f"wa:shard:{{{shard}}}:exit"


def placed(shard: str) -> str:
    """Set of the ids of the sessions placed on the shard."""
    return f"wa:shard:{{{shard}}}:placed"


def commands(shard: str) -> str:
    """Stream of commands to the shard; consumer group `shard`."""
    return f"wa:shard:{{{shard}}}:commands"


def claims(shard: str) -> str:
    """Sorted set of the ids of the commands to the shard whose fate is decided, by when it was."""
    return f"wa:shard:{{{shard}}}:claims"


def command_reply(command_id: str) -> str:
    """List with at most one element: the shard's reply."""
    return f"wa:command:{{{command_id}}}:reply"


def job(job_id: str) -> str:
    """String of JSON: a restore job and how far it is."""
    return f"wa:job:{{{job_id}}}"


def job_asked(job_id: str) -> str:
    """String of JSON: the sessions that were named when it was asked for."""
    return f"wa:job:{{{job_id}}}:asked"


def job_members(job_id: str) -> str:
    """String of JSON: the ids of its sessions, once they are known."""
    return f"wa:job:{{{job_id}}}:members"
