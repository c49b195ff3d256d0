"""`blazz template`: what keeps a template from being made, and what is shown and removed."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from daemon.core.errors import BrowserError, FatalError
from daemon.core.sections import BrowserSettings
from shards.cli import making, parts
from shards.cli import template as commands
from shards.cli.making import OPENINGS, fill_caches
from shards.page.state import PageSnapshot, PageState
from shards.profile.template import TemplateKey, seal

SHOWN = PageSnapshot(state=PageState.QR, wa_version="2.3000.1")


class Chromium:
    """Stands for Chromium with the page in it: what the page shows, and whether each end is in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shown: PageSnapshot, ends: Iterator[bool]) -> None:
        self.shown, self.ends, self.opened, self.discarded = shown, ends, 0, 0
        self.page = self
        monkeypatch.setattr(making, "BrowserProcess", SimpleNamespace(start=self._start))
        monkeypatch.setattr(making, "open_page", self._open)
        monkeypatch.setattr(making, "_POLL_S", 0)

    async def _start(self, *_: object, **__: object) -> None:
        self.opened += 1

    async def _open(self, *_: object, phases: object) -> "Chromium":
        return self

    async def snapshot(self) -> PageSnapshot:
        return self.shown

    async def close(self) -> bool:
        return next(self.ends)

    async def discard(self) -> None:
        self.discarded += 1


async def fill(home: Path) -> str | None:
    return (await fill_caches(BrowserSettings(), home, settle_s=0)).wa_version


async def test_an_end_out_of_order_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chromium = Chromium(monkeypatch, SHOWN, iter([True, False, True, False, True]))
    assert await fill(tmp_path) == "2.3000.1"
    assert (chromium.opened, chromium.discarded) == (5, 5)


async def test_chromium_that_never_ends_in_order_makes_no_template(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chromium = Chromium(monkeypatch, SHOWN, iter([False] * 100))
    with pytest.raises(BrowserError, match="0 of"):
        await fill(tmp_path)
    assert chromium.opened == 2 * OPENINGS


@pytest.mark.parametrize(
    "shown",
    [PageSnapshot(state=state) for state in PageState if state not in {PageState.QR, PageState.BOOTING}]
    + [PageSnapshot(state=PageState.QR, phone="5511999990000")],
    ids=lambda shown: f"{shown.state}-{shown.phone}",
)
async def test_a_page_with_an_account_makes_no_template(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shown: PageSnapshot
) -> None:
    chromium = Chromium(monkeypatch, shown, iter([True] * 100))
    with pytest.raises(FatalError, match="account"):
        await fill(tmp_path)
    assert (chromium.opened, chromium.discarded) == (1, 1)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one template."""

    async def version(_: Path) -> str:
        return "156.0.8078.79"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "configure_logs", lambda *_, **__: None)
    monkeypatch.setattr(commands, "binary_version", version)
    (tmp_path / "source/Default/Code Cache").mkdir(parents=True)
    (tmp_path / "source/Default/Code Cache/code").write_bytes(bytes(1234))
    key = TemplateKey(chromium="156.0.8078.79", binary="chromium-headless-shell", origin="https://web.whatsapp.com")
    seal(tmp_path / "source", tmp_path / "profiles", key, "2.3000.1")
    return tmp_path / "profiles"


def blazz(root: Path, *arguments: str, **settings: str) -> Result:
    environment = {
        "PROFILE_ROOT": str(root),
        "API_TOKEN": "test-token-of-many-characters",
        "R2_ENDPOINT": "http://127.0.0.1:1",
        "R2_ACCESS_KEY_ID": "x",
        "R2_SECRET_ACCESS_KEY": "x",
    }
    return CliRunner(env=environment | settings).invoke(commands.template, arguments)


def test_status_tells_whether_one_fits(root: Path) -> None:
    shown = blazz(root, "status").output
    assert all(word in shown for word in ("2.3000.1", "1,234", "0.0 h", "yes")) and "none fits" not in shown
    for other in ({"CHROMIUM_PATH": "/usr/lib/chromium/chromium"}, {"WHATSAPP_WEB_URL": "https://x.example/"}):
        shown = blazz(root, "status", **other).output
        assert "1,234" in shown and "none fits" in shown


def test_removed_templates_are_gone(root: Path) -> None:
    assert blazz(root, "remove").output == "1 removed\n"
    assert not (root / ".templates").exists()
    assert blazz(root, "status").output.startswith("none fits")


def test_another_user_than_that_of_the_shards_makes_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands.os, "geteuid", lambda: root.stat().st_uid + 1)
    with pytest.raises(FatalError, match="another user"):
        commands._check_owner(root)
