from tests.bench import candles
from tests.bench.analytics import __main__ as analytics
from tests.bench.analytics import indicators
from tests.indicator_reference import TALIB


def test_the_last_line_has_each_indicator_beside_the_others(capsys):
    given = candles.Candles([candles.Case(20, "in order of time", 3, [1.0, 3.0, 2.0], [8.0])], 10, "1")

    told = analytics.summary(given, indicators.run(rows=3_000, turns=1))

    assert (told["candles_1m_ms"], told["polars_ms"], told["ratio"]) == (2.0, 8.0, 0.25)
    assert list(told["indicators_ms"]) == list(told["talib_ratio"]) == list(TALIB)
    assert capsys.readouterr().out.count("TA-Lib") == len(TALIB)
