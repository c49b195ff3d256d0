"""What is packaged is what is there, and what is downloaded is pinned."""

import configparser
import json
import re
from pathlib import Path

import pytest

from daemon.core.setting_types import Section
from daemon.core.settings import SECTIONS

ROOT = Path(__file__).resolve().parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_listed(setup_cfg: configparser.ConfigParser) -> None:
    listed = set(setup_cfg["options"]["packages"].split())
    there = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for top in ("daemon", "shards")
        for file in (ROOT / top).rglob("__init__.py")
    }
    assert listed == there


def test_every_file_that_is_not_python_is_package_data(setup_cfg: configparser.ConfigParser) -> None:
    data = {
        file
        for package, patterns in setup_cfg["options.package_data"].items()
        for pattern in patterns.split()
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    others = {
        file
        for top in ("daemon", "shards")
        for file in (ROOT / top).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"}
    }
    assert others - data == set()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_holds_exact_versions_and_no_address(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.]+|-r [a-z]+\.lock", line, re.IGNORECASE), line


def test_direct_requirements_are_locked(setup_cfg: configparser.ConfigParser) -> None:
    locked = {line.partition("==")[0].lower().replace("_", "-") for lock in LOCKS for line in lock.read_text().split()}
    wanted = [setup_cfg["options"]["install_requires"], *setup_cfg["options.extras_require"].values()]
    for line in "\n".join(wanted).splitlines():
        name = re.match(r"[A-Za-z0-9_-]*", line.strip())
        assert name is not None
        assert name[0].lower().replace("_", "-") in locked | {""}, line


@pytest.mark.parametrize("folder", ["interop", "r2local", "remoteauth"])
def test_node_packages_are_pinned_by_hash_and_not_by_address(folder: str) -> None:
    packages = json.loads((ROOT / "tests" / folder / "package-lock.json").read_text())["packages"]
    for name, package in packages.items():
        assert "resolved" not in package
        assert not name or package["integrity"].startswith("sha512-")


def test_the_page_bundle_is_pinned_by_hash() -> None:
    lock = json.loads((ROOT / "shards/page/wajs.lock.json").read_text())
    assert lock["integrity"].startswith("sha512-")
    assert re.fullmatch(r"[0-9a-f]{64}", lock["sha256"])


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS.keys())
def test_the_example_names_every_setting(section: type[Section]) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for field in section.model_fields.values():
        assert any(line.startswith(f"#{field.alias}=") for line in lines), field.alias
