"""Which caches a restored profile gets: its own if they are trusted, a template's if so set, else none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.core.sections import BrowserSettings, PathSettings
from shards.profile.caches import CACHE_DIRS
from shards.profile.template import TemplateKey, seal
from shards.restore.caches import PageCaches

VERSION = "156.0.8078.79"
CODE = "Default/Code Cache/code"


def caches(root: Path, *, failures: int = 0, version: str = VERSION, **settings: str) -> PageCaches:
    browser = BrowserSettings(**cast(Any, settings))
    paths = PathSettings(PROFILE_ROOT=root, MIN_FREE_BYTES=0)
    shard = SimpleNamespace(chromium=version, settings=SimpleNamespace(browser=browser, paths=paths))
    return PageCaches(cast(Any, shard), cast(Any, SimpleNamespace(failures=failures)))


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    (tmp_path / "profile").mkdir()
    return tmp_path / "profile"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a template."""
    (tmp_path / "source" / CODE).parent.mkdir(parents=True)
    (tmp_path / "source" / CODE).write_bytes(b"code")
    key = TemplateKey(chromium=VERSION, binary="chromium-headless-shell", origin="https://web.whatsapp.com")
    seal(tmp_path / "source", tmp_path / "root", key, None)
    return tmp_path / "root"


@pytest.mark.parametrize(("failures", "kept"), [(0, CACHE_DIRS), (1, CACHE_DIRS), (2, ()), (3, ())])
def test_caches_are_kept_until_the_session_keeps_failing(
    root: Path, profile: Path, failures: int, kept: tuple[str, ...]
) -> None:
    caches(root).before_opening(profile, unpacked=True)
    for folder in CACHE_DIRS:
        (profile / folder).mkdir(parents=True)
    assert caches(root, failures=failures).to_keep(profile) == kept
    assert caches(root, version="157.0.1.1").to_keep(profile) == ()
    assert caches(root, CHROMIUM_PATH="/usr/lib/chromium/chromium").to_keep(profile) == ()


@pytest.mark.parametrize(
    ("there", "unpacked", "failures", "settings"),
    [
        (True, True, 0, {"PAGE_TEMPLATE": "on"}),
        (True, True, 1, {"PAGE_TEMPLATE": "on"}),
        (False, True, 2, {"PAGE_TEMPLATE": "on"}),
        (False, False, 0, {"PAGE_TEMPLATE": "on"}),
        (False, True, 0, {"PAGE_TEMPLATE": "off"}),
        (False, True, 0, {}),
        (False, True, 0, {"PAGE_TEMPLATE": "on", "WHATSAPP_WEB_URL": "https://x.example/"}),
    ],
)
def test_a_template_is_placed_only_where_wanted(
    root: Path, profile: Path, there: bool, unpacked: bool, failures: int, settings: dict[str, str]
) -> None:
    caches(root, failures=failures, **settings).before_opening(profile, unpacked=unpacked)
    assert (profile / CODE).exists() is there
