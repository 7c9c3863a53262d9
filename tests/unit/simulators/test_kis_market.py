import datetime

from tests.simulators.kis.market import KRX, KST, NXT, Market

NINE = datetime.datetime(2026, 11, 20, 9, 0, tzinfo=KST)


def test_the_same_seed_gives_the_same_market():
    def day(seed):
        market = Market(seed=seed, symbols=5)
        return [market.trade(market.choose(), NINE + datetime.timedelta(seconds=number)) for number in range(200)]

    assert day(7) == day(7)
    assert day(7) != day(8)


def test_the_figures_of_a_day_and_its_minutes_are_those_of_its_trades():
    market = Market(seed=1, symbols=1)
    stock = market.choose()

    trades = [market.trade(stock, NINE + datetime.timedelta(seconds=number)) for number in range(200)]

    day, prices = stock.day(KRX, NINE.date()), [one.price for one in trades]
    assert (day.open, day.high, day.low, day.last) == (prices[0], max(prices), min(prices), prices[-1])
    assert day.volume == sum(one.size for one in trades) == sum(one.volume for one in day.minutes.values())
    assert day.value == sum(one.price * one.size for one in trades) == sum(one.value for one in day.minutes.values())
    assert list(day.minutes) == ["0900", "0901", "0902", "0903"]
    assert stock.day(NXT, NINE.date()).volume == 0
    assert all(stock.lower <= one <= stock.upper for one in prices)


def test_a_book_keeps_to_the_limits_of_the_day():
    market = Market(seed=1, symbols=3)
    stock = market.choose()
    stock.price = stock.upper

    book = market.book(stock)

    assert [price for price, _volume in book.asks] == [0] * 10
    assert [price for price, _volume in book.bids] == sorted((price for price, _ in book.bids), reverse=True)
