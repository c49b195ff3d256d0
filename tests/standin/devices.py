"""The linked devices that the stand-in knows, and their optional state file.

Owns who is paired, with which keys, and what each device has proven. Holds no connections and no private keys.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SAVE_DELAY_S = 0.2


@dataclass(slots=True)
class Device:
    """One linked device. Field names are those of `GET /state`."""

    id: int
    jid: str
    lid: str
    noise_pub: bytes
    identity_pub: bytes
    pushname: str
    platform: str = "android"
    created: float = field(default_factory=time.time)
    logins: int = 0
    failed_logins: int = 0
    rc: int = 0  # highest log-in counter seen; the profile holds the other copy
    stale_logins: int = 0  # log-ins whose counter was not new: an old backup, or a clone
    revoked: str | None = None
    last_seen: float = 0
    queue: list[dict[str, Any]] = field(default_factory=list)  # messages that wait for the device to come online

    @property
    def phone(self) -> str:
        """The account's number, digits only."""
        return self.jid.split("@")[0]

    def to_json(self) -> dict[str, Any]:
        """Everything, with keys as base64 text; the queue in full."""
        row = asdict(self)
        row["noise_pub"] = base64.b64encode(self.noise_pub).decode()
        row["identity_pub"] = base64.b64encode(self.identity_pub).decode()
        return row

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Device:
        """The inverse of `to_json`."""
        keys = {name: base64.b64decode(row[name]) for name in ("noise_pub", "identity_pub")}
        return cls(**{**row, **keys})


class Devices:
    """All devices by id. With a state file they outlive the process.

    Pairing and revocation are on disk before anyone is told; counters and queues follow within `SAVE_DELAY_S`.
    """

    def __init__(self, state_file: Path | None = None) -> None:
        self._state_file = state_file
        self._by_id: dict[int, Device] = {}
        self._last_id = 0
        self._saving: asyncio.TimerHandle | None = None
        if state_file is not None and state_file.exists():
            self._load(state_file)

    def __iter__(self) -> Iterator[Device]:
        return iter(list(self._by_id.values()))

    def get(self, device_id: int) -> Device | None:
        """The device with this id, if it was ever paired."""
        return self._by_id.get(device_id)

    def matching(self, *, device_id: int | None = None, phone: str | None = None) -> list[Device]:
        """Devices that fit every given criterion; all of them when none is given."""
        return [d for d in self if device_id in (None, d.id) and phone in (None, d.phone)]

    def draft(self, *, phone: str, noise_pub: bytes, identity_pub: bytes, pushname: str) -> Device:
        """Make a device that is not known yet; `admit` makes it known once its page has signed."""
        self._last_id += 1
        lid = int(hashlib.sha256(phone.encode()).hexdigest()[:12], 16)
        return Device(self._last_id, f"{phone}@c.us", f"{lid}@lid", noise_pub, identity_pub, pushname)

    def admit(self, device: Device) -> None:
        """Make a drafted device a linked one."""
        self._by_id[device.id] = device
        self.save()

    def revoke(self, device: Device, reason: str) -> None:
        """Refuse this device from now on; its queue is dropped."""
        device.revoked = reason
        device.queue.clear()
        self.save()

    def touched(self) -> None:
        """Note that counters or a queue changed; they are written soon."""
        if self._state_file is not None and self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(SAVE_DELAY_S, self.save)

    def save(self) -> None:
        """Write the state file now, atomically. Does nothing without one."""
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        if self._state_file is None:
            return
        state = {"last_id": self._last_id, "devices": [d.to_json() for d in self]}
        write_atomically(self._state_file, json.dumps(state).encode())

    def _load(self, path: Path) -> None:
        try:
            state = json.loads(path.read_text())
            self._last_id = state["last_id"]
            self._by_id = {row["id"]: Device.from_json(row) for row in state["devices"]}
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(f"{path} is not a stand-in's state file: {error}") from None


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` so that a reader sees the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
