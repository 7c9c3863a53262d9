"""moto's server with Object Lock as S3 has it: what came in parts is kept for the bucket's default time, too; moto does
so for what came whole alone. Run as a program."""

from typing import Any

from moto.s3 import models
from moto.server import main

_complete = models.S3Backend.complete_multipart_upload


def _locked(self: models.S3Backend, bucket_name: str, *given: Any, **named: Any) -> models.FakeKey | None:
    key = _complete(self, bucket_name, *given, **named)
    bucket = self.get_bucket(bucket_name)
    if key is not None and bucket.has_default_lock:
        key.lock_mode, key.lock_until = bucket.default_lock_mode, bucket.default_retention()
    return key


models.S3Backend.complete_multipart_upload = _locked  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
