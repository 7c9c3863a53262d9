"""Login sessions in the database, found by a hash of the cookie: whoever reads the table cannot become anybody."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone


def row_of(cookie: str) -> str:
    """The primary key of the row of this cookie; 40 characters, as many as the column has."""
    return hashlib.blake2b(cookie.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


class SessionStore(db.SessionStore):
    """Django's own, except that `session_key` (the cookie's value) is never what the database holds."""

    def _get_session_from_db(self) -> Any:
        return self._found(self.model.objects.filter(**self._live()).first())

    async def _aget_session_from_db(self) -> Any:
        return self._found(await self.model.objects.filter(**self._live()).afirst())

    def _live(self) -> dict[str, Any]:
        return {"session_key": row_of(self.session_key or ""), "expire_date__gt": timezone.now()}

    def _found(self, row: Any) -> Any:
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        return super().exists(row_of(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(row_of(session_key))

    def create_model_instance(self, data: Any) -> Any:
        return self._hashed(super().create_model_instance(data))

    async def acreate_model_instance(self, data: Any) -> Any:
        return self._hashed(await super().acreate_model_instance(data))

    @staticmethod
    def _hashed(row: Any) -> Any:
        row.session_key = row_of(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(row_of(key))

    async def adelete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            await super().adelete(row_of(key))
