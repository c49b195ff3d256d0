"""What commands make of answers: refusals, those of strangers and of proxies, and those that come late or never."""

import itertools
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import client, following, linking
from daemon.core.exit_codes import ExitCode
from tests.integration.cli.answering import SESSIONS, Answer, Server, answering, problem, session, told

PAGE = b"<html>welcome</html>"
STRANGE = {
    "moved": Answer(status=301, headers={"Location": "https://elsewhere.example/"}),
    "a page": Answer(body=PAGE, kind="text/html"),
    "a list": told([]),
    "JSON that is none": Answer(body=PAGE),
    "nothing": Answer(status=204),
    "not found": Answer(status=404, body=PAGE, kind="text/html"),
    "another API's problem": told({"code": 7, "message": "no"}, status=404),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server in the coordinator's place, at which commands look again at once."""
    monkeypatch.setattr(following, "_LOOK_INTERVAL_S", 0.01)
    monkeypatch.setattr(following, "_REQUEST_S", 0.001)
    monkeypatch.setattr(linking, "_LOOK_INTERVAL_S", 0.01)
    with answering() as made:
        yield made


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_an_answer_that_the_coordinator_does_not_give_is_never_taken_for_success(
    server: Server, answer: Answer
) -> None:
    server.answer = lambda _method, _path: answer
    for words in (
        "tokens revoke abc", "sessions delete s --yes", "sessions list", "sessions show s", "webhooks redrive 1-1",
        "events", "events --follow", "restore s",
    ):  # fmt: skip
        if answer.status == 204 and words.startswith(("tokens revoke", "sessions delete")):
            continue  # that is how a coordinator answers
        result = server.blazz(*words.split())
        assert (result.exit_code, result.stdout) == (ExitCode.UNAVAILABLE, ""), (words, result.output)
        assert "not_the_coordinator" in result.stderr, words
    result = server.blazz("send", "s", "+5511999990000", "hello", "--key", "k1")
    assert (result.exit_code, result.stdout) == (ExitCode.UNKNOWN, ""), result.output
    assert "--key k1" in result.stderr


def test_any_servers_200_is_no_answer_to_a_delete(server: Server) -> None:
    server.answer = lambda _method, _path: told({"ok": True})
    assert server.blazz("tokens", "revoke", "abc").exit_code == ExitCode.UNAVAILABLE
    assert server.blazz("sessions", "delete", "s", "--yes").exit_code == ExitCode.UNAVAILABLE


def test_a_proxy_without_a_coordinator_behind_it_is_unavailable(server: Server) -> None:
    server.answer = lambda _method, _path: Answer(status=502, body=PAGE, kind="text/html")
    result = server.blazz("shards", "list")
    assert (result.exit_code, "http_502" in result.stderr) == (ExitCode.UNAVAILABLE, True)


def test_a_refusal_says_why_each_field_is_not_accepted(server: Server) -> None:
    errors = [{"field": "to", "message": "a phone number or a chat id"}, {"field": "x", "message": "no: invalid_input"}]
    server.answer = lambda _method, _path: problem(422, "invalid_input", errors=errors)
    result = server.blazz("shards", "list")
    assert result.stderr == "blazz: no: invalid_input; to: a phone number or a chat id (invalid_input)\n"
    result = server.blazz("shards", "list", "--json")
    assert json.loads(result.stderr)["errors"] == errors


def test_an_id_stays_one_part_of_the_path_whatever_it_is(server: Server) -> None:
    server.answer = lambda _method, _path: told(session())
    assert server.blazz("sessions", "show", "../shards?x#y").exit_code == 0
    assert server.asked == [f"GET {SESSIONS}/..%2Fshards%3Fx%23y"]
    for words in (("sessions", "show", ".."), ("sessions", "delete", "", "--yes"), ("tokens", "revoke", ".")):
        assert server.blazz(*words).exit_code == ExitCode.USAGE
    assert len(server.asked) == 1


def test_what_strangers_wrote_is_shown_and_never_obeyed(server: Server) -> None:
    evil = "\x1b]0;x\x07\r\n2026 ready \u202eevil\x9b"
    server.answer = lambda _method, _path: told(session(pushname=evil, metadata={evil: evil}))
    shown = server.blazz("sessions", "show", "s").stdout
    assert len(shown.splitlines()) == 6
    server.answer = lambda _method, _path: told({"dead": [_letter(evil)], "next_cursor": None})
    table = server.blazz("webhooks", "dead").stdout
    server.answer = lambda _method, _path: problem(500, "x", hint=evil)
    failed = server.blazz("shards", "list").stderr
    server.answer = lambda _method, _path: Answer(body=_frame(time.time(), body=evil, notify_name=evil), kind=EVENTS)
    event = server.blazz("events", "--bodies").stdout
    assert len(event.splitlines()) == 1
    for text in (shown, table, failed, event):
        assert "evil" in text and not set(text) & {"\x1b", "\x07", "\r", "\u202e", "\x9b"}
    assert "evil" not in server.blazz("events").stdout


EVENTS = "text/event-stream"


def _letter(text: str) -> dict[str, object]:
    event = {"session_id": text, "event": "message"}
    return {"id": "1-1", "endpoint": "e", "event": event, "told_at": "t", "tries": 1, "reason": text}


def _frame(at: float, **data: object) -> bytes:
    body = {"id": "evt", "event": "message", "session_id": "s", "timestamp": "t", "data": data}
    return f"id: {int(at * 1000)}-0\nevent: message\ndata: {json.dumps(body)}\n\n".encode()


def test_the_list_of_events_ends_although_new_ones_come_all_the_time(server: Server) -> None:
    began = time.time()

    def busy() -> Iterator[bytes]:
        for number in itertools.count():
            yield _frame(began - 1 + number / 10, number=number)
            time.sleep(0.001)

    server.answer = lambda _method, _path: Answer(kind=EVENTS, chunks=busy())
    result = server.blazz("events")
    assert result.exit_code == 0
    assert 10 < len(result.stdout.splitlines()) < 60


def test_a_coordinator_that_is_slow_to_begin_is_waited_for_and_one_that_never_does_is_unavailable(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_method: str, _path: str) -> Answer:
        time.sleep(2)
        return Answer(body=b": ok\n\n" + _frame(time.time()), kind=EVENTS)

    server.answer = slow
    result = server.blazz("events")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    monkeypatch.setattr(client, "_TIMEOUT_S", 0.3)
    result = server.blazz("events")
    assert (result.exit_code, result.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "coordinator_unavailable" in result.stderr


def test_waiting_for_a_scan_tells_each_status_and_ends_when_it_is_connected(server: Server) -> None:
    states = ["starting", "qr", "qr", "pairing", "syncing", "connected"]
    server.answers(
        qr=[problem(409, "code_not_available"), told({"text": "2@a"})],
        _=[told(session()), *(told(session(status=state)) for state in states)],
    )
    result = server.blazz("sessions", "qr", "s", "--wait")
    assert (result.exit_code, result.stdout) == (0, "s connected (connected)\n")
    said = [line for line in result.stderr.splitlines() if " is " in line]
    assert said == [f"s is {state}" for state in ("starting", "qr", "pairing", "syncing", "connected")]
    assert "█" in result.stderr


@pytest.mark.parametrize("state", ["stopped", "failed", "disconnected", "conflict"])
def test_waiting_for_a_scan_that_will_not_come_ends(server: Server, state: str) -> None:
    server.answer = lambda _method, _path: told(session(status=state, reason="because"))
    result = server.blazz("sessions", "qr", "s", "--wait", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (1, state)
    assert f"s is {state}: because" in result.stderr
    result = server.blazz("sessions", "create", "--workspace", "1", "--user", "1", "--qr")
    assert (result.exit_code, result.stdout) == (1, f"s made ({state})\n")


def test_waiting_for_a_scan_without_being_allowed_to_see_the_code_ends(server: Server) -> None:
    server.answers(qr=[problem(403, "forbidden")], _=[told(session(status="qr"))])
    result = server.blazz("sessions", "qr", "s", "--wait")
    assert (result.exit_code, "forbidden" in result.stderr) == (ExitCode.USAGE, True)


def test_waiting_for_a_scan_waits_out_a_coordinator_that_is_busy_or_away(server: Server) -> None:
    busy = problem(503, "redis_unavailable"), Answer(status=502, body=PAGE, kind="text/html")
    server.answers(_=[told(session(status="qr")), *busy, told(session())])
    result = server.blazz("sessions", "qr", "s", "--wait")
    assert result.exit_code == 0, result.output
    assert "redis_unavailable" in result.stderr


def test_a_code_is_written_for_its_owner_only_each_time_it_changes(server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "code.gif"
    picture.touch(0o644)
    server.answers(qr=[told({"text": "2@a"}), told({"text": "2@b"})], _=[told(session(status="qr"))])
    result = server.blazz("sessions", "qr", "s", "--wait", "--png", str(picture), "--timeout", "0.3", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (ExitCode.TEMPORARY, "qr")
    assert result.stderr.count("written to") == 2 and "█" not in result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG") and stat.S_IMODE(picture.stat().st_mode) == 0o600
    result = server.blazz("sessions", "qr", "s", "--png", str(tmp_path / "no" / "code.png"))
    assert (result.exit_code, "No such file" in result.stderr) == (ExitCode.USAGE, True)


def test_many_sessions_are_followed_in_few_requests(server: Server) -> None:
    looks = 0

    def answer(method: str, path: str) -> Answer:
        nonlocal looks
        if method == "POST":
            return told(session(path.split("/")[-2], "pending"))
        looks += 1
        found = [session(f"s{n}", "connected" if looks > 3 else "starting") for n in range(150)]
        if path.startswith(f"{SESSIONS}?"):
            return told({"sessions": found, "next_cursor": None})
        return told(found[int(path.rpartition("/s")[2])])

    server.answer = answer
    result = server.blazz("sessions", "start", *(f"s{n}" for n in range(150)), "--wait")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 150)
    assert sum(one.startswith("GET") for one in server.asked) == looks < 6


def test_what_passes_by_itself_is_waited_for_as_long_as_the_answer_says(server: Server) -> None:
    limited = problem(429, "rate_limited", headers={"Retry-After": "1"})
    away = problem(503, "redis_unavailable")
    server.answers(
        start=[limited, told(session(status="pending"))],
        _=[limited, told(session(status="pending")), limited, away, Answer(status=502), told(session())],
    )
    began = time.monotonic()
    result = server.blazz("sessions", "start", "s", "--wait")
    assert (result.exit_code, result.stdout) == (0, "s is connected\n"), result.output
    assert time.monotonic() - began > 3
    refused = problem(404, "session_not_found")
    server.answers(start=[told(session(status="pending"))], _=[told(session(status="pending")), refused])
    result = server.blazz("sessions", "start", "s", "--wait")
    assert (result.exit_code, "session_not_found" in result.stderr) == (ExitCode.USAGE, True)


def test_whoever_waited_too_briefly_gets_what_was_seen_last_as_json(server: Server) -> None:
    server.answer = lambda _method, _path: told(session(status="pending"))
    for action in ("start", "restart", "stop"):
        result = server.blazz("sessions", action, "s", "--wait", "--timeout", "0", "--json")
        assert (result.exit_code, result.stderr) == (ExitCode.TEMPORARY, "not all in 0 s; it goes on\n")
        assert json.loads(result.stdout)["sessions"][0]["status"] == "pending"
    job = {
        "job_id": "j", "state": "running", "total": 2, "waiting": 2, "eta_s": None, "connected": 0, "failed": 0,
        "needs_scan": 0, "ended": 0, "unknown_count": 0, "unknown": [],
    }  # fmt: skip
    server.answer = lambda _method, _path: told(job)
    result = server.blazz("restore", "s", "--timeout", "0", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (ExitCode.TEMPORARY, job)
    drain = {"total": 3, "left": 3, "moving": 0, "blocked_reason": "shards_full"}
    server.answer = lambda _method, _path: told({"name": "a", "drain": drain})
    result = server.blazz("shards", "drain", "a", "--timeout", "0", "--json")
    assert (result.exit_code, json.loads(result.stdout)["drain"]) == (ExitCode.TEMPORARY, drain)
    assert "the other shards are full" in result.stderr
    server.answers(drain=[told({"name": "a", "drain": drain})], _=[told({"name": "a", "drain": None})])
    result = server.blazz("shards", "drain", "a", "--json")
    assert (result.exit_code, json.loads(result.stdout)["drain"]) == (1, None)


def test_a_restore_job_that_gave_up_has_failed_and_says_why(server: Server) -> None:
    job = {
        "job_id": "j", "state": "done", "total": 0, "waiting": 0, "eta_s": None, "connected": 0, "failed": 0,
        "needs_scan": 0, "ended": 0, "unknown_count": 0, "unknown": [], "gave_up": True, "reason": "platform_not_set",
    }  # fmt: skip
    server.answer = lambda _method, _path: told(job)
    result = server.blazz("restore", "--source", "platform")
    assert (result.exit_code, "it has given up: platform_not_set" in result.stdout) == (1, True), result.output


def test_redriving_says_when_what_was_named_is_gone_and_how_far_it_came(server: Server) -> None:
    def redriven(sent: int, skipped: int, cursor: str | None = None) -> Answer:
        return told({"redriven": sent, "skipped": skipped, "next_cursor": cursor})

    for answer, words, code in (
        (redriven(0, 1), ("1-1",), 1),
        (redriven(1, 1), ("1-1", "1-2"), 1),
        (redriven(2, 0), ("1-1", "1-2"), 0),
        (redriven(2, 1), ("--endpoint", "e"), 0),
        (redriven(0, 1), ("--endpoint", "e"), 1),
    ):
        server.answers(_=[answer])
        assert server.blazz("webhooks", "redrive", *words).exit_code == code, words
    server.answers(_=[redriven(3, 0, "next"), problem(422, "invalid_input")])
    result = server.blazz("webhooks", "redrive", "--endpoint", "e", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (ExitCode.USAGE, {"redriven": 3, "skipped": 0})
    assert json.loads(result.stderr)["code"] == "invalid_input"


def test_with_json_every_error_is_one_problem_on_standard_error(server: Server) -> None:
    server.answer = lambda _method, _path: problem(409, "conflict", session_id="s", hint="look")
    result = server.blazz("sessions", "backup", "s", "--json")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    shown = json.loads(result.stderr)
    assert (shown["code"], shown["session_id"], shown["hint"]) == ("conflict", "s", "look")
    result = server.blazz("shards", "list", "--json", BLAZZ_URL="http://127.0.0.1:1")
    assert json.loads(result.stderr)["code"] == "coordinator_unavailable"
    result = server.blazz("send", "s", "+5511999990000", "hello", "--key", "k1", "--json")
    assert json.loads(result.stderr) == json.loads(result.stdout)
    assert (json.loads(result.stdout)["outcome"], result.exit_code) == ("unknown", ExitCode.UNKNOWN)
