"""`python -m tests.demo [--once] [--shards N] [--port P]`, which `bin/up --demo` runs after set-up."""

import asyncio
import signal
import sys

import click
from rich.console import Console

from daemon.core.errors import BlazzError
from daemon.core.exit_codes import ExitCode
from daemon.embedded.supervision import Supervision
from tests.demo.clients import Daemon, Phones
from tests.demo.installation import Installation, installation
from tests.demo.receiver import Event, Receiver
from tests.demo.steps import StepFailed
from tests.demo.walk import CONTACT, Walk


@click.command()
@click.option("--once", is_flag=True, help="End after the walk; exit code 0 only if every step held.")
@click.option("--shards", type=click.IntRange(1, 16), default=2, show_default=True, help="Shard processes.")
@click.option("--port", type=click.IntRange(1, 65535), help="HTTP port; default 8080, or a free one if that is taken.")
def main(once: bool, shards: int, port: int | None) -> None:
    """Walk through the main job on real parts and a stand-in for WhatsApp Web."""
    console = Console(highlight=False)
    try:
        asyncio.run(_demo(console, once=once, shards=shards, port=port))
    except (StepFailed, RuntimeError, OSError) as error:
        console.print(f"demo: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(ExitCode.SOFTWARE)
    except BlazzError as error:
        console.print(f"demo: {error}; {error.hint}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("demo: stopped; nothing is left running")


async def _demo(console: Console, *, once: bool, shards: int, port: int | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    receiver = Receiver()
    try:
        with installation(shards=shards, port=port, webhook_port=await receiver.open()) as made:
            receiver.secret = made.webhook_secret
            supervision = Supervision(made.home, made.environment)
            try:
                supervision.start()
                await _walk(console, made, supervision, receiver, once=once)
            finally:
                console.print("demo: stopping")
                await receiver.close()
                # This blocks the loop on purpose: another Ctrl-C raises in it, and makes it kill instead of wait.
                loop.remove_signal_handler(signal.SIGINT)
                supervision.stop()
    finally:
        await receiver.close()


async def _walk(
    console: Console, made: Installation, supervision: Supervision, receiver: Receiver, *, once: bool
) -> None:
    async with Daemon(made.url, made.api_token) as daemon, Phones(made.control_url) as phones:
        walk = Walk(made, supervision, daemon, phones, receiver, console)
        try:
            await walk.run()
        finally:
            console.print(walk.steps.table())
        if not once:
            console.print(_next_commands(made, walk), markup=False, soft_wrap=True)
            receiver.told = lambda event: console.print(_line(event), markup=False, soft_wrap=True)
            while supervision.running:
                await asyncio.sleep(0.2)
            supervision.check()


def _line(event: Event) -> str:
    told = {name: value for name, value in event["data"].items() if name in {"from", "body", "reason", "ack"}}
    return f"webhook  {event['event']}  {event['session_id']}  {told or ''}"


def _next_commands(made: Installation, walk: Walk) -> str:
    first, second = walk.sessions[:2]
    token = f'-H "Authorization: Bearer {made.api_token}"'
    return f"""
It stays up; webhooks are shown as they arrive. Ctrl-C stops everything.

  URL    {made.url}      (API: {made.url}/docs)
  token  {made.api_token}

  curl {token} {made.url}/api/whatsapp/sessions
  curl {token} --json '{{"session_id": "{first.session_id}", "to": "{CONTACT}", "message": "hi"}}' \
       {made.url}/api/whatsapp/send
  curl --json '{{"phone": "{second.phone}", "from": "{CONTACT}@c.us", "body": "hi"}}' {made.control_url}/inbound
  .venv/bin/supervisorctl -c supervisord.conf status
  .venv/bin/supervisorctl -c supervisord.conf restart shard:*
"""


if __name__ == "__main__":
    main()
