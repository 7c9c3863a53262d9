"""Order books and statuses on the stream are those that were committed and that REST has."""

from tests.integration.processing import process
from tests.integration.serving import beside, commit, hub, serving
from tests.integration.test_worker_records import book, books, event, events
from tests.market import NINE_US

__all__ = ["hub", "serving"]


async def test_the_order_book_that_was_told_last_is_that_of_rest_and_statuses_come_as_they_were_told(serving, hub):
    async def heard_book(socket):
        """Waits until what is told is what REST says."""
        expected = await beside(lambda: serving.read("/v2/orderbooks/latest", symbols="005930")["orderbooks"]["005930"])
        while (await socket.until("o"))[-1] != {"T": "o", "S": "005930", **expected, "r": True}:
            pass
        return expected["b"]

    async with serving.socket() as socket:
        await socket.enter(serving)
        await commit(serving, [{}])
        await beside(lambda: process(books(book(), seq=101)))
        await socket.subscribe(orderbooks=["005930"], statuses=["*"])
        first = await heard_book(socket)
        await beside(
            lambda: process(
                books(book(time_us=NINE_US + 1, bids=((6_980_000_000_000, 1_000_000),)), seq=102),
                events(
                    event(event="halt", body={"halted": True}), event(event="index", symbol=None),
                    event(event="market_status", symbol=None, body={"state": "open"}), seq=103,
                ),
            )
        )  # fmt: skip
        told = [(await socket.until("s"))[-1] for _ in range(2)]
        await beside(lambda: process(books(book(time_us=NINE_US + 2), seq=104)))
        last = await heard_book(socket)

    assert [level["p"] for level in first] == [level["p"] for level in last] == [70000, 69900]
    assert [(one["S"], one["sc"], one["type"], one["body"]) for one in told] == [
        ("005930", "H", "halt", {"halted": True}), ("", "", "market_status", {"state": "open"}),
    ]  # fmt: skip
