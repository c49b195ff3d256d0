"""Names of archives: they come back as they went in, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import InvalidInputError
from daemon.objectstore.keys import ArchiveName, key_of, parse_key, prefix_of

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", fullmatch=True)
numbers = st.integers(0, 10**15)


@given(ids, ids, numbers, numbers)
def test_a_name_comes_back_as_it_went_in(workspace_id: str, session_id: str, token: int, generation: int) -> None:
    name = ArchiveName(workspace_id=workspace_id, session_id=session_id, token=token, generation=generation)
    key = key_of(name)
    assert parse_key(key) == name
    assert key.startswith(prefix_of(workspace_id, session_id)) and len(key) < 1024


def test_the_form_is_as_documented() -> None:
    name = ArchiveName(workspace_id="7", session_id="session-42-7", token=3, generation=12)
    assert key_of(name) == "workspace_7/session-42-7/t00000003-g00000012.zip"


@pytest.mark.parametrize(
    "key",
    [
        "", "workspace_7/s.zip", "RemoteAuth-s.zip", "workspace_7/s/t3-g1.zip",
        "workspace_7/s/t00000003-g00000001.zip\n",
        "workspace_7/s/x/t00000003-g00000001.zip", "workspace_7//t00000003-g00000001.zip",
        "workspace_7/s/t000000003-g00000001.zip", "workspace_7/s/t0000000٣-g00000001.zip",
        "workspace_-7/s/t00000003-g00000001.zip", "/workspace_7/s/t00000003-g00000001.zip",
    ],
)  # fmt: skip
def test_other_objects_are_not_archives(key: str) -> None:
    assert parse_key(key) is None


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a.b", "-a", "a b", "ä", "a" * 101, "a\n"])
def test_ids_cannot_lead_elsewhere(bad: str) -> None:
    with pytest.raises(InvalidInputError):
        prefix_of(bad, "s")
    with pytest.raises(InvalidInputError):
        key_of(ArchiveName(workspace_id="w", session_id=bad, token=1, generation=1))


def test_negative_numbers_have_no_name() -> None:
    with pytest.raises(InvalidInputError):
        key_of(ArchiveName(workspace_id="w", session_id="s", token=-1, generation=1))
