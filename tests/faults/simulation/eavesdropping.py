"""Listening to everything that Redis carries out, to follow tokens, and to see who writes with which one.

Redis feeds its monitors a script's call first and then the commands that the script ran, with nothing in between: so
what a script really wrote is known, and with whose token. MONITOR: redis.io/docs/latest/commands/monitor.
"""

import asyncio
import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import daemon.registry
from tests.faults.simulation.history import History, Kind

_LUA = Path(daemon.registry.__file__).parent / "lua"
_LIMIT_BYTES = 8_000_000
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
_KEY = re.compile(r"wa:\{([^}]+)\}:(\w+)$")
_SCRIPTING = re.compile(rb'"(?:EVALSHA|SCRIPT" "LOAD)"')
_OF_HOLDERS = {"write_held", "put_hot_copy", "put_code", "drop_hot_copy", "regain_record"}


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A script that is being carried out."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]


class Eavesdropper:
    """Follows one Redis server through its restarts."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._titles = {path.read_text().partition("\n")[0]: path.stem for path in _LUA.glob("*.lua")}
        self._scripts: dict[str, str] = {}
        """What was loaded, by the digest under which it is called; known by their first lines."""
        self._call: _Call | None = None
        self._at_s = 0.0
        self._tokens: dict[str, int] = {}
        self._highest: dict[str, int] = {}
        self._newest: dict[str, tuple[int, int]] = {}
        self._archived: dict[str, set[tuple[int, int]]] = {}
        self._task: asyncio.Task[None] | None = None
        self.status: dict[str, str] = {}
        """The state that each session's holder wrote last."""

    async def follow(self, socket: Path) -> None:
        """Listen to the server at this socket from now on; returns once it does."""
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LIMIT_BYTES)
        writer.write(b"MONITOR\r\n")
        await reader.readline()
        self._task = asyncio.create_task(self._listen(reader, writer))

    async def end(self) -> None:
        """Hear what a server that has ended said last."""
        if self._task is not None:
            await self._task

    def lost(self) -> None:
        """Note that Redis lost its data, wholly or in part: tokens may be lower than they were."""
        self._tokens.clear()
        self._newest.clear()
        self._history.note(Kind.LOSS, "redis", at_s=self._at_s)

    def highest_token(self, session_id: str) -> int:
        """Return the highest token that was ever granted."""
        return self._highest.get(session_id, 0)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self._hear(line)
        except ConnectionError:
            return
        finally:
            writer.close()

    def _hear(self, line: bytes) -> None:
        by_script = b" lua] " in line[:40]
        if not by_script:
            self._call = None
            if b'"FLUSHALL"' in line[:120]:
                self._at_s = float(line.partition(b" ")[0])
                self.lost()
        if (by_script and self._call is None) or (not by_script and not _SCRIPTING.search(line[:120])):
            return
        words = _WORD.findall(line.decode(errors="replace"))
        if words[0] == "SCRIPT":
            self._load(_plain(words[2]))
        elif not by_script:
            self._at_s = float(line.partition(b" ")[0])
            self._call = self._read_call(words)
        elif self._call is not None:
            self._did(self._call, words)

    def _load(self, text: str) -> None:
        name = self._titles.get(text.partition("\n")[0])
        if name is not None:
            self._scripts[hashlib.sha1(text.encode()).hexdigest()] = name

    def _read_call(self, words: list[str]) -> _Call | None:
        name = self._scripts.get(words[1])
        if name is None:
            return None
        keys = int(words[2])
        return _Call(script=name, keys=tuple(words[3 : 3 + keys]), arguments=tuple(words[3 + keys :]))

    def _did(self, call: _Call, words: list[str]) -> None:
        found = _KEY.match(words[1]) if len(words) > 1 else None
        if found is None:
            return
        session_id, kind = found.groups()
        command = words[0].upper()
        if kind == "token" and command in {"SET", "INCR"}:
            self._token_set(call, session_id, words)
        elif kind in {"record", "hot", "code"} and call.script in _OF_HOLDERS and command in {"HSET", "SET", "DEL"}:
            self._held_write(call, session_id, kind, words)

    def _token_set(self, call: _Call, session_id: str, words: list[str]) -> None:
        before = self._tokens.get(session_id, 0)
        value = before + 1 if words[0].upper() == "INCR" else int(float(words[2]))
        if value < before:
            self._history.fail("a token went back", session_id, before=before, to=value, by=call.script)
        self._tokens[session_id] = value
        self._highest[session_id] = max(value, self.highest_token(session_id))
        if words[0].upper() == "INCR":
            self._history.note(
                Kind.GRANT, session_id, at_s=self._at_s, token=value, holder=call.arguments[0].partition(":")[0]
            )

    def _held_write(self, call: _Call, session_id: str, kind: str, words: list[str]) -> None:
        token = int(call.arguments[0])
        if token < self.highest_token(session_id):
            highest = self.highest_token(session_id)
            self._history.fail(
                "a write with a stale token was taken", session_id, token=token, highest=highest, script=call.script
            )
        if kind != "record" or words[0].upper() != "HSET":
            return
        fields = dict(zip(words[2::2], words[3::2], strict=False))
        if status := fields.get("status"):
            self.status[session_id] = status
            reason = fields.get("reason") or None
            self._history.note(Kind.STATE, session_id, at_s=self._at_s, status=status, token=token, reason=reason)
        for name in ("hot_copy", "archive"):
            if fields.get(name):
                self._copied(session_id, name, fields[name])

    def _copied(self, session_id: str, name: str, text: str) -> None:
        with contextlib.suppress(ValueError, KeyError):
            facts = json.loads(_plain(text))
            order = (int(facts["token"]), int(facts["generation"]))
            place = f"{session_id} {name}"
            if order < self._newest.get(place, (0, 0)):
                self._history.fail("the newest copy went back", session_id, of=name, order=order)
            self._newest[place] = order
            if name == "archive":
                known = self._archived.setdefault(session_id, set())
                if order in known:
                    return  # a record that is written again names an archive of long ago
                known.add(order)
            self._history.note(Kind.COPY, session_id, at_s=self._at_s, of=name, order=order)


def _plain(text: str) -> str:
    """Undo the escapes of MONITOR's quoting, as far as text needs it."""
    return re.sub(r'\\(["\\n])', lambda found: {"n": "\n"}.get(found[1], found[1]), text)
