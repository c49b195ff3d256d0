"""The zips that a Node service left in the bucket, and whose they are as far as their names tell."""

from collections.abc import Iterable
from dataclasses import dataclass

from daemon.objectstore.facts import ObjectFacts
from daemon.objectstore.keys import parse_key
from daemon.objectstore.legacy import parse_legacy_key
from daemon.objectstore.marks import parse_mark_key
from shards.cli.parts import Parts


@dataclass(frozen=True, kw_only=True)
class Found:
    """One zip and whose it is. `user_id` is None where only the object's metadata can tell."""

    item: ObjectFacts
    session_id: str
    workspace_id: str | None
    user_id: str | None


async def find_zips(parts: Parts, prefix: str, *, workspace_id: str | None) -> tuple[list[Found], int]:
    """Return the zips below `prefix`, and how many other objects there are that are no archives of ours.

    `workspace_id` is that of sessions whose name does not tell it.

    Raises:
        ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known.
    """
    found: list[Found] = []
    others = 0
    async for item in parts.archives.objects(prefix):
        one = _named(item, workspace_id)
        if one is not None:
            found.append(one)
        elif parse_key(item.key) is None and parse_mark_key(item.key) is None:
            others += 1
    return found, others


def _named(item: ObjectFacts, workspace_id: str | None) -> Found | None:
    name = parse_legacy_key(item.key)
    if name is None:
        return None
    workspace_id = name.workspace_id or workspace_id
    user_id = name.user_id
    if user_id is None and workspace_id is not None:
        # Once the workspace is known, an id of the form session-{user}-{workspace} tells the user.
        told = parse_legacy_key(f"workspace_{workspace_id}/{name.session_id}.zip")
        user_id = told.user_id if told else None
    return Found(item=item, session_id=name.session_id, workspace_id=workspace_id, user_id=user_id)


def by_session(found: Iterable[Found]) -> list[list[Found]]:
    """Return the zips of each session, the last stored first."""
    groups: dict[tuple[str | None, str], list[Found]] = {}
    for one in sorted(found, key=lambda one: one.item.stored_at, reverse=True):
        groups.setdefault((one.workspace_id, one.session_id), []).append(one)
    return list(groups.values())
