"""`python -m daemon.embedded.up`: the whole daemon in the foreground, with the servers it lacks. bin/up starts it."""

import os
import signal
import sys
import time
from collections.abc import Callable

import click
import httpx

from daemon.core.clock import mono_s
from daemon.core.errors import BlazzError
from daemon.core.exit_codes import ExitCode
from daemon.core.settings import Settings, load_settings
from daemon.embedded.checks import check_ports_free, check_socket_path
from daemon.embedded.home import Home, this_home
from daemon.embedded.plan import StartPlan, plan_start
from daemon.embedded.redis import redis_socket
from daemon.embedded.secret_file import FILE_NAME
from daemon.embedded.supervision import Supervision
from daemon.embedded.swift_config import PORTS

_SLOW_START_S = 30.0
_POLL_S = 0.1


@click.command()
@click.option("--shards", type=click.IntRange(1, 256), help="Shard processes; default SHARD_COUNT.")
@click.option("--port", type=click.IntRange(1, 65535), help="HTTP port; default COORDINATOR_PORT.")
def main(shards: int | None, port: int | None) -> None:
    """Run coordinator and shards, and Redis and an S3 server unless REDIS_URL and R2_* name others."""
    stop_on_signals()
    home = this_home()
    os.chdir(home.root)
    try:
        with home.locked():
            plan = plan_start(home.var, shards=shards, port=port)
            os.environ.update(plan.environment)
            settings = load_settings()
            check_machine(settings, plan)
            home.prepare(home.root / "supervisord.d" / name for name in plan.programs)
            _run(home, settings, plan)
    except BlazzError as error:
        for line in error.message.splitlines():
            click.echo(f"up: {line}", err=True)
        click.echo(f"up: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.OK)


def stop_on_signals() -> None:
    """Make SIGTERM, and the end of the terminal, the same as Ctrl-C: KeyboardInterrupt in the main thread.

    Also Ctrl-C itself, which a shell has its background jobs ignore.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def check_machine(settings: Settings, plan: StartPlan) -> None:
    """Check what the programs would only report in their logs.

    Raises:
        CannotStartError: a port is taken or a path too long.
    """
    check_ports_free([settings.coordinator.port], setting="COORDINATOR_PORT", host=settings.coordinator.host)
    if plan.redis:
        check_socket_path(redis_socket(settings.paths.data_root))
    if plan.s3_port is not None:
        check_ports_free(range(plan.s3_port, plan.s3_port + PORTS), setting="EMBEDDED_S3_PORT")


def wait_ready(supervision: Supervision, url: str, *, on_slow: Callable[[str], None]) -> None:
    """Wait until the daemon at `url` says that it is ready; `on_slow` is told once why it takes long.

    Raises:
        ProgramFailedError: a program does not start.
    """
    began_mono_s, told, answer = mono_s(), False, "no answer yet"
    with httpx.Client(timeout=5, trust_env=False) as client:
        while True:
            supervision.check()
            try:
                response = client.get(f"{url}/health/ready")
                if response.status_code == 200:
                    return
                answer = f"{response.status_code} {response.text[:500]}"
            except httpx.TransportError as error:
                answer = f"no answer: {type(error).__name__}"
            if not told and mono_s() - began_mono_s > _SLOW_START_S:
                told = True
                troubled = [f"{name} {state}" for name, state in supervision.states().items() if state != "RUNNING"]
                on_slow("; ".join([answer, *troubled]))
            time.sleep(_POLL_S)


def address(settings: Settings) -> str:
    """Return the address to reach the coordinator at from this host."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.coordinator.host, settings.coordinator.host)
    return (
        f"http://[{host}]:{settings.coordinator.port}" if ":" in host else f"http://{host}:{settings.coordinator.port}"
    )


def _run(home: Home, settings: Settings, plan: StartPlan) -> None:
    url = address(settings)
    embedded = ", ".join(name.removesuffix(".conf") for name in plan.programs) or "none"
    click.echo(f"up: starting 1 coordinator and {settings.shard.count} shards (embedded servers: {embedded})")
    try:
        with Supervision(home, os.environ) as supervision:
            wait_ready(supervision, url, on_slow=lambda answer: click.echo(f"up: still waiting for {url}: {answer}"))
            click.echo(_how_to_use(url, settings))
            supervision.wait()
            supervision.check()
    except KeyboardInterrupt:
        click.echo("up: everything has stopped")


def _how_to_use(url: str, settings: Settings) -> str:
    secrets_file = os.path.relpath(settings.paths.data_root / FILE_NAME)
    return f"""
Ready at {url}
  token      API_TOKEN in {secrets_file}, unless the environment or .env gives another
  try        curl -H "Authorization: Bearer $(sed -n 's/^API_TOKEN=//p' {secrets_file})" {url}/api/whatsapp/sessions
  API        {url}/docs
  processes  .venv/bin/supervisorctl -c supervisord.conf status
  logs       var/log
Ctrl-C stops everything, after the last backups.
"""


if __name__ == "__main__":
    main()
