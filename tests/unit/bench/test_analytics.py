from tests.bench import calibration, candles, picture
from tests.bench.analytics import __main__ as analytics
from tests.bench.analytics import indicators, page
from tests.indicator_reference import POLARS, TALIB


def test_the_last_line_has_each_indicator_beside_the_others(capsys):
    given = candles.Candles([candles.Case(20, "in order of time", 3, [1.0, 3.0, 2.0], [8.0])], 10, "1")

    told = analytics.summary(given, indicators.run(rows=3_000, turns=1))

    assert (told["candles_1m_ms"], told["polars_ms"], told["ratio"]) == (2.0, 8.0, 0.25)
    assert list(told["indicators_ms"]) == [*TALIB, *POLARS]
    assert (list(told["talib_ratio"]), list(told["polars_ratio"])) == (list(TALIB), list(POLARS))
    lines = capsys.readouterr().out
    assert (lines.count("TA-Lib"), lines.count("polars")) == (len(TALIB), len(POLARS))


def test_the_page_and_its_picture_have_each_figure_of_the_last_line():
    ratios, others = {"sma": 0.71, "rsi": 1.62}, {"vwap": 0.66}
    found = {
        "candles_1m_ms": 41.5, "polars_ms": 83.1, "ratio": 0.53,
        "indicators_ms": {"sma": 3.9, "rsi": 17.4, "vwap": 12.5}, "talib_ratio": ratios, "polars_ratio": others,
        "stats_symbols_per_s": {"1": 211.0, "2": 402.0}, "stats_cpu_ms": {"1": 4.1, "2": 4.3},
        "alert_ms_p50": 61.0, "alert_ms_p99": 187.0, "alert_commit_ms_p50": 33.0, "alert_commit_ms_p99": 97.0,
        "alert_batch_us": {"0": 7013.0, "10000": 11208.0}, "alert_look_us": {"0": 0.0, "10000": 4184.0},
        "page": {"kb_gzip": 191.4, "first_paint_ms": 316.2, "cpu_share": 0.103, "browser_cpu_share": 0.138},
    }  # fmt: skip
    moment = calibration.Calibration(processor_ms=100.0, memory_ms=50.0, load=0.5)
    whole = page.Whole("2026-11-28 09:00", 3.0, moment, moment, found)

    told = page.text(whole)
    for figure in ("0.53 ×", "| rsi | 17.4 | 1.62 | TA-Lib |", "| vwap | 12.5 | 0.66 | polars |",
                   "| 2 | 402 | 4.3 |", "| its commit | 33 | 97 |",
                   "| 10,000 | 11,208 | 4,184 |", "| 191 KB |", "| 316 ms |", "| 10% of a core |"):  # fmt: skip
        assert figure in told
    drawn = picture.draw(page.panels(found), caption=page.caption(whole))
    assert all(shown in drawn for shown in (">187<", ">4,184<", ">1.62<", ">0.66<", ">402<", ">42<"))
