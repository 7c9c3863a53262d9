"""Who goes on when a server ends: the other nodes of the database's cluster, and the Sentinels that name a successor of
Redis. What is wrong with them costs nothing until they are needed, so nobody else notices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import redis
from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.doctor.findings import Finding, Level
from marketdata.realtime import redis_clients, redis_urls
from marketdata.storage import storage
from marketdata.storage.base import OtherNode


def database_nodes() -> Iterator[Finding]:
    """Whether the other nodes of a cluster can be asked, and have set what the one that is written to must have;
    nothing of a database alone."""
    nodes = storage().other_nodes()
    if not nodes:
        return
    vendor = storage().vendor
    silent = [node for node in nodes if node.trouble]
    told = [format_lazy("{address} ({trouble})", address=node.address, trouble=node.trouble) for node in silent]
    yield Finding(
        what=format_lazy(_("{database}: other nodes of the cluster"), database=vendor),
        value=_share(len(nodes) - len(silent), len(nodes), told), wanted=_("an answer of each"),
        level=Level.WARNING if silent else Level.OK,
        remedy=_(
            "start what is down; DATABASE_NODES names where each is reached from here. Until all answer no day is moved"
            " to history and nothing is dropped"
        ),
    )  # fmt: skip
    yield from _settings_of(vendor, nodes)
    yield Finding(
        what="CACHE_ENGINE", value=settings.CACHE_ENGINE, wanted="InnoDB",
        level=Level.OK if settings.CACHE_ENGINE == "InnoDB" else Level.ERROR,
        remedy=_("set CACHE_ENGINE=InnoDB: a table in memory is not replicated, so after a failover readers in SQL"
                 " find another one"),
    )  # fmt: skip


def _settings_of(vendor: str, nodes: list[OtherNode]) -> Iterator[Finding]:
    """One finding for each setting: which node has it otherwise."""
    asked = [node for node in nodes if node.flags]
    for place, flag in enumerate(asked[0].flags if asked else ()):
        wrong = [(node.address, node.flags[place]) for node in asked if not node.flags[place].is_right]
        words = [format_lazy("{address}: {value}", address=address, value=one.value) for address, one in wrong]
        level = Level.ERROR if flag.is_vital else Level.WARNING
        yield Finding(
            what=format_lazy(_("{database}: {setting} of the other nodes"), database=vendor, setting=flag.name),
            value=_listed(words) if wrong else flag.value, wanted=flag.wanted, level=level if wrong else Level.OK,
            remedy=flag.remedy,
        )  # fmt: skip


def sentinels() -> Iterator[Finding]:
    """Whether enough Sentinels answer to name a successor, agree on the master, and know who could be it; nothing of a
    URL that names none."""
    urls = {"REDIS_URL": settings.REDIS_URL, "BROKER_URL": settings.BROKER_URL}
    if urls["BROKER_URL"] == urls["REDIS_URL"]:
        del urls["BROKER_URL"]
    for name, url in urls.items():
        if redis_urls.is_watched(url):
            yield from _sentinels(name, url)


def _sentinels(name: str, url: str) -> Iterator[Finding]:
    master = redis_urls.watched(url).master
    told: list[dict[str, Any] | None] = []
    silent: list[str] = []
    fit: list[int] = []
    for address, client in redis_clients.sentinels(url):
        with client:
            try:
                masters: Any = client.sentinel_masters()
                told.append(masters.get(master))
                if master in masters:
                    replicas: Any = client.sentinel_slaves(master)
                    fit.append(sum(_is_fit(one) for one in replicas))
            except redis.RedisError as error:
                silent.append(f"{address} ({type(error).__name__})")
    known = [one for one in told if one is not None]
    number = max([len(told) + len(silent), *(one["num-other-sentinels"] + 1 for one in known)])
    needed = max([number // 2 + 1, *(one["quorum"] for one in known)])
    yield Finding(
        what=format_lazy(_("{name}: Sentinels"), name=name), value=_share(len(told), len(told) + len(silent), silent),
        wanted=format_lazy(_("an answer of each; {needed} of them name a successor"), needed=needed),
        level=Level.ERROR if len(told) < needed else Level.WARNING if silent else Level.OK,
        remedy=_("start those that are down: with too few of them nobody takes over when the master ends"),
    )  # fmt: skip
    if not told:
        return
    named = sorted({"" if one is None else f"{one['ip']}:{one['port']}" for one in told})
    yield Finding(
        what=format_lazy(_("{name}: the master by its Sentinels"), name=name),
        value=_listed([place or _("none") for place in named]), wanted=_("the same of each"),
        level=Level.OK if len(named) == 1 and named[0] else Level.ERROR,
        remedy=format_lazy(
            _("let each watch the same master under the name {master} (docker/redis/sentinel.conf)"), master=master
        ),
    )  # fmt: skip
    if fit:
        yield Finding(
            what=format_lazy(_("{name}: replicas that could take over"), name=name), value=str(min(fit)),
            wanted=_("one at least"), level=Level.OK if min(fit) else Level.WARNING,
            remedy=_("start the replica, or see by its log why it does not follow the master"),
        )  # fmt: skip


def _is_fit(replica: dict[str, Any]) -> bool:
    """Whether a Sentinel would choose it: there, following, and not told to stay a replica."""
    return (
        not (replica["is_sdown"] or replica["is_odown"] or replica["is_disconnected"])
        and replica["master-link-status"] == "ok"
        and int(replica["slave-priority"]) > 0
    )


def _share(answering: int, of: int, silent: Sequence[str | Promise]) -> str | Promise:
    """How many answer, and who does not."""
    share = f"{answering} / {of}"
    return format_lazy(_("{share}; no answer of {silent}"), share=share, silent=_listed(silent)) if silent else share


def _listed(words: Sequence[str | Promise]) -> Promise:
    return format_lazy(", ".join(["{}"] * len(words)), *words)
