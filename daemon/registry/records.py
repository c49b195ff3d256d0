"""Session records and their index in Redis.

Two writers never touch the same field: the coordinator writes the wish (desired, serial, placement), the holder of
the lease writes the state, and every write of a holder is refused once a newer fencing token exists.
"""

from collections.abc import Iterable, Mapping, Sequence

from daemon.core.errors import (
    ArchiveVoidError,
    ConflictError,
    RedisLostDataError,
    SessionNotFoundError,
    StaleTokenError,
)
from daemon.registry import keys
from daemon.registry.codec import record_from_fields, record_to_fields, to_text
from daemon.registry.link import RedisLink
from daemon.registry.placements import Placement, place_many
from daemon.registry.summaries import read_summaries, summaries_of
from daemon.sessions.record import SessionRecord
from daemon.sessions.states import Desired
from daemon.sessions.summary import Summary

_WISHES = (
    "session_id",
    "workspace_id",
    "user_id",
    "metadata",
    "created_at",
    "desired",
    "serial",
    "shard",
    "moving_from",
    "scan_allowed",
    "void_token",
    "rollback",
)
"""What only the coordinator writes, or who makes a session; of scan_allowed and void_token it is one of two writers."""
_NOT_DOOMED, _GONE = -1, -2


def _flat(fields: Mapping[str, object]) -> list[str]:
    return [part for name, value in fields.items() for part in (name, to_text(value))]


class Records:
    """Session records."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def create(self, record: SessionRecord) -> bool:
        """Store a new record; False if one with this id exists (it is left as it is)."""
        async with self._link.asking("store a session"):
            # The index first: an index entry without a record is skipped, a record without one would never be seen.
            await self._link.text.zadd(keys.INDEX, {record.session_id: 0})
        made = await self._link.run("create_record", [keys.record(record.session_id)], _flat(record_to_fields(record)))
        async with self._link.asking("store a session"):
            # Again: an old session of this id that is just being forgotten may have taken our entry along.
            await self._link.text.zadd(keys.INDEX, {record.session_id: 0})
        return bool(made)

    async def get(self, session_id: str) -> SessionRecord:
        """Return one record.

        Raises:
            SessionNotFoundError: Redis answered that there is none.
        """
        found = await self.get_many([session_id])
        if not found:
            raise SessionNotFoundError("no such session", session_id=session_id)
        return found[0]

    async def get_many(self, session_ids: Sequence[str]) -> list[SessionRecord]:
        """Return the records that exist, in the order asked, in one round trip."""
        if not session_ids:
            return []
        async with self._link.asking("read sessions"):
            pipe = self._link.text.pipeline(transaction=False)
            for session_id in session_ids:
                pipe.hgetall(keys.record(session_id))
            answers = await pipe.execute()
        return [
            record_from_fields(session_id, fields)
            for session_id, fields in zip(session_ids, answers, strict=True)
            if fields
        ]

    async def page(self, after: str | None, limit: int) -> tuple[list[SessionRecord], str | None]:
        """Return up to `limit` records with ids after `after` in order, and where the next page begins (None: last)."""
        async with self._link.asking("list sessions"):
            start = f"({after}" if after else "-"
            ids: list[str] = await self._link.text.zrangebylex(keys.INDEX, start, "+", start=0, num=limit + 1)
        more = len(ids) > limit
        return await self.get_many(ids[:limit]), (ids[limit - 1] if more else None)

    async def summary_page(self, after: str | None, limit: int) -> tuple[list[Summary], str | None]:
        """Return the summaries of the next `limit` ids, and where the next page begins (None: last)."""
        async with self._link.asking("list sessions"):
            start = f"({after}" if after else "-"
            ids: list[str] = await self._link.text.zrangebylex(keys.INDEX, start, "+", start=0, num=limit + 1)
        more = len(ids) > limit
        return await self.summaries_of(ids[:limit]), (ids[limit - 1] if more else None)

    async def all(self, *, page_size: int = 500) -> list[SessionRecord]:
        """Return every record, read in pages."""
        records: list[SessionRecord] = []
        after: str | None = None
        while True:
            page, after = await self.page(after, page_size)
            records += page
            if after is None:
                return records

    async def write_wish(self, session_id: str, fields: Mapping[str, object], *, new_serial: bool = False) -> None:
        """Write the coordinator's fields.

        Raises:
            SessionNotFoundError: it was deleted meanwhile.
        """
        await self._wish(session_id, fields, new_serial=new_serial, only_at_rest=False)

    async def write_at_rest(self, session_id: str, fields: Mapping[str, object]) -> bool:
        """Write fields that belong to the holder, while there is none; False if there is one now."""
        return await self._wish(session_id, fields, new_serial=False, only_at_rest=True)

    async def _wish(
        self, session_id: str, fields: Mapping[str, object], *, new_serial: bool, only_at_rest: bool
    ) -> bool:
        answer = await self._link.run(
            "write_wish",
            [keys.record(session_id), keys.lease(session_id)],
            [int(new_serial), int(only_at_rest), *_flat(fields)],
        )
        if answer == 0:
            raise SessionNotFoundError("no such session", session_id=session_id)
        return bool(answer == 1)

    async def roll_back(self, session_id: str, order: tuple[int, int]) -> None:
        """Have the next start restore this copy and nothing newer that was taken before now; wants the session running.

        Raises:
            SessionNotFoundError: it was deleted, or is to be.
            ArchiveVoidError: the login that the copy belongs to was ended meanwhile.
        """
        answer = await self._link.run(
            "roll_back", [keys.record(session_id), keys.token(session_id)], [*order, Desired.RUNNING, Desired.DELETED]
        )
        if answer == 0:
            raise SessionNotFoundError("no such session", session_id=session_id)
        if answer == -1:
            raise ArchiveVoidError("the archive belongs to a login that was ended", session_id=session_id)

    async def write_held(self, session_id: str, token: int, fields: Mapping[str, object]) -> None:
        """Write the holder's fields.

        Raises:
            StaleTokenError: somebody else was given the lease since; stop the session at once.
            SessionNotFoundError: the session was deleted.
            RedisLostDataError: the record or our token is lost; it comes back with the next renewal.
        """
        answer = await self._link.run(
            "write_held",
            [keys.record(session_id), keys.token(session_id), keys.seen_epoch(session_id)],
            [token, *_flat(fields)],
        )
        check_held_answer(answer, session_id, token)

    async def regain(self, record: SessionRecord, token: int) -> None:
        """Write the record of a session that runs, as its holder knows it, after Redis lost data.

        The coordinator's fields are written only if the record is gone, or older than the holder's by its serial.

        Raises:
            StaleTokenError: somebody else was given the lease since.
            RedisLostDataError: data was lost again; the lease must be regained first.
        """
        fields = record_to_fields(record)
        wishes = _flat({name: fields.pop(name) for name in _WISHES})
        # Index and set of the shard first, as in `create`: should the answer get lost and the holder end, nobody would
        # ever see a record that is in neither, and no recovery makes one that is there.
        await self._list(record)
        answer = await self._link.run(
            "regain_record",
            [keys.record(record.session_id), keys.token(record.session_id), keys.seen_epoch(record.session_id)],
            [token, record.serial, len(wishes), *wishes, *_flat(fields)],
        )
        check_held_answer(answer, record.session_id, token)
        await self._list(record)

    async def _list(self, record: SessionRecord) -> None:
        async with self._link.asking("store a session"):
            await self._link.text.zadd(keys.INDEX, {record.session_id: 0})
            if record.shard is not None:
                await self._link.text.sadd(keys.placed(record.shard), record.session_id)

    async def doomed_token(self, session_id: str) -> int:
        """Return the highest token of a session that is to be deleted: every login up to it is over.

        Raises:
            ConflictError: somebody holds the lease, or it is a new session that nobody wants deleted.
            SessionNotFoundError: it is gone.
        """
        where = [keys.record(session_id), keys.lease(session_id), keys.token(session_id)]
        token = int(await self._link.run("read_doomed", where, [Desired.DELETED]))
        if token == _GONE:
            raise SessionNotFoundError("no such session", session_id=session_id)
        if token == _NOT_DOOMED:
            raise ConflictError("the session runs, or is wanted again", session_id=session_id)
        return token

    async def forget(self, session_id: str) -> None:
        """Remove a record that is to be deleted, its codes, its hot copy and its index entry; the token key stays.

        Raises:
            ConflictError: somebody holds the lease, or it is a new session that nobody wants deleted; nothing changed.
        """
        removed = await self._link.run(
            "forget_record",
            [keys.record(session_id), keys.lease(session_id), keys.hot_copy(session_id), keys.code(session_id)],
            [Desired.DELETED],
        )
        if removed == -1:
            raise ConflictError("the session runs, or is wanted again", session_id=session_id)
        async with self._link.asking("forget a session"):
            await self._link.text.zrem(keys.INDEX, session_id)
            # A new session of this id may have been made since the record went.
            if await self._link.text.exists(keys.record(session_id)):
                await self._link.text.zadd(keys.INDEX, {session_id: 0})

    async def summaries(self, *, page_size: int = 1000) -> tuple[Summary, ...]:
        """Return a summary of every record, in the order of their ids."""
        return await read_summaries(self._link, page_size=page_size)

    async def place_many(self, placements: Sequence[Placement], *, at_once: int = 500) -> tuple[Placement, ...]:
        """Record placements and return those that hold now; safe to repeat, and the record decides.

        One whose session is gone, or is placed elsewhere than it was seen, is left out.
        """
        return await place_many(self._link, placements, at_once=at_once)

    async def unplace(self, shard: str, session_ids: Iterable[str]) -> None:
        """Take sessions out of a shard's set of placements."""
        ids = list(session_ids)
        if ids:
            async with self._link.asking("remove placements"):
                await self._link.text.srem(keys.placed(shard), *ids)

    async def placed_sets(self, shards: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the ids in each shard's set of placements, whatever the records say."""
        if not shards:
            return {}
        async with self._link.asking("read placements"):
            pipe = self._link.text.pipeline(transaction=False)
            for shard in shards:
                pipe.smembers(keys.placed(shard))
            answers = await pipe.execute()
        return {shard: frozenset(members) for shard, members in zip(shards, answers, strict=True)}

    async def placed_counts(self, shards: Sequence[str]) -> dict[str, int]:
        """Return how many sessions are placed on each shard."""
        if not shards:
            return {}
        async with self._link.asking("count placements"):
            pipe = self._link.text.pipeline(transaction=False)
            for shard in shards:
                pipe.scard(keys.placed(shard))
            answers = await pipe.execute()
        return dict(zip(shards, answers, strict=True))

    async def summaries_of(self, session_ids: Sequence[str]) -> list[Summary]:
        """Return the summaries of those of these sessions that exist, in one round trip."""
        return await summaries_of(self._link, session_ids)

    async def placed_summaries(self, shard: str) -> list[Summary]:
        """Return the summaries of the sessions whose recorded placement is this shard."""
        async with self._link.asking("read placements"):
            ids = sorted(await self._link.text.smembers(keys.placed(shard)))
        return [found for found in await self.summaries_of(ids) if found.shard == shard]

    async def placed_on(self, shard: str) -> list[SessionRecord]:
        """Return the records of the sessions whose recorded placement is this shard."""
        async with self._link.asking("read placements"):
            ids = sorted(await self._link.text.smembers(keys.placed(shard)))
        return [record for record in await self.get_many(ids) if record.shard == shard]


def check_held_answer(answer: int, session_id: str, token: int) -> None:
    """Raise what a script of the lease's holder answered.

    Raises:
        StaleTokenError: -1, a newer token exists.
        RedisLostDataError: -2, Redis lost the record, or has an older token than the holder's; its keeper sees to that.
        SessionNotFoundError: 0, the record is gone.
    """
    if answer == -1:
        raise StaleTokenError("a newer holder exists", session_id=session_id, token=token)
    if answer == -2:
        raise RedisLostDataError("Redis lost what it knew of the session", session_id=session_id, token=token)
    if answer == 0:
        raise SessionNotFoundError("the session was deleted", session_id=session_id)
