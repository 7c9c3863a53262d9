"""The market as a whole: where each symbol of a feed stands by REST, what changed since a mark, and the page of it."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis as redis_client

from analytics import voids
from analytics.statistics import due, screener
from analytics.voids import Selection
from api import initials, market
from marketdata.models import Symbol
from marketdata.realtime import live_state, stats
from tests.integration.page_links import unlinked
from tests.integration.serving import and_leave, serving
from tests.integration.test_days import at, session
from tests.integration.test_page import fits, looked_at, shut_out
from tests.integration.test_statistics import taken
from tests.integration.test_stream_served import start_web, web
from tests.waiting import until

__all__ = ["serving", "web"]

NAMED = {"000660": ("나래전자", "kospi"), "005930": ("가람전자", "kospi"), "035420": ("다온통신", "kosdaq")}
# Rectangles of a treemap: whether they fill the box, the largest error of an area, and the longest of the first ones.
LAID = """async () => {
  const { nested, squarified } = await import("/static/api/market/treemap.js");
  const values = Array.from({ length: 4000 }, (_, at) => 1e12 / (at + 1) ** 1.3);
  const box = { x: 10, y: 20, width: 900, height: 600 };
  const found = squarified(values, box);
  const total = values.reduce((sum, one) => sum + one, 0);
  const area = (one) => one.width * one.height;
  const wrong = found.map((one, at) => Math.abs(area(one) / 540000 - values[at] / total));
  const ends = (one) => [one.x + one.width, one.y + one.height];
  const beyond = (one) => one.x < 9.99 || one.y < 19.99 || ends(one)[0] > 910.01 || ends(one)[1] > 620.01;
  const outside = found.filter(beyond);
  const before = (a, b) => ends(a)[0] <= b.x + 1e-6 || ends(a)[1] <= b.y + 1e-6;
  const apart = (a, b) => before(a, b) || before(b, a);
  const some = found.slice(0, 300);
  const overlapping = some.filter((one, at) => some.some((other, of) => of > at && !apart(one, other)));
  const long = found.slice(0, 200).map((one) => Math.max(one.width / one.height, one.height / one.width));
  const groups = [
    { key: "a", title: "A", rows: [1, 3, 0].map((turnover, at) => ({ symbol: String(at + 1), turnover })) },
    { key: "b", title: "B", rows: [{ symbol: "4", turnover: 12 }] },
    { key: "c", title: "C", rows: [] },
  ];
  const told = nested(groups, { x: 0, y: 0, width: 400, height: 300 }, 20);
  return {
    count: found.length, wrong: Math.max(...wrong), outside: outside.length, overlapping: overlapping.length,
    long: Math.max(...long), groups: told.groups.map((one) => [one.group.key, one.width, one.head]),
    tiles: told.tiles.map((one) => [one.row.symbol, one.x, one.y, one.width, Math.round(one.height)]),
    none: squarified([], box).length,
  };
}"""

FOUND = """async ([words, texts]) => {
  const { finder } = await import("/static/api/page/initials.js");
  return words.map((word) => texts.map(finder(word)));
}"""
WORDS = [*"ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅅㅅ전자", "etf(h)", "k.", "전ㅈ", "ㄱㄴ"]
TEXTS = ["가까나다따라마바빠사싸아자짜차카타파하", "힣", "깋낗", "삼성전자", "KODEX ETF(H)", "kx", "ㄱㄴ", "성삼전자"]


@pytest.fixture
def traded(serving):
    """Two days: 005930 rose since the close of the day before, 000660 fell, and 035420 traded on the second only."""
    for code, (name, category) in NAMED.items():
        Symbol.objects.filter(code=code).update(name=name, category=category)
    serving.commit(session(0))
    serving.commit(session(0, symbol="000660", add=3000))
    serving.commit(session(1, add=700))
    serving.commit(session(1, symbol="000660"))
    serving.commit(session(1, symbol="035420"))
    renewed()
    return serving


def renewed():
    """Whatever is due is computed, and a look shows it."""
    due.compute()
    market.forget()


def looked(serving, **query):
    return serving.read("/v2/stats/market/symbols", **query)


def test_every_symbol_of_the_newest_date_is_told_with_the_sums_of_its_group(traded):
    told = looked(traded)

    rows = {one["symbol"]: one for one in told["symbols"]}
    shown = traded.read("/v2/stats", symbols="000660,005930,035420")["stats"]
    assert rows.keys() == shown.keys()
    for code, row in rows.items():
        assert (row["name"], row["category"], row["market"]) == (*NAMED[code], "KRX")
        for name in ("open", "last", "change", "changeRate", "volume", "turnover", "trades"):
            assert row[name] == shown[code][name]
    assert (told["feed"], told["td"], told["whole"], told["gone"]) == ("krx", "2026-03-17", True, [])
    assert told["t"] == max(one["t"] for one in shown.values())
    changes = {code: one["changeRate"] for code, one in shown.items()}
    assert changes["005930"] > 0 > changes["000660"]
    assert changes["035420"] is None
    kosdaq, kospi = told["groups"]
    assert [(one["category"], one["symbols"], one["advancing"], one["declining"]) for one in (kosdaq, kospi)] == [
        ("kosdaq", 1, 0, 0), ("kospi", 2, 1, 1),
    ]  # fmt: skip
    assert kospi["turnover"] == shown["005930"]["turnover"] + shown["000660"]["turnover"]
    assert float(kospi["meanChange"]) == pytest.approx(float(changes["005930"] + changes["000660"]) / 2, abs=1e-7)
    weighted = sum(changes[code] * shown[code]["turnover"] for code in ("005930", "000660")) / kospi["turnover"]
    assert float(kospi["weightedChange"]) == pytest.approx(float(weighted), abs=1e-7)
    assert (kosdaq["breadth"], kosdaq["meanChange"], kosdaq["weightedChange"]) == (None, None, None)
    assert told["all"]["symbols"] == 3
    assert told["all"]["turnover"] == kospi["turnover"] + kosdaq["turnover"]
    assert (told["all"]["advancing"], told["all"]["declining"], told["all"]["unchanged"]) == (1, 1, 0)


def test_who_brings_a_mark_is_told_what_changed_since_by_any_process(traded, monkeypatch):
    first = looked(traded)
    nothing = looked(traded, since=first["mark"])
    assert (nothing["symbols"], nothing["whole"], nothing["mark"]) == ([], False, first["mark"])

    traded.commit(session(1, symbol="035420", add=300))
    renewed()  # so it is another process that answers
    second = looked(traded, since=first["mark"])
    assert ([one["symbol"] for one in second["symbols"]], second["whole"]) == (["035420"], False)
    assert second["symbols"] == [one for one in looked(traded)["symbols"] if one["symbol"] == "035420"]
    assert second["all"]["turnover"] > first["all"]["turnover"]

    voids.void(Selection(symbols=("000660",)), reason="wrong", by="boss")
    voids.announce()
    renewed()
    third = looked(traded, since=second["mark"])
    assert (third["gone"], third["whole"], third["all"]["symbols"]) == (["000660"], False, 2)

    monkeypatch.setattr(market, "KEEP_S", 0.0)
    traded.commit(session(2, add=700))
    due.compute()
    fourth = looked(traded, since=third["mark"])  # another date: what was known before counts no more
    assert ([one["symbol"] for one in fourth["symbols"]], fourth["whole"]) == (["005930"], True)
    Symbol.objects.filter(code="005930").update(name="가람")
    market.forget()
    assert looked(traded, since=fourth["mark"])["whole"]
    assert looked(traded, since="abc.00000000.7")["whole"]


def test_results_that_come_late_are_told_though_a_later_take_was_faster(traded):
    connection = live_state.connection()
    body = stats.results(connection, "krx")["005930"].body
    stats.mark(connection, "krx", ["005930"])
    slow = taken()
    stats.mark(connection, "krx", ["000660"])
    due.compute()
    market.forget()
    first = looked(traded)

    stats.settle(connection, "krx", slow, ["005930"], {"005930": body})
    market.forget()

    assert [one["symbol"] for one in looked(traded, since=first["mark"])["symbols"]] == ["005930"]


def test_the_market_is_told_from_the_database_while_redis_is_away(traded, monkeypatch):
    whole = looked(traded)

    def away(*_given):
        raise redis_client.ConnectionError("away")

    monkeypatch.setattr(stats, "put_since", away)
    monkeypatch.setattr(market, "KEEP_S", 0.0)
    assert looked(traded)["symbols"] == whole["symbols"]  # what the process knows
    market.forget()
    told = looked(traded, since=whole["mark"])  # and one that knows nothing
    assert (told["symbols"], told["mark"], told["whole"]) == (whole["symbols"], None, True)


@pytest.mark.once
def test_breadth_counts_shares_and_of_what_is_none_its_own_group_does(traded):
    def asked(**categories):
        for code, category in categories.items():
            Symbol.objects.filter(code=code[1:]).update(category=category)
        stats.mark(live_state.connection(), "krx", ["005930"])
        due.compute()
        live_state.connection().zadd(stats.MARKETS, {"krx": 0}, xx=True)  # its second is over
        renewed()
        return looked(traded), traded.read("/v2/stats/market")

    board, whole = asked(_005930="etf")
    etf, shares = board["groups"][0], board["all"]
    assert [(one["category"], one["shares"], one["advancing"]) for one in board["groups"]] == [
        ("etf", 0, 1), ("kosdaq", 1, 0), ("kospi", 1, 0),
    ]  # fmt: skip
    for told in (shares, whole):
        assert (told["symbols"], told["shares"], told["breadth"]) == (3, 2, -1)
        assert (told["advancing"], told["declining"], told["unchanged"]) == (0, 1, 0)
        assert told["turnover"] == sum(one["turnover"] for one in board["groups"])
    assert shares["meanChange"] == next(one for one in board["groups"] if one["category"] == "kospi")["meanChange"]
    assert etf["meanChange"] > 0 > shares["meanChange"]
    assert [one["symbol"] for one in whole["gainers"]] == ["005930"]

    board, whole = asked(_000660="futures", _035420="elw")
    for told in (board["all"], whole):
        assert (told["symbols"], told["shares"], told["advancing"], told["declining"]) == (3, 0, 1, 1)


@pytest.mark.once
def test_an_index_counts_in_no_sum_and_in_no_ranking_of_the_market(traded, monkeypatch):
    Symbol.objects.filter(code="005930").update(category="index")
    live_state.connection().zadd(stats.MARKETS, {"krx": 0}, xx=True)  # its second is over
    renewed()
    monkeypatch.setattr(screener, "_kept", None)

    told, whole = looked(traded), traded.read("/v2/stats/market")
    moved = traded.read("/v1beta1/screener/stocks/movers")
    active = traded.read("/v1beta1/screener/stocks/most-actives")["most_actives"]

    assert {one["symbol"] for one in told["symbols"]} == {one["symbol"] for one in active} == {"000660", "035420"}
    assert [one["category"] for one in told["groups"]] == ["kosdaq", "kospi"]
    assert (told["all"]["symbols"], told["all"]["advancing"], told["all"]["declining"]) == (2, 0, 1)
    assert (whole["symbols"], whole["advancing"], whole["declining"], whole["gainers"]) == (2, 0, 1, [])
    assert (moved["gainers"], [one["symbol"] for one in moved["losers"]]) == ([], ["000660"])
    assert "005930" in traded.read("/v2/stats", symbols="005930")["stats"]


@pytest.mark.once
def test_a_market_without_statistics_and_marks_that_are_none(serving):
    assert serving.get("/v2/stats/market/symbols").json()["code"] == 40410004
    assert serving.get("/v2/stats/market/symbols", feed="nobody").json()["code"] == 40410002
    for wrong in ("x", "1.2.3", "abc.00000000.", "abc.0.7"):
        assert serving.get("/v2/stats/market/symbols", since=wrong).status_code == 400


@pytest.mark.page
@pytest.mark.once
def test_the_page_of_the_market_shows_it_as_a_picture_lists_and_a_table(web, traded, road, chromium):
    wrong: list[str] = []
    Symbol.objects.filter(code="035420").update(category="etf")
    with (
        ThreadPoolExecutor(1) as aside,
        looked_at(chromium, f"http://{web}/market?feed=krx", wrong) as (page, expect),
    ):
        expect(page.locator("#all tr")).to_have_count(3)
        assert shut_out(page) == []
        laid = page.evaluate(LAID)
        assert (laid["count"], laid["outside"], laid["overlapping"], laid["none"]) == (4000, 0, 0, 0)
        assert laid["wrong"] < 1e-9
        assert laid["long"] < 4
        assert laid["groups"] == [["b", 300, 20], ["a", 100, 20]]
        assert [tile[:4] for tile in laid["tiles"]] == [
            ["4", 0, 20, 300], ["2", 300, 20, 100], ["1", 300, 230, 100],
        ]  # fmt: skip

        fits(page)
        expect(page.locator("#all tr")).to_have_count(3)
        page.set_viewport_size({"width": 1280, "height": 800})
        expect(page.locator("#count")).to_have_text("3 (2 shares)")
        expect(page.locator("#gainers tr")).to_have_count(1)
        expect(page.locator("#gainers")).to_contain_text("가람전자")
        expect(page.locator("#losers")).to_contain_text("▼")
        expect(page.locator("#rose")).to_have_text("1")
        expect(page.locator("#asof")).to_contain_text("2026-03-17")
        page.click("#fell")
        expect(page.locator("#fell")).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#all")).to_contain_text("▼")
        expect(page.locator("#all")).not_to_contain_text("▲")
        page.click("#fell")
        expect(page.locator("#all tr")).to_have_count(3)
        page.click('#groups button[data-key="KRX.etf"]')
        expect(page).to_have_url(re.compile(r"feed=krx&group=KRX\.etf&by=change$"))
        expect(page.locator("#all tr")).to_have_count(1)
        expect(page.locator("#count")).to_have_text("1")
        page.go_back()
        expect(page.locator("#all tr")).to_have_count(3)
        assert unlinked(page, but=("#found", "#asof")) == []
        expect(page.locator('#groups [tabindex="0"]')).to_have_count(1)
        page.focus('#groups [tabindex="0"]')
        for key in ("Home", "ArrowRight", "ArrowDown", "ArrowUp"):
            page.keyboard.press(key)
        expect(page.locator("#groups a:focus")).to_have_text("3")
        counts = page.locator('#groups a[data-by="name"], #groups a[data-way="rose"], #groups a[data-way="fell"]')
        assert counts.count() >= 9
        for place in range(counts.count()):
            told = int(counts.nth(place).inner_text())
            counts.nth(place).click()
            expect(page.locator("#all tr")).to_have_count(told)
        page.reload()  # the address has the last of them
        expect(page.locator("#all tr")).to_have_count(told)
        page.goto(f"http://{web}/market?feed=krx")
        expect(page.locator("#all tr")).to_have_count(3)
        page.click('#columns button[data-by="group"]')
        page.reload()  # in the same order
        expect(page.locator('#columns th:has([data-by="group"])')).to_have_attribute("aria-sort", "ascending")
        expect(page.locator("#all tr")).to_have_count(3)
        page.click('#columns button[data-by="change"]')
        expect(page.locator("#all tr").first).to_contain_text("가람전자")
        page.fill("#filter", "00066")
        expect(page.locator("#all tr")).to_have_count(1)
        page.fill("#filter", "ㄷㅇㅌ")
        expect(page.locator("#all tr")).to_have_count(1)
        expect(page.locator("#all")).to_contain_text("다온통신")
        assert page.evaluate(FOUND, [WORDS, TEXTS]) == [
            [re.search(initials.pattern(word.upper()) or re.escape(word.upper()), text.upper()) is not None
             for text in TEXTS]
            for word in WORDS
        ]  # fmt: skip
        page.fill("#filter", "")

        # By keys: the largest tile, and from it to each of the others.
        page.focus("#map")

        def come():
            page.keyboard.press("Home")
            return page.locator("#tile").inner_text()

        until(come, seconds=60, what="a tile")  # once there is a picture
        expect(page.locator("#tile")).to_contain_text(page.locator("#byvalue a span").first.inner_text())
        reached = set()
        for key in (
            "ArrowDown",
            "ArrowUp",
            "ArrowRight",
            "ArrowDown",
            "ArrowRight",
            "ArrowUp",
            "ArrowLeft",
            "ArrowDown",
        ):
            page.keyboard.press(key)
            reached.add(page.locator("#tile").inner_text().split(",")[0])
        assert reached == {"가람전자", "나래전자", "다온통신"}
        chosen = page.locator("#tile").inner_text().split(",")[0]
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"/\?feed=krx&symbol=\d{6}"))
        expect(page.locator("#name")).to_have_text(chosen)
        page.wait_for_selector('body[data-stream="live"]')
        page.go_back()
        expect(page.locator("#all tr")).to_have_count(3)

        page.hover('#groups button[data-key="KRX.etf"]')
        page.mouse.down()
        aside.submit(and_leave, lambda: (traded.commit(session(1, symbol="035420", add=300)), due.compute())).result()
        row = page.locator("#all tr").filter(has_text="다온통신")
        expect(row.locator("td").nth(1)).to_have_text("72,200")  # without a reload
        page.mouse.up()  # what was drawn meanwhile takes no press away
        expect(page.locator("#all tr")).to_have_count(1)
        page.click('#groups button[data-key=""]')
        expect(page.locator("#all tr")).to_have_count(3)

        # A server that is away is said, and what happened meanwhile is there once it is back.
        page.evaluate("window.untouched = true")
        road.kill("web")
        expect(page.locator("#link")).to_have_text("Disconnected")
        expect(page.locator("#away")).to_contain_text("figures as of")
        aside.submit(and_leave, lambda: (traded.commit(session(1, symbol="035420", add=400)), due.compute())).result()
        start_web(road, int(web.rpartition(":")[2]))
        expect(row.locator("td").nth(1)).to_have_text("72,300")
        expect(page.locator("#link")).not_to_have_text("Disconnected")
        assert page.evaluate("window.untouched")

        page.click("#byvalue a >> nth=0")
        expect(page).to_have_url(re.compile(r"/\?feed=krx&symbol=\d{6}"))
        page.wait_for_selector('body[data-stream="live"]')

        # From the open: 1 % up, 1 % down, and a fund down; none has a day before.
        first_day = [(70_000, 70_700), (50_000, 49_500), (60_000, 59_400)]
        rows = [
            {"time": at("10:00:00", 1) + second, "price": str(price), "size": "2", "symbol": code}
            for code, prices in zip(("000660", "005930", "035420"), first_day, strict=True)
            for second, price in enumerate(prices)
        ]
        aside.submit(and_leave, lambda: (traded.commit(rows, name="nxt"), renewed())).result()
        page.goto(f"http://{web}/market?feed=nxt")
        expect(page.locator("#gainers tr")).to_have_count(1)
        expect(page.locator("#gainers")).to_contain_text("▲ 1.00%")
        expect(page.locator("#losers")).to_contain_text("▼ 1.00%")
        expect(page.locator("#against")).to_contain_text("from the open")
        expect(page.locator("#fell")).to_have_text("1")
        page.goto(f"http://{web}/market?feed=nxt&group=KRX.none")  # of which there is nothing: the whole market
        expect(page.locator("#all tr")).to_have_count(3)
        page.click("#fell")
        expect(page.locator("#all tr")).to_have_count(1)  # as many as were counted

    assert [text for text in wrong if "ERR_" not in text] == []
