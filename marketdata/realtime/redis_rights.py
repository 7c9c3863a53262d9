"""What the processes ask of Redis, command by command: what a user of an ACL has to be allowed, and whether it is.

docker/redis/users.acl grants these rights and no others; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.exceptions import NoPermissionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one of the two settings needs of its user."""

    user: str
    """Its name in docker/redis/users.acl."""
    keys: tuple[str, ...]
    """Patterns of keys; each is read and written."""
    channels: tuple[str, ...]
    """Channels, with {db} for the number of the database; who subscribes by pattern needs each by its own name."""
    commands: tuple[tuple[str, ...], ...]
    """Each command with arguments that it can be asked with; KEY stands for a key, CHANNEL for a channel."""

    def names(self) -> set[str]:
        """Commands as an ACL names them: `client|setinfo`."""
        return {_name(command) for command in self.commands}


_CONTAINERS = ("client", "script")
_CONNECTION: tuple[tuple[str, ...], ...] = (
    ("ping",), ("select", "0"), ("client", "setname", "naru"), ("info",),
    ("multi",), ("exec",), ("discard",), ("watch", "KEY"), ("unwatch",),
)  # fmt: skip
_SCRIPTS: tuple[tuple[str, ...], ...] = (
    ("eval", "return 1", "1", "KEY"), ("evalsha", "0" * 40, "1", "KEY"), ("script", "load", "return 1"),
    ("script", "exists", "0" * 40), ("time",),
)  # fmt: skip

LIVE = Rights(
    user="naru-live",
    keys=("naru:*",),
    channels=(),
    commands=(
        *_CONNECTION, *_SCRIPTS, ("scan", "0"),
        ("get", "KEY"), ("getdel", "KEY"), ("set", "KEY", "1"), ("incr", "KEY"), ("decr", "KEY"),
        ("del", "KEY"), ("exists", "KEY"), ("expire", "KEY", "1"), ("pexpire", "KEY", "1"), ("pttl", "KEY"),
        ("hget", "KEY", "f"), ("hmget", "KEY", "f"), ("hgetall", "KEY"), ("hkeys", "KEY"), ("hset", "KEY", "f", "1"),
        ("hsetnx", "KEY", "f", "1"), ("hdel", "KEY", "f"), ("hincrby", "KEY", "f", "1"),
        ("rpush", "KEY", "1"), ("blpop", "KEY", "1"), ("ltrim", "KEY", "0", "1"), ("llen", "KEY"),
        ("sadd", "KEY", "1"), ("srem", "KEY", "1"), ("scard", "KEY"), ("smembers", "KEY"), ("sismember", "KEY", "1"),
        ("smismember", "KEY", "1"), ("spop", "KEY"),
        ("zadd", "KEY", "1", "m"), ("zrem", "KEY", "m"), ("zcard", "KEY"), ("zscore", "KEY", "m"),
        ("zmscore", "KEY", "m"), ("zrange", "KEY", "0", "1"), ("zrevrange", "KEY", "0", "1"),
        ("zrangebyscore", "KEY", "0", "1"), ("zremrangebyscore", "KEY", "0", "1"),
        ("zremrangebyrank", "KEY", "0", "1"),
        ("xadd", "KEY", "*", "f", "1"), ("xrange", "KEY", "-", "+"), ("xrevrange", "KEY", "+", "-"),
        ("xread", "STREAMS", "KEY", "0"),
    ),
)  # fmt: skip
"""REDIS_URL: the feed, the newest state, counters, notices and what is due."""

BROKER = Rights(
    user="naru-broker",
    keys=(
        "raw_market_data", "processed-data", "feed-recovery", "chart-data", "statistics-data", "alert-deliveries",
        "maintenance", "backups", "_kombu.binding*", "unacked*", "*.celery.pidbox",
        "naru:body:*", "naru:written",
    ),
    channels=("/{db}.celery.pidbox",),
    commands=(
        *_CONNECTION, *_SCRIPTS,
        ("get", "KEY"), ("set", "KEY", "1"), ("del", "KEY"), ("exists", "KEY"), ("pexpire", "KEY", "1"),
        ("lpush", "KEY", "1"), ("rpush", "KEY", "1"), ("brpop", "KEY", "1"), ("rpop", "KEY"), ("llen", "KEY"),
        ("sadd", "KEY", "1"), ("srem", "KEY", "1"), ("smembers", "KEY"),
        ("hget", "KEY", "f"), ("hset", "KEY", "f", "1"), ("hdel", "KEY", "f"),
        ("zadd", "KEY", "1", "m"), ("zrem", "KEY", "m"), ("zrange", "KEY", "0", "1"),
        ("zrangebyscore", "KEY", "0", "1"),
        ("publish", "CHANNEL", "1"), ("psubscribe", "CHANNEL"), ("punsubscribe", "CHANNEL"),
    ),
)  # fmt: skip
"""BROKER_URL where it is a Redis: Celery's queues, and the bodies of large messages."""

_OUTSIDE = ("watch", "unwatch")
"""Redis and Valkey refuse them within a transaction, whoever asks; alone they change nothing."""


def missing(client: redis.Redis, rights: Rights) -> list[str]:
    """What the client's user may not, in the words of an ACL (`+xadd`, `~naru:*`), in the order of `rights`.

    A transaction is begun and thrown away: the server judges each command when it is queued, and runs none. It asks for
    no right that the processes do not need themselves, as ACL DRYRUN would. redis.RedisError if the server is away.
    """
    channels = [one.format(db=client.get_connection_kwargs().get("db") or 0) for one in rights.channels]
    rights = replace(rights, channels=tuple(channels))
    connection = client.connection_pool.get_connection()
    try:
        if any(_refusal(connection, (word,)) for word in ("multi", "discard")):
            return ["+multi", "+discard"]
        outside = [command for command in rights.commands if command[0] in _OUTSIDE]
        found = _refused(connection, rights, outside)
        _refusal(connection, ("multi",))
        found += _refused(connection, rights, [one for one in rights.commands if one not in outside])
        for pattern in rights.keys:
            asked = _example(pattern)
            refusals = (_refusal(connection, words) for words in (("get", asked), ("set", asked, "1")))
            found += [f"~{pattern}"] if any(refused and not _is_of_command(refused) for refused in refusals) else []
        for channel in channels:
            refused = _refusal(connection, ("psubscribe", channel))
            found += [f"&{channel}"] if refused and not _is_of_command(refused) else []
        _refusal(connection, ("discard",))
        return found
    finally:
        client.connection_pool.release(connection)


def _refused(connection: Any, rights: Rights, commands: Iterable[tuple[str, ...]]) -> list[str]:
    """Which of these commands are refused for themselves, whatever their keys. EXEC is not
    asked: it would run what was queued."""
    examples = {"KEY": _example(rights.keys[0]), "CHANNEL": "".join(rights.channels[:1])}
    return [
        f"+{_name(command)}"
        for command in commands
        if command[0] not in ("multi", "exec", "discard")
        and _is_of_command(_refusal(connection, tuple(examples.get(word, word) for word in command)))
    ]


def _refusal(connection: Any, words: tuple[str, ...]) -> str:
    """Why the user may not, "" if it may; other errors are no matter of rights."""
    connection.send_command(*words)
    try:
        connection.read_response()
    except NoPermissionError as error:
        return str(error)
    except redis.ResponseError:
        pass
    return ""


def _is_of_command(refused: str) -> bool:
    """Redis and Valkey say which command; of a key or a channel they say only that it is one."""
    return " run the " in refused


def _name(command: tuple[str, ...]) -> str:
    return "|".join(command[:2]) if command[0] in _CONTAINERS else command[0]


def _example(pattern: str) -> str:
    return pattern.replace("*", "rights")
