"""The main job, step by step: every step checks what it claims."""

import asyncio
import re
from dataclasses import dataclass

from rich.console import Console

from daemon.embedded.supervision import Supervision
from tests.demo.clients import Daemon, Json, Phones
from tests.demo.codes import drawn
from tests.demo.havoc import kill_and_wipe
from tests.demo.installation import Installation
from tests.demo.receiver import Receiver
from tests.demo.steps import StepFailed, Steps, until

USERS = (("7", "12", "5511999990012"), ("7", "13", "5511999990013"), ("8", "12", "5511999990014"))
"""Workspace, user and phone of the three sessions."""

CONTACT = "5511888880001"


@dataclass
class Session:
    """One session of the walk, and its phone."""

    session_id: str
    phone: str


class Walk:
    """One walk through a started installation."""

    def __init__(
        self,
        made: Installation,
        supervision: Supervision,
        daemon: Daemon,
        phones: Phones,
        receiver: Receiver,
        console: Console,
    ) -> None:
        self._made = made
        self._supervision = supervision
        self._daemon = daemon
        self._phones = phones
        self._receiver = receiver
        self._console = console
        self.steps = Steps(console)
        self.sessions: list[Session] = []

    async def run(self) -> None:
        """Take all steps; the first that fails raises."""
        await self._start()
        await self._create()
        await self._show_codes()
        await self._scan()
        await self._send("hello from the daemon", "a message goes out")
        await self._receive()
        await self._backups()
        before = await self._lose_everything()
        await self._come_back(before)
        await self._confirm(before)
        await self._send("hello again", "a message goes out again")

    async def _start(self) -> None:
        async with self.steps.step("supervisord starts everything") as step:

            async def ready() -> bool:
                self._supervision.check()
                return await self._daemon.ready_with(self._made.shards)

            await until("coordinator and shards are ready", ready, limit_s=90)
            step.seen = ", ".join(sorted(self._supervision.states()))

    async def _create(self) -> None:
        async with self.steps.step("three sessions are created over HTTP") as step:
            for workspace_id, user_id, phone in USERS:
                made = await self._daemon.create(workspace_id, user_id)
                self.sessions.append(Session(made["session_id"], phone))
            step.seen = ", ".join(session.session_id for session in self.sessions)

    async def _show_codes(self) -> None:
        async with self.steps.step("their QR codes are on display") as step:
            texts = await asyncio.gather(*(self._code(session) for session in self.sessions))
            captions = [f"{session.session_id} (scanned by {session.phone})" for session in self.sessions]
            step.seen = f"{len(set(texts))} different codes"
            if len(set(texts)) != len(self.sessions):
                raise StepFailed("two sessions show the same code")
        print(drawn(dict(zip(captions, texts, strict=True)), self._console.width), flush=True)

    async def _code(self, session: Session) -> str:
        try:
            return await until(
                f"{session.session_id} shows a QR code", lambda: self._daemon.qr_text(session.session_id)
            )
        except StepFailed as error:
            shown = await self._daemon.session(session.session_id)
            raise StepFailed(f"{error}; it is {shown['status']} ({shown['reason']}), see the log of a shard") from None

    async def _scan(self) -> None:
        async with self.steps.step("a virtual phone scans each; they connect") as step:
            await asyncio.gather(*(self._scan_one(session) for session in self.sessions))
            shown = await asyncio.gather(*(self._connected(session) for session in self.sessions))
            for session in self.sessions:
                await self._event(session, "ready")
            step.seen = ", ".join(f"{one['session_id']} on {one['shard']}" for one in shown)

    async def _scan_one(self, session: Session) -> None:
        async def scanned() -> bool:
            qr = await self._daemon.qr_text(session.session_id)
            return qr is not None and await self._phones.scan(qr, session.phone)

        await until(f"{session.phone} could scan the code", scanned)

    async def _connected(self, session: Session) -> Json:
        async def probe() -> Json | None:
            shown = await self._daemon.session(session.session_id)
            return shown if shown["status"] == "connected" else None

        return await until(f"{session.session_id} is connected", probe)

    async def _send(self, text: str, title: str) -> None:
        async with self.steps.step(title) as step:
            session = self.sessions[0]
            sent = await self._daemon.send(session.session_id, CONTACT, text)
            reached = [m for m in await self._phones.messages() if m["dir"] == "out" and m.get("body") == text]
            if len(reached) != 1:
                raise StepFailed(f"WhatsApp has it {len(reached)} times")
            step.seen = f"{sent['outcome']}, ack {sent['ack']}; WhatsApp has it once"

    async def _receive(self) -> None:
        async with self.steps.step("one comes in and reaches the webhook, signed") as step:
            session, text = self.sessions[1], "hello from a contact"
            await self._phones.write(session.phone, CONTACT, text)
            event = await self._event(session, "message")
            if (event["data"]["body"], self._receiver.refused) != (text, 0):
                raise StepFailed(f"body {event['data']['body']!r}, {self._receiver.refused} wrong signatures")
            step.seen = f"{event['event']} from {event['data']['from']}: {text!r}, signature verified"

    async def _event(self, session: Session, kind: str) -> Json:
        async def probe() -> Json | None:
            return next(iter(self._receiver.of(session.session_id, kind)), None)

        return await until(f"the webhook {kind} of {session.session_id}", probe)

    async def _backups(self) -> None:
        async with self.steps.step("hot copies in Redis and archives in S3 appear") as step:
            shown = await asyncio.gather(*(self._backed_up(session) for session in self.sessions))
            step.seen = "; ".join(
                f"{one['hot_copy']['size_bytes'] // 1000} kB and {one['archive']['size_bytes'] // 1000} kB"
                for one in shown
            )

    async def _backed_up(self, session: Session) -> Json:
        async def probe() -> Json | None:
            shown = await self._daemon.session(session.session_id)
            return shown if shown["hot_copy"] and shown["archive"] else None

        return await until(f"{session.session_id} has a hot copy and an archive", probe)

    async def _lose_everything(self) -> dict[str, Json]:
        """Kill and wipe; return what was known of each session before."""
        async with self.steps.step("kill -9 of all shards and browsers, profiles wiped") as step:
            devices = await self._phones.devices()
            before = {}
            for session in self.sessions:
                shown = await self._daemon.session(session.session_id)
                events = len(self._receiver.of(session.session_id, "qr"))
                before[session.session_id] = {**shown, "logins": devices[session.phone]["logins"], "qr_events": events}
            names = [name for name in self._supervision.states() if name.startswith("shard:")]
            pids = [self._supervision.call("getProcessInfo", name)["pid"] for name in names]
            browsers, profiles = kill_and_wipe(pids, self._made.profile_root)
            if profiles != len(self.sessions) or not browsers:
                raise StepFailed(f"there were {profiles} profiles and {browsers} browser processes")
            step.seen = f"{len(pids)} shards, {browsers} Chromium processes, {profiles} profiles"
        async with self.steps.step("supervisord restarts the shards") as step:

            async def restarted() -> bool:
                infos = [self._supervision.call("getProcessInfo", name) for name in names]
                return all(info["statename"] == "RUNNING" and info["pid"] not in pids for info in infos)

            await until("all shards run again", restarted)
            step.seen = ", ".join(names)
        return before

    async def _come_back(self, before: dict[str, Json]) -> None:
        async with self.steps.step("all three are connected again, without a QR code") as step:
            seen: set[str] = set()
            shown = await asyncio.gather(*(self._back(session, before, seen) for session in self.sessions))
            if seen & {"qr", "pairing", "disconnected"}:
                raise StepFailed(f"on the way they were {', '.join(sorted(seen))}")
            for session in self.sessions:
                if len(self._receiver.of(session.session_id, "qr")) != before[session.session_id]["qr_events"]:
                    raise StepFailed(f"{session.session_id} sent a QR code")
            step.seen = "restored from " + ", ".join(str(one["restored_from"]) for one in shown)

    async def _back(self, session: Session, before: dict[str, Json], seen: set[str]) -> Json:
        # A record says "connected" until the new holder changes it; what the new holder restored proves that it did.
        restored_at = before[session.session_id]["restored_at"]

        async def probe() -> Json | None:
            shown = await self._daemon.session(session.session_id)
            seen.add(shown["status"])
            return shown if shown["status"] == "connected" and shown["restored_at"] != restored_at else None

        return await until(f"{session.session_id} is connected again", probe)

    async def _confirm(self, before: dict[str, Json]) -> None:
        async with self.steps.step("WhatsApp saw a signature log-in of each, none stale") as step:
            devices = await self._phones.devices()
            for session in self.sessions:
                device, logins = devices[session.phone], before[session.session_id]["logins"]
                if device["logins"] != logins + 1 or device["stale_logins"] or device["failed_logins"]:
                    raise StepFailed(f"{session.phone}: {re.sub(r'[{}]', '', str(device))}")
            step.seen = f"{len(self.sessions)} log-ins, 0 stale, 0 failed"
