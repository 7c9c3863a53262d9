"""The database and Redis: their settings, versions and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis
from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level, answers
from marketdata.realtime import redis_clients, redis_health, redis_rights, redis_urls
from marketdata.storage import storage

LEAST_REDIS = (7, 0)
"""The oldest version the tests run with; Valkey begins at 7.2."""


def database() -> Iterator[Finding]:
    """The flags of the database, by its storage backend."""
    for flag in storage().flags():
        wrong = Level.ERROR if flag.is_vital else Level.WARNING
        yield Finding(
            what=f"{storage().vendor}: {flag.name}",
            value=flag.value,
            wanted=flag.wanted,
            level=Level.OK if flag.is_right else wrong,
            remedy=flag.remedy,
            is_vital=flag.is_vital,
        )


def redis_servers() -> Iterator[Finding]:
    """Redis as live state and, where it is one, as broker: nothing may be evicted; what it holds is on disk soon."""
    if settings.BROKER_URL == settings.REDIS_URL:
        yield from _redis("REDIS_URL", settings.REDIS_URL, redis_rights.LIVE, redis_rights.BROKER)
        return
    yield from _redis("REDIS_URL", settings.REDIS_URL, redis_rights.LIVE)
    if redis_urls.is_redis(settings.BROKER_URL):
        yield from _redis("BROKER_URL", settings.BROKER_URL, redis_rights.BROKER)


def _redis(name: str, url: str, *rights: redis_rights.Rights) -> Iterator[Finding]:
    try:
        with redis_clients.client(url, socket_timeout=3, socket_connect_timeout=3) as client:
            yield _rights(name, client, rights)
            try:
                told: Any = client.info()
            except redis.ResponseError:  # `_rights` names what its user lacks
                told = {}
            yield from _keeps(name, client, told)
            if told:
                yield from _state(name, told)
    except redis.RedisError as error:
        yield answers(name, type(error).__name__, _("start it, or see whether it can be reached"))


def _keeps(name: str, client: redis.Redis, told: dict[str, Any]) -> Iterator[Finding]:
    """Whether it forgets nothing by itself. INFO has it, which users with few rights (docker/redis/users.acl) may ask;
    only how often its log is written and whether it makes snapshots is in CONFIG, which those may not."""
    unseen = _("neither INFO nor CONFIG tells us; see it by hand (docker/redis/naru.conf)")
    try:
        config: Any = client.config_get("maxmemory-policy", "appendonly", "appendfsync", "save")
    except redis.ResponseError:  # a managed one, or a user without the right
        config = {}
    policy = str(told.get("maxmemory_policy") or config.get("maxmemory-policy", ""))
    append = str(told.get("aof_enabled", {"yes": "1", "no": "0"}.get(str(config.get("appendonly")), "")))
    remedy = _("CONFIG SET maxmemory-policy noeviction, and in its configuration (docker/redis/naru.conf)")
    yield Finding(
        what=f"{name}: maxmemory-policy", value=policy or _("not told"), wanted="noeviction",
        level=Level.UNKNOWN if not policy else Level.OK if policy == "noeviction" else Level.ERROR,
        remedy=remedy if policy else unseen,
    )  # fmt: skip
    is_kept = append == "1" or bool(config.get("save"))
    shown = {"1": "yes", "0": "no"}.get(append, "")
    remedy = _("CONFIG SET appendonly yes, and in its configuration: a restart then begins with what it had")
    yield Finding(
        what=f"{name}: appendonly", value=shown or _("not told"), wanted="yes",
        level=Level.OK if is_kept else Level.WARNING if shown else Level.UNKNOWN, remedy=remedy if shown else unseen,
    )  # fmt: skip
    if append == "1":
        fsync = str(config.get("appendfsync", ""))
        remedy = _("CONFIG SET appendfsync everysec, and in its configuration (docker/redis/naru.conf)")
        yield Finding(
            what=f"{name}: appendfsync", value=fsync or _("not told"), wanted="everysec",
            level=Level.UNKNOWN if not fsync else Level.WARNING if fsync == "no" else Level.OK,
            remedy=remedy if fsync else _("CONFIG is not allowed to us; see it by hand (docker/redis/naru.conf)"),
        )  # fmt: skip


def _rights(name: str, client: redis.Redis, rights: tuple[redis_rights.Rights, ...]) -> Finding:
    """What its user may not, of what the processes ask for."""
    missing = list(dict.fromkeys(word for one in rights for word in redis_rights.missing(client, one)))
    return Finding(
        what=format_lazy(_("{name}: rights of its user"), name=name),
        value=format_lazy(_("missing: {rights}"), rights=" ".join(missing)) if missing else _("all that are needed"),
        wanted=_("all that are needed"), level=Level.ERROR if missing else Level.OK,
        remedy=format_lazy(
            _("give them to the user: ACL SETUSER, and in its file (docker/redis/users.acl has all of {users})"),
            users=", ".join(one.user for one in rights),
        ),
    )  # fmt: skip


def _state(name: str, told: dict[str, Any]) -> Iterator[Finding]:
    """What INFO tells of a server: its version, whether it is the one to write to, its memory, its last writing to
    disk."""
    version = str(told.get("valkey_version") or told.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    yield Finding(
        what=f"{name}: version", value=version, wanted=format_lazy(_("{least} or newer"), least="7.0"),
        level=Level.OK if numbers >= LEAST_REDIS else Level.WARNING,
        remedy=_("install a newer one: with older ones the tests do not run"),
    )  # fmt: skip
    role = str(told.get("role", ""))
    yield Finding(
        what=f"{name}: role", value=role, wanted="master", level=Level.OK if role == "master" else Level.ERROR,
        remedy=_("point it at the server that takes writes"),
    )  # fmt: skip
    most, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    if most:
        yield Finding(
            what=f"{name}: maxmemory", value=f"{used / most:.0%}",
            wanted=format_lazy(_("below {share:.0%}"), share=redis_health.FULL_AT),
            level=Level.OK if used < most * redis_health.FULL_AT else Level.WARNING,
            remedy=_("raise maxmemory, or see by `redis-cli --bigkeys` what fills it"),
        )  # fmt: skip
    else:
        yield Finding(
            what=f"{name}: maxmemory", value=_("no limit"), wanted="512mb", level=Level.WARNING,
            remedy=_("CONFIG SET maxmemory 512mb, and in its configuration: without a limit the system may end it"),
        )  # fmt: skip
    written = {str(told.get(key, "ok")) for key in ("aof_last_write_status", "aof_last_bgrewrite_status")}
    written.add(str(told.get("rdb_last_bgsave_status", "ok")))
    yield Finding(
        what=format_lazy(_("{name}: last writing to disk"), name=name),
        value=_("done") if written == {"ok"} else _("failed"), wanted=_("done"),
        level=Level.OK if written == {"ok"} else Level.ERROR,
        remedy=_("its own log says why; usually its disk is full, and then it refuses writes"),
    )  # fmt: skip
