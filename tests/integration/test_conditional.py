"""Pages of ticks and order books of a time that is over are sent once to who says what he has."""

import pytest

from tests.integration.serving import minute, serving
from tests.integration.test_api_resources import book, keep

__all__ = ["serving"]
END = "2026-03-17"
PAGES = [
    ("/v2/stocks/005930/trades", {}), ("/v2/stocks/trades", {"symbols": "005930,000660"}),
    ("/v2/stocks/005930/quotes", {}), ("/v2/stocks/quotes", {"symbols": "005930"}), ("/v2/orderbooks/005930", {}),
]  # fmt: skip


@pytest.fixture
def market(serving):
    fill(serving, 1)
    return serving


def fill(serving, at):
    """A trade, a quote and an order book of a minute."""
    serving.commit([minute(at)])
    serving.commit([minute(at, kind="quote", price=None, size=None, bid="1", bid_size="2")])
    keep(book(at))


def ask(market, path, query, **headers):
    return market.get(path, headers={**market.headers, **headers}, **query)


@pytest.mark.parametrize(("path", "query"), PAGES)
def test_a_page_of_a_time_that_is_over_is_sent_again_only_when_it_changed(market, path, query):
    query = {**query, "end": END}
    first = ask(market, path, query)
    tag = first["ETag"]
    assert first["Cache-Control"] == "private, no-cache"
    for held in (tag, f"W/{tag}", f'"other", {tag}'):
        same = ask(market, path, query, **{"If-None-Match": held})
        assert (same.status_code, same.content, same["ETag"]) == (304, b"", tag)
    assert ask(market, path, query, **{"If-None-Match": tag.strip('"')}).status_code == 200

    fill(market, 2)

    other = ask(market, path, query, **{"If-None-Match": tag})
    assert (other.status_code, len(other.content) > len(first.content)) == (200, True)
    assert other["ETag"] != tag


@pytest.mark.once
@pytest.mark.parametrize(("path", "query"), PAGES)
def test_a_page_to_which_more_may_come_and_one_in_another_form_has_none(market, path, query):
    whole = ask(market, path, {**query, "end": END})
    for more in ({}, {"end": "2099-01-01"}, {"end": END, "format": "csv"}):
        assert "ETag" not in ask(market, path, {**query, **more})
    assert ask(market, path, query).content == whole.content
    shown = ask(market, path, {**query, "end": END}, Accept="text/html", **{"If-None-Match": whole["ETag"]})
    assert (shown.status_code, "ETag" in shown) == (200, False)
