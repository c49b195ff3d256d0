"""`blazz archive`: what it says of good, bad, locked and unreachable archives, and what adoption does to a bucket."""

import json

import pytest

from daemon.core.archive_keys import archive_keys_text
from daemon.core.errors import ObjectStoreUnavailableError
from daemon.objectstore.archives import Archives
from shards.archive.hot import pack_hot
from shards.archive.keyring import Keyring
from tests.integration.cli.conftest import FILES, Bench, legacy_zip

KEYS = {"k1": bytes(32)}
KEYS_TEXT = archive_keys_text(KEYS)


def test_inspect_shows_everything(bench: Bench) -> None:
    bench.pack("s", (3, 4), {})
    result = bench.blazz("archive", "inspect", "archive", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert (shown["kind"], shown["encrypted"], shown["session_id"], shown["token"], shown["generation"]) == (
        "archive", False, "s", 3, 4,
    )  # fmt: skip
    assert [file["path"] for file in shown["files"]] == sorted(FILES)
    assert shown["unpacked_bytes"] == sum(map(len, FILES.values()))
    table = bench.blazz("archive", "inspect", "archive").stdout
    assert all(path in table for path in FILES) and "156.0.1" in table


@pytest.mark.parametrize("keys", [{}, KEYS])
def test_inspect_reads_a_hot_copy(bench: Bench, keys: dict[str, bytes]) -> None:
    packed = bench.pack("s", (3, 4), keys)
    body = pack_hot(bench.home / "archive.files", packed.manifest, keyring=Keyring(keys), limit_bytes=10**6)
    (bench.home / "hot").write_bytes(body or b"")
    shown = json.loads(bench.blazz("archive", "inspect", "hot", "--json", ARCHIVE_KEYS=KEYS_TEXT).stdout)
    assert (shown["kind"], shown["key_id"], shown["generation"]) == ("hot", "k1" if keys else None, 4)
    assert bench.blazz("archive", "verify", "hot", ARCHIVE_KEYS=KEYS_TEXT).exit_code == 0


def test_inspect_without_the_key_names_the_key(bench: Bench) -> None:
    bench.pack("s", (3, 4), KEYS)
    result = bench.blazz("archive", "inspect", "archive", "--json")
    assert result.exit_code == 78
    shown = json.loads(result.stdout)
    assert (shown["session_id"], shown["key_id"], shown["readable"], shown["files"]) == ("s", "k1", False, [])
    assert json.loads(result.stderr)["code"] == "archive_key_missing" and "k1" in result.stderr
    assert bench.blazz("archive", "inspect", "archive", ARCHIVE_KEYS=KEYS_TEXT).exit_code == 0


def test_inspect_recognises_the_zip_of_a_node_service(bench: Bench) -> None:
    legacy_zip(bench.home / "theirs.zip")
    result = bench.blazz("archive", "inspect", "theirs.zip", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kind"] == "remoteauth"


def test_inspect_of_anything_else_is_an_error_in_one_line(bench: Bench) -> None:
    (bench.home / "x").write_bytes(b"nothing of the kind")
    result = bench.blazz("archive", "inspect", "x")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (70, "", 1)
    assert "(archive_damaged)" in result.stderr


def test_verify_files_says_each_bad_one_with_its_code(bench: Bench) -> None:
    bench.pack("s", (1, 1), {}, "good")
    body = bytearray((bench.home / "good").read_bytes())
    body[len(body) // 2] ^= 1
    (bench.home / "bad").write_bytes(body)
    bench.pack("s", (1, 1), KEYS, "locked")
    result = bench.blazz("archive", "verify", "good", "bad", "locked")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split()[:3] for line in lines[:2]] == [
        ["bad", "archive_damaged", "bad:"],
        ["locked", "archive_key_missing", "locked:"],
    ]
    assert lines[2].startswith("1 good")
    assert bench.blazz("archive", "verify", "good", "locked").exit_code == 78
    assert bench.blazz("archive", "verify", "good", "locked", ARCHIVE_KEYS=KEYS_TEXT).exit_code == 0


def test_verify_knows_the_zips_of_a_node_service(bench: Bench) -> None:
    body = legacy_zip(bench.home / "theirs.zip")
    (bench.home / "cut.zip").write_bytes(body[:-40])
    assert bench.blazz("archive", "verify", "theirs.zip").exit_code == 0
    assert bench.blazz("archive", "verify", "cut.zip").exit_code == 1


def test_verify_of_the_bucket_checks_place_and_content(bench: Bench) -> None:
    first = bench.put("s", (1, 1))
    bench.put("s", (1, 2))
    result = bench.blazz("archive", "verify", "--all")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 good")
    # The same bytes under a newer name: whole, and yet not what the name says.
    bench.put_object(first.key.replace("g00000001", "g00000009"), (bench.home / "s-(1, 1)").read_bytes())
    bench.put_object("workspace_1/s/notes.txt", b"x")
    for choice in (["--all"], ["--workspace", "1"], ["--session", "s", "--workspace", "1"]):
        result = bench.blazz("archive", "verify", *choice)
        assert result.exit_code == 1
        assert "bad archive_damaged workspace_1/s/t00000001-g00000009.zip" in result.stdout
        assert "1 objects with other names" in result.stderr
    assert bench.blazz("archive", "verify", "--workspace", "2").exit_code == 0
    assert bench.blazz("archive", "verify", "--session", "s").exit_code == 70
    assert list((bench.home / "var").glob("profiles/.blazz-commands-*/*")) == []


def test_a_store_that_is_away_is_unreachable_and_never_bad(bench: Bench) -> None:
    result = bench.blazz("archive", "verify", "--all", R2_ENDPOINT="http://127.0.0.1:9")
    assert result.exit_code == 69
    assert "(object_store_unavailable)" in result.stderr and "bad" not in result.output


def test_what_the_store_does_not_give_is_unreachable(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for generation in range(10):
        bench.put("s", (1, generation))

    async def away(*_: object) -> None:
        raise ObjectStoreUnavailableError("no answer")

    monkeypatch.setattr(Archives, "fetch", away)
    result = bench.blazz("archive", "verify", "--all")
    assert result.exit_code == 69
    lines = result.stdout.splitlines()
    assert lines and all(line.startswith("unreachable object_store_unavailable workspace_1/s/") for line in lines)
    assert "stopped giving archives" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--all", "--workspace", "1"]])
def test_verify_needs_exactly_one_choice(bench: Bench, arguments: list[str]) -> None:
    assert bench.blazz("archive", "verify", *arguments).exit_code == 2


def test_adopt_takes_what_is_good_and_leaves_the_originals(bench: Bench) -> None:
    body = legacy_zip(bench.home / "z")
    bench.put_object("old/RemoteAuth-session-u1-7.zip", body)
    bench.put_object("old/workspace_5/session-u2-5.zip", body)
    bench.put_object("old/RemoteAuth-plain.zip", body, {"user-id": "u3"})
    bench.put_object("old/RemoteAuth-session-bad-7.zip", body[: len(body) // 2])
    torn = {name: content for name, content in FILES.items() if "MANIFEST" not in name}
    bench.put_object("old/RemoteAuth-session-torn-7.zip", legacy_zip(bench.home / "t", torn))
    bench.put_object("old/readme.txt", b"x")
    before = bench.objects("old/")

    listed = bench.blazz("archive", "adopt", "--prefix", "old/", "--dry-run").stdout
    assert all(name in listed for name in ("good, not stored (--dry-run)", "RemoteAuth-"))
    dry = bench.blazz("archive", "adopt", "--prefix", "old/", "--dry-run", "--json")
    assert dry.exit_code == 1
    assert json.loads(dry.stdout)["counts"] == {"would_adopt": 2, "damaged": 2, "no_workspace": 1}
    assert bench.objects("workspace_") == []

    result = bench.blazz("archive", "adopt", "--prefix", "old/", "--workspace", "9", "--json", ARCHIVE_KEYS=KEYS_TEXT)
    assert result.exit_code == 1, result.output
    rows = {row["session_id"]: row for row in json.loads(result.stdout)["archives"]}
    assert {s: row["outcome"] for s, row in rows.items()} == {
        "session-u1-7": "adopted", "session-u2-5": "adopted", "plain": "adopted", "session-bad-7": "damaged",
        "session-torn-7": "damaged",
    }  # fmt: skip
    assert [rows[s]["user_id"] for s in ("session-u1-7", "session-u2-5", "plain")] == ["u1", "u2", "u3"]
    assert [rows[s]["workspace_id"] for s in ("session-u1-7", "session-u2-5", "plain")] == ["7", "5", "9"]
    assert {item.key for item in bench.objects("workspace_")} == {
        f"workspace_{w}/{s}/t00000000-g00000000.zip"
        for w, s in (("7", "session-u1-7"), ("5", "session-u2-5"), ("9", "plain"))
    }
    assert bench.objects("old/") == before
    assert bench.blazz("archive", "verify", "--all", ARCHIVE_KEYS=KEYS_TEXT).exit_code == 0
    assert bench.blazz("archive", "verify", "--all").exit_code == 78

    again = bench.blazz("archive", "adopt", "--prefix", "old/", "--workspace", "9", "--json")
    assert json.loads(again.stdout)["counts"] == {"present": 3, "damaged": 2}


def test_adopt_skips_sessions_with_archives_of_their_own_and_takes_the_last_good_zip(bench: Bench) -> None:
    body = legacy_zip(bench.home / "z")
    bench.put("session-own-1", (2, 1))
    bench.put_object("old/RemoteAuth-session-own-1.zip", body)
    bench.put_object("old/a/RemoteAuth-session-two-1.zip", body)
    bench.put_object("old/b/RemoteAuth-session-two-1.zip", body)
    result = bench.blazz("archive", "adopt", "--prefix", "old/")
    assert result.exit_code == 0, result.output
    assert "has archives of its own" in result.stdout and "a later one was taken" in result.stdout
    assert [item.key for item in bench.objects("workspace_1/session-own-1/")] == [
        "workspace_1/session-own-1/t00000002-g00000001.zip"
    ]
