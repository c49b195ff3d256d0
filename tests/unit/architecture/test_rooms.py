"""The rooms' import rules: who may import whom, and which room alone touches which outside system."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PRODUCT = sorted(path for room in ("daemon", "shards") for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"relative import in {path}"
            found |= {node.module}
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def importers(*packages: str) -> set[str]:
    """Return the files that import one of the packages, or something inside it."""
    return {
        room(path)
        for path in PRODUCT
        if any(name == p or name.startswith(p + ".") for name in imports(path) for p in packages)
    }


def test_the_walk_sees_the_product() -> None:
    assert len(PRODUCT) > 60


def test_daemon_never_imports_shards() -> None:
    assert not {name for name in importers("shards") if name.startswith("daemon/")}


def test_the_product_never_imports_tests_or_bench() -> None:
    assert not importers("tests", "bench")


@pytest.mark.parametrize(
    ("packages", "rooms"),
    [
        (("redis",), ("daemon/registry/",)),
        (("minio", "urllib3"), ("daemon/objectstore/",)),
        (("sqlalchemy", "pymysql", "psycopg", "sqlite3"), ("daemon/platform/",)),
        (("pyppeteer",), ("shards/browser/", "shards/page/")),
        (("fastapi", "starlette"), ("daemon/api/", "daemon/coordinator/process.py")),
        (("uvicorn",), ("daemon/coordinator/process.py",)),
        (("httpx",), ("daemon/webhooks/", "daemon/cli/", "daemon/embedded/")),
        (("swift", "eventlet"), ("daemon/embedded/",)),
    ],
)
def test_an_outside_system_is_touched_by_its_own_room_only(packages: tuple[str, ...], rooms: tuple[str, ...]) -> None:
    assert not {name for name in importers(*packages) if not name.startswith(rooms)}


@pytest.mark.parametrize(
    ("inside", "allowed"),
    [
        ("daemon/core/", ("daemon.core",)),
        ("daemon/sessions/", ("daemon.core", "daemon.sessions")),
        ("daemon/placement/", ("daemon.placement",)),
        ("daemon/platform/", ("daemon.core", "daemon.sessions", "daemon.platform")),
        ("daemon/registry/", ("daemon.core", "daemon.sessions", "daemon.registry")),
        ("daemon/objectstore/", ("daemon.core", "daemon.sessions", "daemon.objectstore")),
        ("shards/browser/", ("daemon.core", "shards.browser")),
        ("shards/page/", ("daemon.core", "daemon.sessions", "shards.browser", "shards.page")),
        ("shards/profile/", ("daemon.core", "shards.profile")),
        ("shards/archive/", ("daemon.core", "shards.archive")),
    ],
)
def test_a_room_imports_only_the_rooms_below_it(inside: str, allowed: tuple[str, ...]) -> None:
    for path in PRODUCT:
        if not room(path).startswith(inside):
            continue
        ours = {name for name in imports(path) if name.split(".")[0] in {"daemon", "shards"}}
        wrong = {name for name in ours if not any(name == a or name.startswith(a + ".") for a in allowed)}
        assert not wrong, f"{room(path)} imports {sorted(wrong)}"


def test_the_environment_is_read_by_the_settings_only() -> None:
    readers = {room(path) for path in PRODUCT if "os.environ" in path.read_text() or "getenv(" in path.read_text()}
    assert {name for name in readers if not name.startswith("daemon/embedded/")} == {"daemon/core/settings.py"}


def test_no_transaction_of_redis_py_is_used() -> None:
    """On a cluster they stall the event loop and break the client; `RedisLink.together` does what they are for."""
    calls = [
        (room(path), node)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pipeline"
    ]
    assert len(calls) > 5
    wrong = {
        name
        for name, call in calls
        if [(word.arg, ast.literal_eval(word.value)) for word in call.keywords] != [("transaction", False)]
    }
    assert not wrong
