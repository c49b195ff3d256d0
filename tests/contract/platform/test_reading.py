"""What the platform's table says, on every kind of database: the same rows give the same sessions."""

import pytest
import structlog.testing
from sqlalchemy import column, delete, select, table

from daemon.core.errors import BlazzError
from daemon.platform.errors import PlatformRefusedError
from daemon.sessions.known import KnownSession
from daemon.sessions.states import Desired
from tests.contract.platform.conftest import Ask, Platform

CONNECTED = "'connected'"
READ_ONLY = {"sqlite": "SQLITE_READONLY", "mariadb": "MySQL 1792", "postgres": "PostgreSQL 25006"}


def known(user_id: str, workspace_id: str, session_id: str) -> KnownSession:
    return KnownSession(session_id=session_id, workspace_id=workspace_id, user_id=user_id, desired=Desired.RUNNING)


def ids(sessions: list[KnownSession]) -> set[str]:
    return {session.session_id for session in sessions}


async def test_connected_rows_are_sessions_and_numbers_become_text(platform: Platform, ask: Ask) -> None:
    name = platform.table(
        ("12", "7", "NULL", CONNECTED),
        ("13", "7", "''", CONNECTED),
        ("14", "8", "'own_Id-1'", CONNECTED),
        ("15", "8", "NULL", "'disconnected'"),
        ("16", "8", "NULL", "NULL"),
    )
    assert sorted(await ask(platform, name), key=lambda session: session.session_id) == [
        known("14", "8", "own_Id-1"),
        known("12", "7", "session-12-7"),
        known("13", "7", "session-13-7"),
    ]


async def test_an_empty_table_is_an_answer(platform: Platform, ask: Ask) -> None:
    assert await ask(platform, platform.table()) == []


async def test_rows_that_cannot_be_sessions_are_left_out_and_told_by_their_ids_only(
    platform: Platform, ask: Ask
) -> None:
    name = platform.table(
        ("NULL", "7", "NULL", CONNECTED),
        ("12", "NULL", "'kept'", CONNECTED),
        ("13", "7", "'../../etc'", CONNECTED),
        ("14", "7", "'a b {secret}'", CONNECTED),
        ("15", "7", f"'{'x' * 101}'", CONNECTED),
        ("16", "7", "'good'", CONNECTED),
    )
    with structlog.testing.capture_logs() as logs:
        assert ids(await ask(platform, name)) == {"good"}
    (line,) = [log for log in logs if log["log_level"] == "warning"]
    assert line["rows"] == 5
    assert {"user_id": "14", "workspace_id": "7"} in line["first"]
    assert "secret" not in repr(logs)


async def test_a_session_that_two_users_claim_is_nobodys(platform: Platform, ask: Ask) -> None:
    name = platform.table(
        ("12", "7", "'claimed'", CONNECTED),
        ("13", "7", "'claimed'", CONNECTED),
        ("14", "7", "'twice'", CONNECTED),
        ("14", "7", "'twice'", CONNECTED),
    )
    with structlog.testing.capture_logs() as logs:
        assert ids(await ask(platform, name)) == {"twice"}
    assert ["claimed"] in [log.get("first") for log in logs]


async def test_more_rows_than_are_fetched_at_once_all_arrive(platform: Platform, ask: Ask) -> None:
    name = platform.table(*[(str(user), "7", "NULL", CONNECTED) for user in range(1, 3502)])
    assert ids(await ask(platform, name)) == {f"session-{user}-7" for user in range(1, 3502)}


async def test_names_of_table_and_columns_can_be_any(platform: Platform, ask: Ask) -> None:
    columns = [platform.quoted(name) for name in ("User Id", "order", 'in"st`ance', "State")]
    name = platform.table(
        ("12", "7", "NULL", "'up'"),
        name="Whats App; Instances--",
        columns=f"{columns[0]} bigint, {columns[1]} bigint, {columns[2]} varchar(9), {columns[3]} varchar(9)",
    )
    found = await ask(
        platform, name, USER_COLUMN="User Id", WORKSPACE_COLUMN="order", INSTANCE_COLUMN='in"st`ance',
        STATUS_COLUMN="State", STATUS_VALUE="up",
    )  # fmt: skip
    assert ids(found) == {"session-12-7"}


@pytest.mark.parametrize(
    "value", ["x' OR '1'='1", "connected'; DROP TABLE t; --", 'connected" OR 1=1', "%s", ":status"]
)
async def test_a_status_is_a_value_and_never_a_statement(platform: Platform, ask: Ask, value: str) -> None:
    name = platform.table(("12", "7", "NULL", CONNECTED), ("13", "7", "NULL", "'" + value.replace("'", "''") + "'"))
    assert ids(await ask(platform, name, STATUS_VALUE=value)) == {"session-13-7"}
    assert ids(await ask(platform, name)) == {"session-12-7"}


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("TABLE", "SESSIONS_DATABASE_TABLE"),
        ("USER_COLUMN", "SESSIONS_DATABASE_*_COLUMN"),
        ("WORKSPACE_COLUMN", "SESSIONS_DATABASE_*_COLUMN"),
        ("INSTANCE_COLUMN", "SESSIONS_DATABASE_*_COLUMN"),
        ("STATUS_COLUMN", "SESSIONS_DATABASE_*_COLUMN"),
    ],
)
async def test_a_wrong_name_is_a_refusal_that_names_the_setting_and_never_an_empty_answer(
    platform: Platform, ask: Ask, setting: str, hint: str
) -> None:
    name = platform.table(("12", "7", "NULL", CONNECTED))
    with pytest.raises(PlatformRefusedError) as raised:
        await ask(platform, **{"table": name, setting: "not_there"})
    assert hint in raised.value.hint


async def test_nothing_can_be_changed(platform: Platform, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    name = platform.table(("12", "7", "NULL", CONNECTED))
    if platform.server is not None:
        reader = "reader" if platform.kind == "postgres" else "reader@'%'"
        platform.run(f"GRANT ALL ON {platform.quoted(name)} TO {reader}")
    with monkeypatch.context() as patched:
        # PostgreSQL's cursors take no other statement than SELECT; this one locks what it would change.
        locking = select(column("user_id")).select_from(table(name)).with_for_update()
        statement = locking if platform.kind == "postgres" else delete(table(name))
        patched.setattr("daemon.platform.reading.connected_rows", lambda settings: statement)
        with pytest.raises(BlazzError) as raised:
            await ask(platform, name)
    assert READ_ONLY[platform.kind] in raised.value.message
    assert ids(await ask(platform, name)) == {"session-12-7"}


@pytest.mark.parametrize("type_name", ["enumeration", "integer", "char"])
async def test_the_status_may_be_of_another_type(platform: Platform, ask: Ask, type_name: str) -> None:
    if type_name == "enumeration":
        if platform.kind == "sqlite":
            pytest.skip("SQLite has none")
        listed = "('connected', 'gone')"
        if platform.kind == "postgres":
            platform.run("DROP TYPE IF EXISTS wa_status CASCADE", f"CREATE TYPE wa_status AS ENUM {listed}")
        column, on, off = ("wa_status" if platform.kind == "postgres" else f"ENUM {listed}"), CONNECTED, "'gone'"
    elif type_name == "integer":
        column, on, off = "integer", "1", "0"
    else:
        column, on, off = "char(12)", CONNECTED, "'gone'"
    columns = f"user_id char(8), workspace_id numeric(8, 0), instance_id char(36), status {column}"
    name = platform.table(("'12'", "7", "NULL", on), ("'13'", "7", "NULL", off), columns=columns)
    assert ids(await ask(platform, name, STATUS_VALUE=on.strip("'"))) == {"session-12-7"}
