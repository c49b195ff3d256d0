"""What supervisord.conf promises: time for last backups, no endless retries, and control for its owner only."""

import configparser
import re
from pathlib import Path

from daemon.core.exit_codes import ExitCode
from daemon.core.sections import ShardSettings
from daemon.embedded.supervision import STOP_TIMEOUT_S

ROOT = Path(__file__).resolve().parents[3]


def parsed(*files: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    assert parser.read(files) == [str(file) for file in files]
    return parser


CONF = parsed(ROOT / "supervisord.conf", *sorted((ROOT / "supervisord.d").glob("*.conf")))
LISTENER = "eventlistener:exits"
PROGRAMS = [name for name in CONF.sections() if name.startswith("program:") or name == LISTENER]


def test_a_shard_gets_the_time_it_needs_for_last_backups() -> None:
    default_ms = ShardSettings.model_fields["shutdown_timeout_ms"].default
    assert CONF.getint("program:shard", "stopwaitsecs") >= default_ms / 1000 + 10


def test_a_stop_reaches_the_shard_before_its_browsers() -> None:
    assert not CONF.getboolean("program:shard", "stopasgroup")
    assert CONF.getboolean("program:shard", "killasgroup")


def test_a_wrong_setting_is_an_expected_end() -> None:
    for program in ("program:coordinator", "program:shard"):
        assert CONF.get(program, "autorestart") == "unexpected"
        assert CONF.get(program, "exitcodes") == f"{ExitCode.OK:d},{ExitCode.CONFIG:d}"


def test_the_listener_hears_every_end_of_a_shard_and_is_not_tried_again_with_a_wrong_setting() -> None:
    ends = {f"PROCESS_STATE_{state}" for state in ("EXITED", "STOPPED", "BACKOFF", "FATAL")}
    assert ends <= set(CONF.get(LISTENER, "events").split(","))
    assert CONF.get(LISTENER, "autorestart") == "unexpected"
    # Any other end, also a good one, would leave nobody listening.
    assert CONF.get(LISTENER, "exitcodes") == f"{ExitCode.CONFIG:d}"
    # What it says on stdout is supervisord's protocol.
    assert CONF.get(LISTENER, "stdout_logfile") == "NONE"
    assert not CONF.has_option(LISTENER, "redirect_stderr")


def test_servers_outlive_those_that_write_to_them() -> None:
    order = ["program:redis", LISTENER, "program:coordinator", "program:shard"]
    assert CONF.getint("program:redis", "priority") < CONF.getint("program:s3", "priority")
    priorities = [CONF.getint(program, "priority") for program in order]
    assert priorities == sorted(priorities)


def test_stopping_waits_longer_than_all_programs_in_turn() -> None:
    assert sum(CONF.getint(program, "stopwaitsecs") for program in PROGRAMS) < STOP_TIMEOUT_S


def test_logs_are_bounded_and_the_socket_is_private() -> None:
    for program in PROGRAMS:
        output = "stderr" if program == LISTENER else "stdout"
        assert CONF.get(program, f"{output}_logfile_maxbytes") == "20MB"
        assert CONF.getint(program, f"{output}_logfile_backups") == 5
    assert CONF.get("unix_http_server", "chmod") == "0700"


def test_one_variable_is_all_that_the_main_file_needs() -> None:
    assert set(re.findall(r"%\(ENV_(\w+)\)", (ROOT / "supervisord.conf").read_text())) == {"SHARD_COUNT"}
