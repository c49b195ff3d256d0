"""Small objects that are written over in place, such as marks. Blocking; safe from several threads.

Archives are neither small nor ever written over: they go through `ObjectStore`.
"""

import hashlib
import io

from minio import Minio

from daemon.core.clock import mono_s
from daemon.core.errors import ArchiveDamagedError, ObjectStoreUnavailableError
from daemon.objectstore.body import Body
from daemon.objectstore.errors import RAISED, not_s3, translate, translated
from daemon.objectstore.facts import read_length
from daemon.objectstore.usage import UsageCounter


class SmallObjects:
    """Objects of some hundred bytes in one bucket."""

    def __init__(self, bucket: str, client: Minio, usage: UsageCounter, *, limit_s: float) -> None:
        """`limit_s` bounds sending or receiving one."""
        self._bucket = bucket
        self._client = client
        self._usage = usage
        self._limit_s = limit_s

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Write an object, whatever was there; on return the store has confirmed the MD5 of it.

        Raises:
            ObjectStoreUnavailableError: it may be written or not; the same call can be made again.
            ObjectStoreRefusedError: credentials, permission or bucket.
            ArchiveDamagedError: written, but not as it was sent.
        """
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        sha256 = hashlib.sha256(content).hexdigest()
        body = Body(io.BytesIO(content), size_bytes=len(content), sha256=sha256, md5=md5, limit_s=self._limit_s)
        self._usage.add(class_a=1, sent_bytes=len(content))
        headers: dict[str, str | list[str] | tuple[str]] = {"Content-Type": content_type}
        try:
            etag = self._client._put_object(self._bucket, key, body, headers).etag  # type: ignore[arg-type]  # see client
        except RAISED as error:
            raise translate(error, "put", bucket=self._bucket, key=key) from error
        if etag != md5:
            raise ArchiveDamagedError("the store reports another MD5 than that of what was sent", key=key)

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """Return an object's bytes.

        Raises:
            ObjectNotFoundError: the store says that it is not there.
            ArchiveDamagedError: larger than `max_bytes`, so not what was written.
            ObjectStoreUnavailableError, ObjectStoreRefusedError: nothing is known.
        """
        self._usage.add(class_b=1)
        with translated("get", bucket=self._bucket, key=key):
            response = self._client.get_object(self._bucket, key)
            try:
                size_bytes = read_length(response.headers)
                if size_bytes is None or not response.headers.get("ETag"):
                    raise not_s3("get", bucket=self._bucket, key=key)
                if size_bytes > max_bytes:
                    raise ArchiveDamagedError("object is larger than it should be", key=key, size_bytes=size_bytes)
                content = self._read(response, size_bytes)
            finally:
                response.close()
                response.release_conn()
        self._usage.add(received_bytes=len(content))
        if len(content) != size_bytes:
            raise ObjectStoreUnavailableError("object was not received whole", bucket=self._bucket, key=key)
        return content

    def _read(self, response: object, size_bytes: int) -> bytes:
        deadline_mono_s = mono_s() + self._limit_s
        content = b""
        while len(content) < size_bytes:
            piece: bytes = response.read(size_bytes - len(content), decode_content=False)  # type: ignore[attr-defined]  # urllib3
            if not piece:
                break
            if mono_s() > deadline_mono_s:
                raise ObjectStoreUnavailableError("receiving is too slow", bucket=self._bucket)
            content += piece
        return content
