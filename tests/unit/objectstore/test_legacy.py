"""Names of the zips that a Node service left: every place we look in is read back, no archive of ours is one."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.core.errors import InvalidInputError
from daemon.objectstore.keys import ArchiveName, key_of
from daemon.objectstore.legacy import LegacyName, legacy_keys, parse_legacy_key

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", fullmatch=True)
folders = st.sampled_from(["", "sessions/", "old/sessions", "/x/", "a b/"])


@given(ids, ids, folders)
def test_every_place_that_is_looked_in_is_read_back(workspace_id: str, session_id: str, prefix: str) -> None:
    assume(not session_id.startswith("RemoteAuth-"))
    for key in legacy_keys(workspace_id, session_id, prefix):
        name = parse_legacy_key(key)
        assert name is not None and name.session_id == session_id
        if "workspace_" in key.removesuffix(f"{session_id}.zip"):
            assert name.workspace_id == workspace_id


@given(ids, ids, st.integers(0, 10**12), st.integers(0, 10**12))
def test_an_archive_of_ours_is_no_legacy_one(workspace_id: str, session_id: str, token: int, generation: int) -> None:
    name = ArchiveName(workspace_id=workspace_id, session_id=session_id, token=token, generation=generation)
    assert parse_legacy_key(key_of(name)) is None


def test_the_places_are_as_documented() -> None:
    below = ("workspace_7/s.zip", "workspace_7/RemoteAuth-s.zip", "workspace_7/s/RemoteAuth-s.zip")
    assert legacy_keys("7", "s", "") == (*below, "RemoteAuth-s.zip")
    in_folder = ("sessions/RemoteAuth-s.zip", *(f"sessions/{key}" for key in below))
    assert legacy_keys("7", "s", "sessions/") == (*below, *in_folder)
    assert legacy_keys("7", "s", "sessions") == legacy_keys("7", "s", "sessions/"), "as path.join() of the Node service"


@pytest.mark.parametrize(
    ("key", "session_id", "workspace_id", "user_id"),
    [
        ("workspace_7/session-42-7.zip", "session-42-7", "7", "42"),
        ("workspace_7/RemoteAuth-session-42-7.zip", "session-42-7", "7", "42"),
        ("workspace_7/session-42-7/RemoteAuth-session-42-7.zip", "session-42-7", "7", "42"),
        ("RemoteAuth-session-42-7.zip", "session-42-7", "7", "42"),
        ("a/b/RemoteAuth-session-u_1-w_2.zip", "session-u_1-w_2", "w_2", "u_1"),
        ("backups/workspace_7/acme.zip", "acme", "7", None),
        ("RemoteAuth-acme.zip", "acme", None, None),
        ("workspace_a-b/session-u-1-a-b.zip", "session-u-1-a-b", "a-b", "u-1"),
        ("RemoteAuth-session-u-1-a-b.zip", "session-u-1-a-b", None, None),
        ("workspace_9/RemoteAuth-session-42-7.zip", "session-42-7", "9", None),
        ("workspace_7/session-7.zip", "session-7", "7", None),
        ("workspace_7/a/b/RemoteAuth-x.zip", "x", None, None),
    ],
)
def test_a_name_tells_user_and_workspace_where_it_can_only_mean_one(
    key: str, session_id: str, workspace_id: str | None, user_id: str | None
) -> None:
    assert parse_legacy_key(key) == LegacyName(session_id=session_id, workspace_id=workspace_id, user_id=user_id)


@pytest.mark.parametrize(
    "key",
    [
        "", "RemoteAuth.zip", "RemoteAuth-.zip", "x.zip", "sessions/x.zip", "workspace_7/x.tar", "workspace_7/.zip",
        "workspace_7/a/RemoteAuth-b.zip", "workspace_7/a/b.zip", "RemoteAuth-a b.zip", "RemoteAuth-_a.zip",
        "RemoteAuth-a.zip\n", "workspace_7/s/t00000003-g00000001.zip", "workspace_/s.zip",
    ],
)  # fmt: skip
def test_other_objects_are_not_legacy_archives(key: str) -> None:
    assert parse_legacy_key(key) is None


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a.b", "ä"])
def test_ids_cannot_lead_elsewhere(bad: str) -> None:
    for ids_given in ((bad, "s"), ("w", bad)):
        with pytest.raises(InvalidInputError):
            legacy_keys(*ids_given, "")
