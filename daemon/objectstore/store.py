"""One bucket of an S3 server: put once, get verified, look, list, delete. Blocking; safe from several threads.

Uses only what R2, its local version and OpenStack Swift all do. Every error is one of ours (see `errors`). Objects go
through in pieces: none is ever in memory as a whole.
"""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event

import structlog
from minio import Minio

from daemon.core.clock import mono_s
from daemon.core.errors import (
    ArchiveDamagedError,
    BlazzError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreUnavailableError,
)
from daemon.objectstore.body import Body
from daemon.objectstore.client import make_client
from daemon.objectstore.config import ObjectStoreConfig
from daemon.objectstore.errors import RAISED, condition_failed, no_answer, not_s3, translate, translated
from daemon.objectstore.facts import ObjectFacts, metadata_headers, read_head, read_length, read_metadata
from daemon.objectstore.landing import Landing, landing
from daemon.objectstore.listing import Page, read_page
from daemon.objectstore.small import SmallObjects
from daemon.objectstore.usage import UsageCounter

log = structlog.get_logger()

_PAGE_OBJECTS = 1000
_READ_TRIES = 2
_Headers = dict[str, str | list[str] | tuple[str]]


class ObjectStore:
    """The bucket of a configuration. Makes no request when created."""

    def __init__(self, config: ObjectStoreConfig, *, client: Minio | None = None) -> None:
        """`client` is another one than for normal use, such as that of health checks."""
        self.bucket = config.bucket
        self.usage = UsageCounter()
        self._client = client or make_client(config)
        self._timeouts = config.timeouts
        self.small = SmallObjects(config.bucket, self._client, self.usage, limit_s=config.timeouts.transfer_s)
        self._debug = config.debug

    def put_new(self, key: str, body: Body, *, metadata: Mapping[str, str], content_type: str) -> str:
        """Store `body` under a key that nobody has used, and return its ETag.

        On return the store has confirmed the MD5 of what it holds. Storing the same bytes again is no error.

        Raises:
            ObjectExistsError: other bytes are there already; they were not touched.
            ObjectStoreUnavailableError: it may be stored or not; the same call can be made again.
            ObjectStoreRefusedError: credentials, permission or bucket.
            ArchiveDamagedError: stored, but not as it was sent.
        """
        headers: _Headers = {"Content-Type": content_type, "If-None-Match": "*", **metadata_headers(metadata)}
        began_mono_s = mono_s()
        self.usage.add(class_a=1, sent_bytes=body.size_bytes)
        try:
            # The public put_object() would send If-None-Match as metadata; this one sends and signs it as it is.
            etag = self._client._put_object(self.bucket, key, body, headers).etag  # type: ignore[arg-type]  # see client
        except RAISED as error:
            if condition_failed(error):
                etag = self._etag_in_the_way(key, body.md5)
            elif body.tell() and no_answer(error) and self._arrived(key, body.md5):
                etag = body.md5
            else:
                raise translate(error, "put", bucket=self.bucket, key=key) from error
        self._trace("put", key, began_mono_s, size_bytes=body.size_bytes)
        if etag != body.md5:
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

    def _arrived(self, key: str, md5: str) -> bool:
        """Whether the object is there after all, though the line broke at each try to send it.

        So it happens when a first try arrived: stores may refuse the others while they are sent, and hang up.
        """
        with contextlib.suppress(BlazzError):
            return self.head(key).etag == md5
        return False

    def get(self, key: str, into: Path, *, size_bytes: int, abandoned: Event | None = None) -> None:
        """Receive an object into the new file `into`, verified by its size and the SHA-256 of its metadata, if any.

        Whatever is raised, there is no file. Once `abandoned` is set, nothing more is received.

        Raises:
            ObjectNotFoundError: the store says that it is not there.
            ArchiveDamagedError: of another size, or not what was stored.
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known.
            DiskLowError, UnavailableError: this disk does not take it.
        """
        with landing(into) as file:
            for _ in range(_READ_TRIES):
                file.restart()
                # urllib3 repeats requests, but not the reading of a body that broke off.
                broken = self._get_once(key, file, size_bytes, abandoned or Event())
                if broken is None:
                    return
            raise ObjectStoreUnavailableError(f"object was not received whole ({broken})", bucket=self.bucket, key=key)

    def _get_once(self, key: str, file: Landing, size_bytes: int, abandoned: Event) -> str | None:
        """Receive an object; the answer is why its body broke off, None if it did not."""
        began_mono_s = mono_s()
        self.usage.add(class_b=1)
        with translated("get", bucket=self.bucket, key=key):
            response = self._client.get_object(self.bucket, key)
        try:
            found = read_length(response.headers)
            if found is None or not response.headers.get("ETag"):
                raise not_s3("get", bucket=self.bucket, key=key)
            if found != size_bytes:
                raise ArchiveDamagedError("object has another size", key=key, size_bytes=found, expected=size_bytes)
            limit_s = self._timeouts.transfer_limit_s(size_bytes)
            sha256, broken = file.receive(response, size_bytes, limit_s=limit_s, abandoned=abandoned)
        finally:
            response.close()
            response.release_conn()
        self.usage.add(received_bytes=file.size_bytes)
        if broken is None:
            self._trace("get", key, began_mono_s, size_bytes=size_bytes)
            expected = read_metadata(response.headers).get("sha256")
            if expected is not None and sha256 != expected:
                raise ArchiveDamagedError("object does not match its SHA-256", bucket=self.bucket, key=key)
        return broken

    def head(self, key: str) -> ObjectFacts:
        """Return what is known of an object.

        Raises:
            ObjectNotFoundError, ObjectStoreUnavailableError, ObjectStoreRefusedError: see `errors`.
        """
        found = self.heads([key])
        if not found:
            raise ObjectNotFoundError("no such object", action="head", bucket=self.bucket, key=key)
        return found[0]

    def heads(self, keys: Iterable[str]) -> tuple[ObjectFacts, ...]:
        """Return what is known of those of these objects that are there.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known; none missing is ever left out.
        """
        found: list[ObjectFacts] = []
        absent: list[str] = []
        for key in keys:
            try:
                found.append(self._head(key))
            except ObjectNotFoundError:
                absent.append(key)
        if absent and not found:
            self._confirm_absence(absent[0])
        return tuple(found)

    def _head(self, key: str) -> ObjectFacts:
        began_mono_s = mono_s()
        self.usage.add(class_b=1)
        with translated("head", bucket=self.bucket, key=key):
            headers = self._client._execute("HEAD", self.bucket, key).headers
        self._trace("head", key, began_mono_s)
        facts = read_head(key, headers)
        if facts is None:
            raise not_s3("head", bucket=self.bucket, key=key)
        return facts

    def _confirm_absence(self, key: str) -> None:
        """Ask again by GET: a HEAD answer has no body, so it cannot tell a missing object from a missing bucket."""
        self.usage.add(class_b=1)
        with contextlib.suppress(ObjectNotFoundError), translated("head", bucket=self.bucket, key=key):
            response = self._client.get_object(self.bucket, key)
            response.close()
            response.release_conn()
            raise ObjectStoreUnavailableError("the object was just stored", bucket=self.bucket, key=key)

    def list(self, prefix: str, *, start_after: str | None = None, limit: int | None = None) -> list[ObjectFacts]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys; each page is one request.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known; an empty list is an answer.
        """
        found: list[ObjectFacts] = []
        token: str | None = None
        while True:
            page = self.page(prefix, token=token, start_after=start_after, limit=limit)
            found += page.objects
            token = page.next_token
            if token is None or (limit is not None and len(found) >= limit):
                return found[:limit]

    def page(
        self, prefix: str, *, token: str | None = None, start_after: str | None = None, limit: int | None = None
    ) -> Page:
        """Return one page of a listing, up to 1000 objects: the first one, or the one that `token` stands for.

        Raises:
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known; an empty page is an answer.
        """
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "prefix": prefix,
            "max-keys": str(min(limit or _PAGE_OBJECTS, _PAGE_OBJECTS)),
        }
        if start_after:
            query["start-after"] = start_after
        if token:
            query["continuation-token"] = token
        return self._page(query, prefix)

    def _page(self, query: Mapping[str, str], prefix: str) -> Page:
        began_mono_s = mono_s()
        self.usage.add(class_a=1)
        with translated("list", bucket=self.bucket, key=prefix):
            response = self._client._execute("GET", self.bucket, query_params=dict(query))
        page = read_page(response.data)
        if page is None or page.next_token == query.get("continuation-token", ""):
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
