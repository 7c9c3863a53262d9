"""A bucket of S3, or of what is compatible with it, as another place. botocore repeats what failed, a bounded number of
times; what an upload sent before it was cut off is not sent again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.backups import streams
from marketdata.backups.offsite.places import (
    DELETED,
    MOST_SMALL,
    Deleted,
    Miscopied,
    NotThere,
    Place,
    PlaceUnavailable,
)
from marketdata.storage.backups import Progress

PART_BYTES, MOST_PARTS = 16 << 20, 9_000
"""S3 takes 10,000 parts of 5 MiB to 5 GiB."""
ATTEMPTS = 5
CONNECT_S, READ_S = 10, 120
MISSING = ("NoSuchKey", "404", "NotFound")
REFUSED = ("AccessDenied", "403")


class Bucket(Place):
    """Objects appear whole by themselves. Every part is sent with its MD5, and the object's tag compared with theirs;
    where a storage makes its tags of something else, the object is read back."""

    def __init__(
        self, bucket: str, prefix: str, *, endpoint: str = "", region: str = "", access_key: str = "",
        secret_key: str = "", part_bytes: int = PART_BYTES,
    ) -> None:  # fmt: skip
        """Without keys those of the machine are taken, where it has any (instance role, ~/.aws). PlaceUnavailable if
        botocore is not installed."""
        try:
            import botocore.session
            from botocore.config import Config
        except ImportError as error:
            raise PlaceUnavailable(
                gettext_lazy("{package} is not installed: pip install -r requirements/offsite.txt"), package="botocore"
            ) from error
        self._bucket, self._prefix, self._part_bytes = bucket, f"{prefix}/" if prefix else "", part_bytes
        self.shown = f"s3://{bucket}/{prefix}".rstrip("/")
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            # Not every compatible storage takes the checksums that AWS added in 2024; ours are compared anyway.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if endpoint else None,
        )
        try:
            self._client: Any = botocore.session.Session().create_client(
                "s3",
                endpoint_url=endpoint or None,
                region_name=region or "us-east-1",
                aws_access_key_id=access_key or None,
                aws_secret_access_key=secret_key or None,
                config=config,
            )
        except ValueError as error:  # an endpoint that is no address
            raise PlaceUnavailable(
                gettext_lazy("{place} cannot be used: {reason}"), place=self.shown, reason=error
            ) from error

    def names(self) -> list[str]:
        found: list[str] = []
        with self._asked():
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            ):
                found += [one["Key"].removeprefix(self._prefix) for one in page.get("Contents", [])]
        return sorted(name for name in found if name and "/" not in name)

    def read(self, name: str) -> bytes:
        with self._asked(name):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
            content: bytes = answer["Body"].read(MOST_SMALL + 1)
        if len(content) > MOST_SMALL:
            raise Miscopied(gettext_lazy("{name} in {place} is far too large"), name=name, place=self.shown)
        return content

    def write(self, name: str, content: bytes) -> None:
        with self._asked():
            self._client.put_object(
                Bucket=self._bucket, Key=self._key(name), Body=content, ContentMD5=_base64(_md5(content))
            )

    def upload(self, source: Path, name: str, *, progress: Progress) -> None:
        size = source.stat().st_size
        with self._asked():
            upload, there = self._begun(name)
            parts, digests, done = [], b"", 0
            length = self._length(size)
            with source.open("rb") as file:
                for number, part in enumerate(streams.pieces(file, length), 1):
                    digest = _md5(part)
                    digests += digest.digest()
                    tag = f'"{digest.hexdigest()}"'
                    if there.get(number) != (len(part), tag):
                        tag = self._client.upload_part(
                            Bucket=self._bucket, Key=self._key(name), UploadId=upload, PartNumber=number, Body=part,
                            ContentMD5=_base64(digest),
                        )["ETag"]  # fmt: skip
                    parts.append({"ETag": tag, "PartNumber": number})
                    done += len(part)
                    progress(_("copying elsewhere"), done, size)
            whole = self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key(name), UploadId=upload, MultipartUpload={"Parts": parts}
            )["ETag"]
            length_there = self._client.head_object(Bucket=self._bucket, Key=self._key(name))["ContentLength"]
        if length_there == size and whole.strip('"') == f"{_md5(digests).hexdigest()}-{len(parts)}":
            return
        if length_there != size or self._read_back(name, size, progress) != streams.sha256(source):
            with suppress(PlaceUnavailable):  # without a manifest it is nothing, and the next attempt replaces it
                self.remove(name)
            raise Miscopied(
                gettext_lazy("{name} came to {place} changed: is its disk sound? It is sent again"),
                name=name,
                place=self.shown,
            )

    def download(self, name: str, target: Path, *, progress: Progress) -> str:
        with streams.create(target) as output:
            hashed = streams.Hashed(output)
            self._fetch(name, hashed, progress, _("fetching"))
            streams.sync(output)
        return hashed.hash.hexdigest()

    def remove(self, name: str) -> None:
        with self._asked(deletes=name):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))
        with self._asked():
            for upload in self._uploads(name):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key(name), UploadId=upload)

    def _begun(self, name: str) -> tuple[str, dict[int, tuple[int, str]]]:
        """An upload that is not complete yet, with size and tag of each part that it has; a new one if there is none.
        Others of the same name are given up."""
        first, *others = [*self._uploads(name), ""]
        for other in others:
            if other:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key(name), UploadId=other)
        if not first:
            begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key(name))
            return str(begun["UploadId"]), {}
        parts: dict[int, tuple[int, str]] = {}
        pages = self._client.get_paginator("list_parts")
        for page in pages.paginate(Bucket=self._bucket, Key=self._key(name), UploadId=first):
            parts |= {one["PartNumber"]: (one["Size"], one["ETag"]) for one in page.get("Parts", [])}
        return first, parts

    def _uploads(self, name: str) -> list[str]:
        pages = self._client.get_paginator("list_multipart_uploads")
        found = pages.paginate(Bucket=self._bucket, Prefix=self._key(name))
        return [one["UploadId"] for page in found for one in page.get("Uploads", []) if one["Key"] == self._key(name)]

    def _length(self, size: int) -> int:
        """Of a part: the same for a file of the same size, so that the parts of an earlier attempt fit."""
        return max(self._part_bytes, -(-size // MOST_PARTS))

    def _read_back(self, name: str, size: int, progress: Progress) -> str:
        digest = streams.Hashed(None)
        self._fetch(name, digest, progress, _("reading back"))
        return digest.hash.hexdigest()

    def _fetch(self, name: str, output: streams.Hashed, progress: Progress, step: str) -> None:
        """All of an object; an answer that breaks off is gone on with where it ended, at most ATTEMPTS times."""
        from botocore.exceptions import BotoCoreError, HTTPClientError

        with self._asked(name):
            head = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
            size, left = head["ContentLength"], ATTEMPTS
            while output.bytes < size:
                given = {"Range": f"bytes={output.bytes}-", "IfMatch": head["ETag"]}
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name), **given)
                try:
                    for piece in answer["Body"].iter_chunks(streams.PIECE):
                        output.write(piece)
                        progress(step, output.bytes, size)
                except (BotoCoreError, HTTPClientError):
                    left -= 1
                    if not left:
                        raise

    def _lies_below(self, name: str) -> bool:
        """Whether it was deleted in a bucket that keeps versions: a mark of the deletion is its newest one."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except ClientError as error:
            told = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            return str(told.get("x-amz-delete-marker", "")).lower() == "true"
        except (BotoCoreError, HTTPClientError):
            return False
        return False

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    @contextmanager
    def _asked(self, name: str = "", *, deletes: str = "") -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if name and code in MISSING and self._lies_below(name):
                raise Deleted(DELETED, name=name, place=self.shown) from error
            if name and code in MISSING:
                raise NotThere(gettext_lazy("{name} is not in {place}"), name=name, place=self.shown) from error
            if deletes and code in REFUSED:
                raise PlaceUnavailable(
                    gettext_lazy(
                        "{place} does not let {name} be deleted ({code}): set RETENTION_BACKUPS_OFFSITE_DAYS=0, so that"
                        " it is not tried, or allow s3:DeleteObject"
                    ),
                    place=self.shown,
                    name=deletes,
                    code=code,
                ) from error
            words = str(error.response.get("Error", {}).get("Message", ""))[:300]
            raise PlaceUnavailable(
                gettext_lazy("{place} refused: {code} {words}"), place=self.shown, code=code, words=words
            ) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise PlaceUnavailable(
                gettext_lazy("{place} cannot be reached: {reason}"), place=self.shown, reason=str(error)[:300]
            ) from error


def _md5(content: bytes) -> Any:
    """S3's own sum of what is on its way; what counts is compared by SHA-256."""
    return hashlib.md5(content, usedforsecurity=False)


def _base64(digest: Any) -> str:
    return base64.b64encode(digest.digest()).decode()
