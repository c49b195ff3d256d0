"""The event listener as a whole: from supervisord's event to the report in Redis."""

import asyncio
from collections import defaultdict

import structlog

from daemon.core.clock import utc_now
from daemon.core.errors import FatalError
from daemon.core.exit_codes import ExitCode
from daemon.core.loops import first_done
from daemon.core.settings import Settings, supervisor_url, under_supervisord
from daemon.core.signals import stop_on_signals
from daemon.registry.exits import ExitReport, Exits
from daemon.registry.link import RedisLink
from shards.exits.channel import Event, EventChannel
from shards.exits.ends import STARTING, ProgramEnd, program_end
from shards.exits.remains import dead_holder, end_browsers
from shards.exits.reporter import Reporter
from shards.exits.watch import ExitWatch

log = structlog.get_logger()

_BROWSERS_GONE_S = 1.0


class NotUnderSupervisordError(FatalError):
    """The event listener was started by somebody else than supervisord."""

    code = "not_under_supervisord"
    exit_code = ExitCode.CONFIG


async def listen(settings: Settings) -> None:
    """Report ends of shards until supervisord closes stdin or tells us to stop.

    Raises:
        NotUnderSupervisordError: there is nobody to listen to.
    """
    if not under_supervisord():
        raise NotUnderSupervisordError(
            "supervisord alone can start the event listener", hint="see [eventlistener:exits] in supervisord.conf"
        )
    stop = asyncio.Event()
    stop_on_signals(stop)
    channel = await EventChannel.open()
    watch = ExitWatch(supervisor_url())
    async with RedisLink(settings.redis) as link:
        await ExitListener(settings, channel, Reporter(Exits(link)), watch).run(stop)


class ExitListener:
    """Takes events and turns those about shards into reports."""

    def __init__(self, settings: Settings, channel: EventChannel, reporter: Reporter, watch: ExitWatch) -> None:
        self._run_dir = settings.paths.run_dir
        self._host = settings.shard.host_name
        self._prefix = settings.shard.name_prefix
        self._channel = channel
        self._reporter = reporter
        self._watch = watch
        # Ends of one shard are reported in their order, ends of several at the same time.
        self._in_order: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set or there are no more events; then finish what is under way."""
        nothing_more = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reporter.run(nothing_more))
            tasks.create_task(self._watch.run(nothing_more))
            async with asyncio.TaskGroup() as ends:
                while (event := await first_done(self._channel.next(), _none_after(stop))) is not None:
                    self._take(event, ends)
            nothing_more.set()

    def _take(self, event: Event, ends: asyncio.TaskGroup) -> None:
        if event.name == STARTING:
            self._watch.look()
            return
        try:
            end = program_end(event)
        except ValueError as error:
            log.error("event cannot be read", event_name=event.name, error=str(error))
            return
        if end is not None:
            ends.create_task(self._report(end))

    async def _report(self, end: ProgramEnd) -> None:
        at, name = utc_now(), self._prefix + end.name
        async with self._in_order[name]:
            try:
                holder = await asyncio.to_thread(dead_holder, name, end.pid, self._run_dir)
                if holder is None:
                    return
                notes_dir = self._run_dir / f"{name}.chromium"
                gone = await asyncio.to_thread(end_browsers, notes_dir, timeout_s=_BROWSERS_GONE_S)
            except OSError as error:
                log.error("what a dead shard left cannot be read, its leases are not freed", error=str(error))
                holder, gone = "", True
            if not gone:
                log.error("Chromium processes of a dead shard do not die, its leases are not freed", shard=name)
            self._reporter.give(
                ExitReport(
                    shard=name,
                    holder_prefix=holder if gone else "",
                    host=self._host,
                    pid=end.pid,
                    expected=end.expected,
                    code_text=end.text,
                    at=at,
                    recent=(at,) if end.counts else (),
                )
            )


async def _none_after(stop: asyncio.Event) -> None:
    await stop.wait()
