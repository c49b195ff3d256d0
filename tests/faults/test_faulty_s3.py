"""The failing S3 server fails as it should: what other tests conclude from it depends on that."""

import asyncio
import dataclasses
import io
import secrets
from collections.abc import AsyncIterator

import pytest

from daemon.core.errors import BlazzError, ObjectStoreUnavailableError
from daemon.objectstore.client import make_client
from daemon.objectstore.config import ObjectStoreConfig, StoreTimeouts
from daemon.objectstore.errors import RAISED, translate
from tests.servers.faulty_s3 import Fault, FaultyS3
from tests.servers.s3 import S3Server

BODY = secrets.token_bytes(100_000)
PATIENT = StoreTimeouts(connect_s=5, read_s=15, transfer_s=30, tries=1, backoff_s=0.05, check_s=5)
QUICK = StoreTimeouts(connect_s=1, read_s=1, transfer_s=5, tries=1, backoff_s=0.05, check_s=1)
"""For the one fault that ends by time alone."""


@pytest.fixture
async def store(s3: S3Server) -> AsyncIterator[FaultyS3]:
    async with FaultyS3(s3) as store:
        yield store


@pytest.fixture
def config(s3: S3Server, store: FaultyS3) -> ObjectStoreConfig:
    return dataclasses.replace(s3.config(), endpoint=store.url, timeouts=PATIENT)


async def put(config: ObjectStoreConfig, key: str) -> None:
    await asyncio.to_thread(
        make_client(config).put_object, config.bucket, key, io.BytesIO(BODY), len(BODY), part_size=5 << 20
    )


async def get(config: ObjectStoreConfig, key: str) -> bytes:
    def read() -> bytes:
        response = make_client(config).get_object(config.bucket, key)
        try:
            return bytes(response.read())
        finally:
            response.close()

    return await asyncio.to_thread(read)


async def failure(work: object) -> BlazzError:
    with pytest.raises(RAISED) as caught:
        await work  # type: ignore[misc]
    return translate(caught.value, "try", bucket="b")


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.SLOW_BODIES])
async def test_what_is_signed_passes_in_both_directions(
    config: ObjectStoreConfig, store: FaultyS3, fault: Fault
) -> None:
    await store.turn(fault)
    key = f"faulty/a b+ü/{secrets.token_hex(4)}"
    await put(config, key)
    assert await get(config, key) == BODY
    assert [(seen.method, seen.status) for seen in store.seen] == [("PUT", 200), ("GET", 200)]


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.SLOW_DOWN, Fault.HANG, Fault.CUT_BODIES, Fault.LOSE_ANSWERS])
async def test_an_upload_fails_and_passes_once_the_fault_is_over(
    config: ObjectStoreConfig, store: FaultyS3, fault: Fault
) -> None:
    key = f"faulty/{secrets.token_hex(4)}"
    await store.turn(fault)
    hasty = dataclasses.replace(config, timeouts=QUICK if fault is Fault.HANG else PATIENT)
    assert isinstance(await failure(put(hasty, key)), ObjectStoreUnavailableError)
    assert all(seen.status in {None, 503} for seen in store.seen)
    await store.turn(Fault.NONE)
    assert (fault is Fault.LOSE_ANSWERS) == await stored(config, key)
    await put(config, key)
    assert await get(config, key) == BODY


async def test_a_download_is_cut_in_its_middle(config: ObjectStoreConfig, store: FaultyS3) -> None:
    key = f"faulty/{secrets.token_hex(4)}"
    await put(config, key)
    await store.turn(Fault.CUT_BODIES, times=1)
    assert isinstance(await failure(get(config, key)), ObjectStoreUnavailableError)
    assert await get(config, key) == BODY


async def stored(config: ObjectStoreConfig, key: str) -> bool:
    found = await asyncio.to_thread(lambda: list(make_client(config).list_objects(config.bucket, prefix=key)))
    return [item.object_name for item in found] == [key]
