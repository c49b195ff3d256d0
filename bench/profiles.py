"""Profiles as Chromium leaves them behind after a login at the stand-in, copied to as many sessions as are wanted."""

import dataclasses
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from shards.page.overlay import OVERLAY_FILE, Overlay
from shards.profile.files import relevant_files
from tests.integration.page.phone import BOB, World, send_text
from tests.standin import StandIn

_MESSAGES = 20
_OWN_CHARS = 4096


@dataclass(frozen=True, kw_only=True)
class Login:
    """One session's profile, and what its page held besides."""

    profile: Path
    overlay: Overlay

    @property
    def extra(self) -> dict[str, bytes]:
        """The additional files of a snapshot of it."""
        return {OVERLAY_FILE: self.overlay.to_json()}


async def log_in(work: Path, count: int) -> list[Login]:
    """Link so many real Chromiums at the stand-in, one after the other, with some messages each; they are closed."""
    made = []
    async with StandIn(sync_ms=200, ref_ttl_ms=60_000) as standin:
        world = World(standin, work)
        for number in range(count):
            name = f"login-{number}"
            async with world.paired(name) as opened:
                for message in range(_MESSAGES):
                    await send_text(opened.page, BOB, f"message {message} of {name}")
                overlay = await opened.page.capture_overlay()
            made.append(Login(profile=work / name / "profile", overlay=overlay))
    return made


def copy_to(logins: list[Login], places: list[Path], chance: random.Random) -> list[Login]:
    """Copy the logins in turn to new directories; each copy has something in it that no other has."""
    copies = []
    for number, place in enumerate(places):
        login = logins[number % len(logins)]
        for path in relevant_files(login.profile):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(login.profile / path, place / path)
        own = {"bench": chance.randbytes(_OWN_CHARS // 2).hex()}
        overlay = dataclasses.replace(login.overlay, local_storage={**login.overlay.local_storage, **own})
        copies.append(Login(profile=place, overlay=overlay))
    return copies
