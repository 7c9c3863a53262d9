"""REDIS_URL names one server or the Sentinels of a master; what it says is read once, and secrets are not shown."""

from pathlib import Path

import pytest

from marketdata.realtime import redis_urls


def test_sentinels_and_their_master_are_named_by_one_url():
    place = redis_urls.watched(
        "sentinel://naru:p%40ss%2F@a:26379,b,[fd00::5]:26380/3?master=market&sentinel_password=s"
    )

    assert place.sentinels == (("a", 26379), ("b", 26379), ("fd00::5", 26380))
    assert (place.master, place.db, place.tls) == ("market", 3, None)
    assert place.server_options() == {"db": 3, "username": "naru", "password": "p@ss/"}
    assert place.sentinel_options()["password"] == "s"
    assert "p@ss" not in repr(place)


def test_tls_goes_to_the_sentinels_and_to_the_servers():
    place = redis_urls.watched("sentinels://a/0?master=market&ssl_ca_certs=/etc/naru/ca.pem")

    for options in (place.server_options(), place.sentinel_options()):
        assert options["ssl"] is True
        assert options["ssl_ca_certs"] == "/etc/naru/ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://a:26379/0", "sentinel://?master=x", "sentinel://a:0/0?master=x", "sentinel://a/0?master=x&what=1",
        "sentinel://a/0?master=x&ssl_ca_certs=/x", "sentinel://a b/0?master=x", "sentinel://a/x?master=x",
        "redis://a/0?master=x", "sentinel://a,/0?master=x",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(url):
    with pytest.raises(ValueError):  # noqa: PT011 - the setting's own message says what is right
        redis_urls.watched(url)


def test_celery_is_given_each_sentinel_as_a_url_of_its_own():
    url = "sentinel://naru:p%40ss@a:1,[fd00::5]:2/3?master=market"

    assert redis_urls.for_celery(url) == "sentinel://naru:p%40ss@a:1/3;sentinel://naru:p%40ss@[fd00::5]:2/3"


def test_clients_are_made_in_one_place():
    root = Path(redis_urls.__file__).resolve().parents[2]
    words = ("Redis.from_url(", "redis.Redis(", "asyncio.Redis(", "StrictRedis(", "Sentinel(")
    makers = {
        path.relative_to(root).as_posix()
        for folder in ("marketdata", "analytics", "ingest", "fanout", "api")
        for path in (root / folder).rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in words)
    }

    assert makers == {"marketdata/realtime/redis_clients.py"}
