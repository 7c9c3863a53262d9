import asyncio
import threading

import pytest
from django.core.signals import request_finished, request_started
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

from api.web.threads import Application

LARGE = b"x" * 200_000
begun, going_on, both_there = threading.Event(), threading.Event(), threading.Barrier(2)
places: list[tuple[str, str]] = []  # what happened, and on which thread


def note(what):
    places.append((what, threading.current_thread().name))


class Streamed(StreamingHttpResponse):
    def close(self):
        super().close()
        note("closed")


def whole(request):
    note("view")
    return HttpResponse(LARGE)


async def endless():
    while True:
        yield b"more"
        await asyncio.sleep(0)


async def broken():
    yield b"some"
    raise ZeroDivisionError


def held(request):
    begun.set()
    going_on.wait(300)
    note("ended")
    return HttpResponse()


def meeting(request):
    both_there.wait(300)
    return HttpResponse()


urlpatterns = [
    path("held", held),
    path("meeting", meeting),
    path("whole", whole),
    path("endless", lambda request: Streamed(endless())),
    path("broken", lambda request: Streamed(broken())),
]


@pytest.fixture
def application(settings):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    places.clear()

    def started(**given):
        note("started")

    def finished(**given):
        note("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    yield Application(threads=1)
    request_started.disconnect(started)
    request_finished.disconnect(finished)


async def ask(application, address, *, leaves_at=None):
    """The messages of an answer; the caller leaves once it has so many of them."""
    heard: list[dict[str, object]] = []
    given: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    given.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message):
        heard.append(message)
        if len(heard) == leaves_at:
            given.put_nowait({"type": "http.disconnect"})

    scope = {"type": "http", "method": "GET", "path": address, "query_string": b"", "headers": []}
    await asyncio.wait_for(application(scope, given.get, send), 300)
    return heard


async def test_a_request_is_begun_answered_and_ended_on_one_thread_and_sent_in_one_piece(application):
    heard = await ask(application, "/whole")

    assert [what for what, _ in places] == ["started", "view", "finished"]
    assert {thread for _, thread in places} == {"api-0_0"}
    assert [message["type"] for message in heard] == ["http.response.start", "http.response.body"]
    assert (heard[0]["status"], heard[1]["body"]) == (200, LARGE)


async def test_what_is_still_being_sent_ends_when_its_caller_leaves(application):
    heard = await ask(application, "/endless", leaves_at=5)

    assert [message.get("body") for message in heard[1:5]] == [b"more"] * 4
    assert [(what, thread) for what, thread in places if what in ("closed", "finished")] == [
        ("finished", "api-0_0"),
        ("closed", "api-0_0"),
    ]


async def test_an_answer_that_breaks_off_is_closed(application):
    with pytest.raises(ZeroDivisionError):
        await ask(application, "/broken")

    assert ("closed", "api-0_0") in places


async def test_the_thread_serves_the_next_one_after_each_of_them(application):
    for address, leaves_at in (("/endless", 3), ("/whole", None), ("/whole", 1)):
        assert (await ask(application, address, leaves_at=leaves_at))[0]["status"] == 200


async def test_a_thread_whose_request_was_given_up_is_lent_again_only_when_its_view_has_ended(settings):
    settings.ROOT_URLCONF, settings.MIDDLEWARE = __name__, []
    places.clear()
    begun.clear()
    going_on.clear()
    application = Application(threads=2)
    given_up = asyncio.ensure_future(ask(application, "/held"))
    assert await asyncio.to_thread(begun.wait, 60)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up

    try:
        for _ in range(3):
            await ask(application, "/whole")
        assert "ended" not in [what for what, _ in places]  # nobody waited for it
    finally:
        going_on.set()

    await asyncio.gather(ask(application, "/meeting"), ask(application, "/meeting"))
