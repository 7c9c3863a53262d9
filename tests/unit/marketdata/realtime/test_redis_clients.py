"""A connection that only waits finds out that the host at its other end is gone."""

import socket

import pytest

from celery_app import broker_settings
from marketdata.realtime import redis_clients

URLS = ("redis://127.0.0.1:1/0", "sentinel://127.0.0.1:1/0?master=naru")
LONGEST_S = 10


@pytest.mark.parametrize("url", URLS)
def test_a_silent_host_is_found_dead_within_seconds(url):
    made = redis_clients.client(url, socket_keepalive=True)
    told = [made.connection_pool.connection_kwargs["socket_keepalive_options"]]
    told.append(broker_settings(url)["broker_transport_options"]["socket_keepalive_options"])

    for options in told:
        waits = options[socket.TCP_KEEPIDLE] + options[socket.TCP_KEEPINTVL] * options[socket.TCP_KEEPCNT]
        assert waits <= LONGEST_S
        assert options[socket.TCP_USER_TIMEOUT] <= LONGEST_S * 1000


def test_who_wants_no_keepalive_is_told_none():
    made = redis_clients.client(URLS[0])

    assert "socket_keepalive_options" not in made.connection_pool.connection_kwargs
