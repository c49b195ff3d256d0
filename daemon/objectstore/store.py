"""One bucket of an S3 server: put once, get verified, look, list, delete. Blocking; safe from several threads.

Uses only what R2, its local version and OpenStack Swift all do. Every error is one of ours (see `errors`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import structlog
from minio import Minio

from daemon.core.clock import mono_s
from daemon.core.errors import (
    ArchiveDamagedError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreUnavailableError,
)
from daemon.objectstore.client import make_client
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.errors import RAISED, not_s3, status_and_code, translate, translated
from daemon.objectstore.facts import ObjectFacts, metadata_headers, read_head, read_length, read_metadata
from daemon.objectstore.listing import Page, read_page
from daemon.objectstore.usage import UsageCounter

log = structlog.get_logger()

_PAGE_OBJECTS = 1000
_READ_TRIES = 2
_CHUNK_BYTES = 1 << 18
_Headers = dict[str, str | list[str] | tuple[str]]


class ObjectStore:
    """The bucket of a configuration. Makes no request when created."""

    def __init__(self, config: ObjectStoreConfig, *, client: Minio | None = None) -> None:
        """`client` is another one than for normal use, such as that of health checks."""
        self.bucket = config.bucket
        self.usage = UsageCounter()
        self._client = client or make_client(config)
        self._transfer_s = config.timeouts.transfer_s
        self._debug = config.debug

    def put_new(self, key: str, body: bytes, *, metadata: Mapping[str, str], content_type: str) -> str:
        """Store `body` under a key that nobody has used, and return its ETag.

        On return the store has confirmed the MD5 of what it holds. Storing the same bytes again is no error.

        Raises:
            ObjectExistsError: other bytes are there already; they were not touched.
            ObjectStoreUnavailableError: it may be stored or not; the same call can be made again.
            ObjectStoreRefusedError: credentials, permission or bucket.
            ArchiveDamagedError: stored, but not as it was sent.
        """
        headers: _Headers = {"Content-Type": content_type, "If-None-Match": "*", **metadata_headers(metadata)}
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        began_mono_s = mono_s()
        self.usage.add(class_a=1, sent_bytes=len(body))
        try:
            # The public put_object() would send If-None-Match as metadata; this one sends and signs it as it is.
            etag = self._client._put_object(self.bucket, key, body, headers).etag
        except RAISED as error:
            if not _condition_failed(error):
                raise translate(error, "put", bucket=self.bucket, key=key) from error
            etag = self._etag_in_the_way(key, md5)
        self._trace("put", key, began_mono_s, size_bytes=len(body))
        if etag != md5:
            raise ArchiveDamagedError("the store reports another MD5 than that of what was sent", key=key)
        return etag

    def _etag_in_the_way(self, key: str, md5: str) -> str:
        """Find out whose object stands there: of an own earlier try only the answer was lost, so it is a success."""
        try:
            found = self.head(key)
        except ObjectNotFoundError:
            raise ObjectStoreUnavailableError("another write of this object is under way", key=key) from None
        if found.etag != md5:
            raise ObjectExistsError("another object is stored under this name", bucket=self.bucket, key=key)
        return found.etag

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """Return an object, verified by its length and, where its metadata has one, its SHA-256.

        Raises:
            ObjectNotFoundError: the store says that it is not there.
            ArchiveDamagedError: larger than `max_bytes`, or not what was stored.
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known.
        """
        tries_left = _READ_TRIES
        while True:
            tries_left -= 1
            try:
                return self._get_once(key, max_bytes)
            except ObjectStoreUnavailableError as error:
                # urllib3 repeats requests, but not the reading of a body that broke off.
                if not tries_left or "received_bytes" not in error.ids:
                    raise

    def _get_once(self, key: str, max_bytes: int) -> bytes:
        began_mono_s = mono_s()
        self.usage.add(class_b=1)
        with translated("get", bucket=self.bucket, key=key):
            response = self._client.get_object(self.bucket, key)
        try:
            size = read_length(response.headers)
            if size is None or not response.headers.get("ETag"):
                raise not_s3("get", bucket=self.bucket, key=key)
            if size > max_bytes:
                raise ArchiveDamagedError("object is too large", key=key, size_bytes=size, limit_bytes=max_bytes)
            body = self._read(response, size, key)
        finally:
            response.close()
            response.release_conn()
        self.usage.add(received_bytes=len(body))
        self._trace("get", key, began_mono_s, size_bytes=len(body))
        expected = read_metadata(response.headers).get("sha256")
        if expected is not None and hashlib.sha256(body).hexdigest() != expected:
            raise ArchiveDamagedError("object does not match its SHA-256", bucket=self.bucket, key=key)
        return body

    def _read(self, response: Any, size: int, key: str) -> bytes:
        deadline_mono_s = mono_s() + self._transfer_s
        body, cause = bytearray(), "cut short"
        try:
            while len(body) < size and (chunk := response.read(min(_CHUNK_BYTES, size - len(body)))):
                body += chunk
                if mono_s() > deadline_mono_s:
                    cause = "too slow"
                    break
        except RAISED as error:
            cause = type(error).__name__
        if len(body) != size:
            raise ObjectStoreUnavailableError(
                f"object was not received whole ({cause})", key=key, received_bytes=len(body), size_bytes=size
            )
        return bytes(body)

    def head(self, key: str) -> ObjectFacts:
        """Return what is known of an object.

        Raises:
            ObjectNotFoundError, ObjectStoreUnavailableError, ObjectStoreRefusedError: see `errors`.
        """
        began_mono_s = mono_s()
        self.usage.add(class_b=1)
        try:
            with translated("head", bucket=self.bucket, key=key):
                headers = self._client._execute("HEAD", self.bucket, key).headers
        except ObjectNotFoundError:
            self._confirm_absence(key)
            raise
        self._trace("head", key, began_mono_s)
        facts = read_head(key, headers)
        if facts is None:
            raise not_s3("head", bucket=self.bucket, key=key)
        return facts

    def _confirm_absence(self, key: str) -> None:
        """Ask again by GET: a HEAD answer has no body, so it cannot tell a missing object from a missing bucket."""
        self.usage.add(class_b=1)
        with translated("head", bucket=self.bucket, key=key):
            response = self._client.get_object(self.bucket, key)
            response.close()
            response.release_conn()

    def list(self, prefix: str, *, start_after: str | None = None, limit: int | None = None) -> list[ObjectFacts]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys; each page is one request.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known; an empty list is an answer.
        """
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "prefix": prefix,
            "max-keys": str(min(limit or _PAGE_OBJECTS, _PAGE_OBJECTS)),
        }
        if start_after:
            query["start-after"] = start_after
        found: list[ObjectFacts] = []
        while limit is None or len(found) < limit:
            page = self._page(query, prefix)
            found += page.objects
            if page.next_token is None:
                break
            query["continuation-token"] = page.next_token
        return found[:limit]

    def _page(self, query: Mapping[str, str], prefix: str) -> Page:
        began_mono_s = mono_s()
        self.usage.add(class_a=1)
        with translated("list", bucket=self.bucket, key=prefix):
            response = self._client._execute("GET", self.bucket, query_params=dict(query))
        page = read_page(response.data)
        if page is None:
            raise not_s3("list", bucket=self.bucket, key=prefix)
        self._trace("list", prefix, began_mono_s, found=len(page.objects))
        return page

    def delete(self, key: str) -> None:
        """Remove an object; no error when it is not there.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: it may be there or not.
        """
        began_mono_s = mono_s()
        self.usage.add(deletes=1)
        try:
            with translated("delete", bucket=self.bucket, key=key):
                self._client.remove_object(self.bucket, key)
        except ObjectNotFoundError:
            return
        self._trace("delete", key, began_mono_s)

    def _trace(self, action: str, key: str, began_mono_s: float, **facts: int) -> None:
        if self._debug:
            took_ms = round((mono_s() - began_mono_s) * 1000)
            log.info("object store call", action=action, bucket=self.bucket, key=key, took_ms=took_ms, **facts)


def _condition_failed(error: Exception) -> bool:
    status, code = status_and_code(error)
    return status == 412 or code in {"PreconditionFailed", "ConditionalRequestConflict"}
