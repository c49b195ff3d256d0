"""Two shards of one name on two hosts would take each other's sessions in turns: the second one does not start."""

import structlog

from daemon.core.errors import RedisUnavailableError, UnavailableError
from daemon.core.exit_codes import ExitCode
from daemon.registry.membership import Membership
from shards.identity import ShardIdentity

log = structlog.get_logger()


class ShardNameTakenError(UnavailableError):
    """A shard of this name lives on another host."""

    code = "shard_name_taken"
    exit_code = ExitCode.TEMPORARY


async def refuse_twin(shards: Membership, identity: ShardIdentity) -> None:
    """Do nothing if no other host has a living shard of our name, or if Redis does not answer.

    Raises:
        ShardNameTakenError: one has; supervisord tries again, as that host may just have been given up.
    """
    try:
        views = await shards.all()
    except RedisUnavailableError as error:
        log.warning("nobody knows whether another host has a shard of this name", code=error.code)
        return
    for view in views:
        beat = view.heartbeat
        if view.name == identity.name and beat is not None and beat.host != identity.host:
            raise ShardNameTakenError(
                "a shard of this name lives on another host",
                hint="set another SHARD_NAME_PREFIX on each host, or HOST_NAME if it is the same one",
                shard=view.name,
                host=beat.host,
            )
