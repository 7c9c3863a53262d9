"""Which indicators there are: the one list that REST, its schema, the documentation and the tests are made from.

Values rest on bars that follow each other; minutes in which nothing was traded have no bar and count for nothing. A bar
of which an input is no finite number has no value, and the indicator begins anew behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from analytics.indicators import averages, bands, directional, ichimoku, oscillators, rolling, volumes
from analytics.indicators.rolling import Float64
from analytics.indicators.volumes import Int64

INPUTS = ("high", "low", "close", "volume", "price", "anchor")
"""What indicators are made of. `price` is the average price of what was traded in a bar, `anchor` a whole number that
changes where sums begin anew."""
FORGOTTEN = 1e-12
"""How much of a difference before the bars that `Indicator.history` asks for is left in a value."""

Number = int | float
Params = Mapping[str, Number]


class UnknownIndicatorError(ValueError):
    """There is none of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown indicator {name!r}; there are {', '.join(BY_NAME)}")
        self.name = name


class BadParametersError(ValueError):
    """A parameter of an indicator that is none of its own or out of its bounds; `parameter` is its name. The message is
    in English; of `text`, filled in with `values`, the catalogue has the Korean."""

    def __init__(self, parameter: str, text: str, **values: Number | str) -> None:
        super().__init__(text.format(**values))
        self.parameter, self.text, self.values = parameter, text, values


def _(text: str) -> str:
    """Marks a text for the catalogue, in which others look: this is arithmetic."""
    return text


class State(Protocol):
    """An indicator after some bars."""

    @property
    def next(self) -> Callable[..., tuple[float, ...]]:
        """`next(*inputs, keep)` gives the values at one more bar, which with `keep` is final: the next call is of the
        bar behind it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that can be chosen, within bounds that are included. It is a whole number unless `whole` is false."""

    name: str
    default: Number
    least: Number
    most: Number
    about: str
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One indicator. `compute` takes arrays in the order of `inputs` and gives arrays in that of `outputs`, `state` is
    the same for the newest bar.

    `warm_up` tells how many bars come before the first with every value; `settling`, how many more it takes until what
    came before the first bar has left FORGOTTEN of its influence at most (0: none at all after the warm-up).
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    overlay: bool
    compute: Callable[..., Any]
    state: Callable[..., State]
    warm_up: Callable[[Params], int]
    settling: Callable[[Params], int] = lambda _params: 0
    ascending: tuple[str, str] | None = None
    """Two parameters of which the first must be the smaller."""

    @property
    def anchored(self) -> bool:
        """Whether a value rests on all bars of its anchor."""
        return "anchor" in self.inputs

    @property
    def defaults(self) -> dict[str, Number]:
        """Its parameters where nothing else is asked for."""
        return {one.name: one.default for one in self.parameters}

    def checked(self, given: Params) -> dict[str, Number]:
        """All its parameters, with those given. BadParametersError for one that it does not have or that is out of
        bounds."""
        params = self.defaults
        known = {one.name: one for one in self.parameters}
        for name, value in given.items():
            if name not in known:
                if not known:
                    raise BadParametersError(
                        name, _("{name} has no parameter {wrong!r}; it has none"), name=self.name, wrong=name
                    )
                text = _("{name} has no parameter {wrong!r}; it has {names}")
                raise BadParametersError(name, text, name=self.name, wrong=name, names=", ".join(known))
            one = known[name]
            if not one.least <= value <= one.most or (one.whole and value != int(value)):
                text = _("must be a number from {least} to {most}")
                if one.whole:
                    text = _("must be a whole number from {least} to {most}")
                raise BadParametersError(name, text, least=one.least, most=one.most)
            params[name] = int(value) if one.whole else float(value)
        if self.ascending is not None:
            less, more = self.ascending
            if params[less] >= params[more]:
                raise BadParametersError(
                    less, _("must be below {name}, which is {value}"), name=more, value=params[more]
                )
        return params

    def history(self, params: Params) -> int:
        """How many bars before the first one shown are read; beside them, what is missing of its anchor."""
        return self.warm_up(params) + self.settling(params)

    def values(self, inputs: Mapping[str, Float64 | Int64], params: Params) -> dict[str, Float64]:
        """Each output as an array as long as the inputs, which are arrays by name (those of `inputs` at least)."""
        columns = [inputs[name] for name in self.inputs]
        finite = np.logical_and.reduce([np.isfinite(column) for column in columns])
        rows = len(finite)
        if finite.all():
            return dict(zip(self.outputs, self._compute(columns, params), strict=True))
        found = {name: rolling.nothing(rows) for name in self.outputs}
        steps = np.diff(finite.astype(np.int8), prepend=0, append=0)
        for start, end in zip(np.flatnonzero(steps > 0).tolist(), np.flatnonzero(steps < 0).tolist(), strict=True):
            part = self._compute([column[start:end] for column in columns], params)
            for name, values in zip(self.outputs, part, strict=True):
                found[name][start:end] = values
        return found

    def _compute(self, columns: Sequence[Float64 | Int64], params: Params) -> Sequence[Float64]:
        made = self.compute(*columns, **params)
        return made if isinstance(made, tuple) else (made,)


class Newest:
    """An indicator that follows a series bar by bar: equal to `Indicator.values` of all bars so far, at a cost that
    does not grow with their number."""

    def __init__(self, indicator: Indicator, params: Params) -> None:
        self._indicator, self._params = indicator, params
        self._state = indicator.state(**params)

    def update(self, bar: Mapping[str, float]) -> tuple[float, ...]:
        """The values of the newest bar, which is not finished: call it as often as the bar changes."""
        return self._next(bar, keep=False)

    def step(self, bar: Mapping[str, float]) -> tuple[float, ...]:
        """The values of a finished bar; the next call is of the bar behind it."""
        return self._next(bar, keep=True)

    def _next(self, bar: Mapping[str, float], *, keep: bool) -> tuple[float, ...]:
        inputs = [bar[name] for name in self._indicator.inputs]
        if all(map(math.isfinite, inputs)):
            return self._state.next(*inputs, keep)
        if keep:
            self._state = self._indicator.state(**self._params)
        return (math.nan,) * len(self._indicator.outputs)


def _forgets(weight: float) -> int:
    """After how many steps of an exponential average FORGOTTEN is left of what was before."""
    return 0 if weight >= 1 else math.ceil(math.log(FORGOTTEN) / math.log1p(-weight))


def _ema(period: Number) -> int:
    return _forgets(averages.weight_of(int(period)))


def _wilder(period: Number) -> int:
    return _forgets(1 / period)


def _period(default: int, *, least: int = 1, most: int = 500) -> Parameter:
    return Parameter("period", default, least, most, "bars")


def _wilder_period() -> Parameter:
    return _period(14, least=2, most=250)


def _span(name: str, default: int, about: str, *, least: int = 1, most: int = 500) -> Parameter:
    return Parameter(name, default, least, most, about)


def _deviations(default: float) -> Parameter:
    return Parameter("deviations", default, 0, 10, "standard deviations from the middle to a band", whole=False)


def _whole_window(params: Params) -> int:
    return int(params["period"]) - 1


def _with_one_before(params: Params) -> int:
    return int(params["period"])


ALL = (
    Indicator(
        name="sma", title="Simple moving average", inputs=("close",), outputs=("sma",), overlay=True,
        parameters=(_period(20),), compute=averages.sma, state=averages.Sma, warm_up=_whole_window,
    ),
    Indicator(
        name="ema", title="Exponential moving average", inputs=("close",), outputs=("ema",), overlay=True,
        parameters=(_period(20),), compute=averages.ema, state=averages.Ema, warm_up=_whole_window,
        settling=lambda params: _ema(params["period"]),
    ),
    Indicator(
        name="wma", title="Weighted moving average", inputs=("close",), outputs=("wma",), overlay=True,
        parameters=(_period(20),), compute=averages.wma, state=averages.Wma, warm_up=_whole_window,
    ),
    Indicator(
        name="bbands", title="Bollinger bands", inputs=("close",), overlay=True,
        outputs=("bbands_upper", "bbands_middle", "bbands_lower"), parameters=(_period(20), _deviations(2.0)),
        compute=bands.bollinger, state=bands.Bollinger, warm_up=_whole_window,
    ),
    Indicator(
        name="vwap", title="Volume-weighted average price", inputs=("price", "volume", "anchor"), overlay=True,
        outputs=("vwap_upper", "vwap", "vwap_lower"), parameters=(_deviations(1.0),),
        compute=volumes.vwap, state=volumes.Vwap, warm_up=lambda _params: 0,
    ),
    Indicator(
        name="ichimoku", title="Ichimoku Kinko Hyo", inputs=("high", "low", "close"), overlay=True,
        outputs=("tenkan", "kijun", "senkou_a", "senkou_b", "chikou"),
        parameters=(
            _span("conversion", 9, "bars of tenkan"), _span("base", 26, "bars of kijun"),
            _span("span", 52, "bars of senkou B"),
            _span("displacement", 26, "bars, itself included, that spans lie ahead"),
        ),
        compute=ichimoku.ichimoku, state=ichimoku.Ichimoku,
        warm_up=lambda params: int(
            max(params["conversion"], params["base"], params["span"]) + params["displacement"] - 2
        ),
    ),
    Indicator(
        name="rsi", title="Relative strength index", inputs=("close",), outputs=("rsi",), overlay=False,
        parameters=(_wilder_period(),), compute=oscillators.rsi, state=oscillators.Rsi, warm_up=_with_one_before,
        settling=lambda params: _wilder(params["period"]),
    ),
    Indicator(
        name="macd", title="Moving average convergence/divergence", inputs=("close",), overlay=False,
        outputs=("macd", "macd_signal", "macd_histogram"),
        parameters=(
            _span("fast", 12, "bars of the faster average"), _span("slow", 26, "bars of the slower average", least=2),
            _span("signal", 9, "values of the signal line"),
        ),
        compute=oscillators.macd, state=oscillators.Macd, ascending=("fast", "slow"),
        warm_up=lambda params: int(params["slow"] + params["signal"] - 2),
        settling=lambda params: _ema(params["slow"]) + _ema(params["signal"]),
    ),
    Indicator(
        name="stoch", title="Stochastic oscillator", inputs=("high", "low", "close"), overlay=False,
        outputs=("stoch_k", "stoch_d"),
        parameters=(
            _period(14), _span("smooth", 3, "values that %K is averaged over"),
            _span("signal", 3, "values that %D is averaged over"),
        ),
        compute=oscillators.stochastic, state=oscillators.Stochastic,
        warm_up=lambda params: int(params["period"] + params["smooth"] + params["signal"] - 3),
    ),
    Indicator(
        name="cci", title="Commodity channel index", inputs=("high", "low", "close"), outputs=("cci",), overlay=False,
        parameters=(_period(20, least=2),), compute=oscillators.cci, state=oscillators.Cci, warm_up=_whole_window,
    ),
    Indicator(
        name="atr", title="Average true range", inputs=("high", "low", "close"), outputs=("atr",), overlay=False,
        parameters=(_wilder_period(),), compute=directional.atr, state=directional.Atr, warm_up=_with_one_before,
        settling=lambda params: _wilder(params["period"]),
    ),
    Indicator(
        name="adx", title="Average directional movement index", inputs=("high", "low", "close"), overlay=False,
        outputs=("adx", "plus_di", "minus_di"), parameters=(_wilder_period(),),
        compute=directional.adx, state=directional.Adx, warm_up=lambda params: int(2 * params["period"] - 1),
        settling=lambda params: 2 * _wilder(params["period"]),
    ),
    Indicator(
        name="obv", title="On-balance volume", inputs=("close", "volume", "anchor"), outputs=("obv",), overlay=False,
        parameters=(), compute=volumes.obv, state=volumes.Obv, warm_up=lambda _params: 0,
    ),
    Indicator(
        name="mfi", title="Money flow index", inputs=("high", "low", "close", "volume"), outputs=("mfi",),
        overlay=False, parameters=(_period(14, least=2),), compute=volumes.mfi, state=volumes.Mfi,
        warm_up=_with_one_before,
    ),
)  # fmt: skip
BY_NAME = {one.name: one for one in ALL}


def named(name: str) -> Indicator:
    """The indicator of this name; UnknownIndicatorError names all there are."""
    if name not in BY_NAME:
        raise UnknownIndicatorError(name)
    return BY_NAME[name]
