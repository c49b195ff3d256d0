"""`python -m shards --name shard_00`: one shard."""

import asyncio
import sys

import click

from daemon.core.entry import run_process
from daemon.core.errors import InvalidInputError
from daemon.core.ids import check_shard_name
from daemon.core.settings import Settings


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return check_shard_name(value)
    except InvalidInputError as error:
        raise click.BadParameter(error.message) from None


@click.command()
@click.option("--name", required=True, callback=_name, help="As shard_00; SHARD_NAME_PREFIX comes before it.")
def main(name: str) -> None:
    """Run one shard until it is told to stop."""

    def run(settings: Settings) -> None:
        # Imported late so that a wrong setting is reported before pyppeteer and minio are loaded.
        from shards.identity import ShardIdentity
        from shards.process import ShardProcess

        full_name = settings.shard.name_prefix + name

        async def run_shard() -> None:
            with ShardIdentity(full_name, settings.paths.run_dir, host=settings.shard.host_name) as identity:
                await ShardProcess(settings, identity).run()

        asyncio.run(run_shard())

    sys.exit(run_process(name, run))


if __name__ == "__main__":
    main()
