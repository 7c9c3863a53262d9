"""Indicators of the candles that the resource of bars gives for the same parameters: what was asked for, and the
reading of as many candles before them as their values rest on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.utils import translation
from django.utils.translation import gettext
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from analytics.indicators import candles, registry
from analytics.indicators.registry import BadParametersError, Indicator, Number, Parameter, UnknownIndicatorError
from analytics.indicators.rolling import Float64
from analytics.series.timeframes import Timeframe
from api.rest import errors, paging
from api.rest.fields import WholeNumberField
from api.rest.queries import Query, SymbolBarsQuery
from api.rest.ready import Question
from api.rest.timestamps import EARLIEST_US
from marketdata.storage import TickKey
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars

READINGS_OF_MINUTES, READINGS_OF_DAYS = 2, 6
"""How often candles before the page are read on: each reading ends with `paging.MOST_MINUTES` minutes, or with
`series_days.MOST_DATES` days."""
Chosen = list[tuple[Indicator, dict[str, Number]]]
"""Indicators, each with all its parameters."""


@extend_schema_field(OpenApiTypes.STR)
class NamesField(serializers.CharField):
    def to_internal_value(self, data: Any) -> Any:
        names = super().to_internal_value(data).split(",")
        try:
            found = [registry.named(name) for name in names]
        except UnknownIndicatorError as error:
            told = gettext("unknown indicator {name!r}; there are {names}")
            raise serializers.ValidationError(told.format(name=error.name, names=", ".join(registry.BY_NAME))) from None
        if len(set(names)) < len(names):
            raise serializers.ValidationError(
                gettext("an indicator is named twice: ask for it again in another request")
            )
        return found


@extend_schema_field(OpenApiTypes.NUMBER)
class NumberField(serializers.RegexField):
    """A number above 0 as 2 or 2.5."""

    def __init__(self, **options: Any) -> None:
        super().__init__(r"\A[0-9]{1,4}(?:\.[0-9]{1,8})?\Z", **options)

    def to_internal_value(self, data: Any) -> Any:
        return float(super().to_internal_value(data))


NAMES = f"one or several, separated by commas: {', '.join(registry.BY_NAME)}"


def _field(one: Parameter, told: str) -> serializers.Field[Any, Any, Any, Any]:
    kind = WholeNumberField if one.whole else NumberField
    return kind(required=False, help_text=told)


class WithIndicators(Query):
    """The names, and the parameters of each: `rsi.period`, or `period` where one is named alone."""

    name = NamesField(help_text=NAMES)

    def get_fields(self) -> Any:
        fields = super().get_fields()
        for indicator in registry.ALL:
            for one in indicator.parameters:
                told = f"{one.about}; {one.least} to {one.most}, default {one.default}"
                fields[f"{indicator.name}.{one.name}"] = _field(one, told)
                fields.setdefault(one.name, _field(one, "of the indicator, where one is named alone"))
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`name` becomes the indicators with their parameters. ValidationError, by field, for one that does not fit."""
        attrs = super().validate(attrs)
        named: list[Indicator] = attrs["name"]
        alone = {name: attrs.pop(name) for name in _PARAMETERS if name in attrs}
        given = {name: attrs.pop(name) for name in registry.BY_NAME if name in attrs}
        if alone and len(named) > 1:
            told = gettext("of which indicator? Write {name}").format(name=f"{named[0].name}.{next(iter(alone))}")
            raise serializers.ValidationError(dict.fromkeys(alone, told))
        for name in given.keys() - {one.name for one in named}:
            told = gettext("{name} is not asked for").format(name=name)
            raise serializers.ValidationError({f"{name}.{next(iter(given[name]))}": told})
        attrs["name"] = [(one, _checked(one, alone, given.get(one.name, {}))) for one in named]
        return attrs


class IndicatorsQuery(WithIndicators, SymbolBarsQuery):
    """Parameters of bars, and of the indicators."""


_PARAMETERS = list(dict.fromkeys(one.name for indicator in registry.ALL for one in indicator.parameters))


def _checked(one: Indicator, alone: dict[str, Number], given: dict[str, Number]) -> dict[str, Number]:
    for name in alone.keys() & given.keys():
        told = gettext("is given as {name}, too").format(name=f"{one.name}.{name}")
        raise serializers.ValidationError({name: told})
    try:
        return one.checked({**alone, **given})
    except BadParametersError as error:
        name = error.parameter
        told = translation.gettext(error.text).format(**error.values)
        raise serializers.ValidationError({name if name in alone else f"{one.name}.{name}": told}) from None


@dataclass(frozen=True, slots=True)
class IndicatorPage:
    """Candles in the order asked for, the values of each output as an array beside them, and where the page ended."""

    bars: Bars
    values: dict[str, Float64]
    next: TickKey | None


def read(asked: Question, chosen: Chosen) -> IndicatorPage:
    """A page of one series. Unprocessable if an indicator rests on more candles than are read for one."""
    page = paging.read_bars(
        asked.series, asked.timeframe, after=asked.after, limit=asked.limit,
        ascending=asked.ascending, fill=asked.fill, session=asked.session,
    )  # fmt: skip
    if not page.found:
        return IndicatorPage(minute_bars.empty(asked.series[0].feed), _none(chosen), page.next)
    ((_, shown),) = page.found
    bars = shown if asked.ascending else shown.take(slice(None, None, -1))
    earlier = _earlier(asked, bars, chosen)
    inputs = candles.inputs(minute_bars.joined([earlier, bars]), asked.timeframe)
    values = {}
    for indicator, params in chosen:
        for name, found in indicator.values(inputs, params).items():
            of_page = found[len(earlier) :]
            values[name] = of_page if asked.ascending else of_page[::-1]
    return IndicatorPage(shown, values, page.next)


def _none(chosen: Chosen) -> dict[str, Float64]:
    return {name: np.zeros(0) for indicator, _ in chosen for name in indicator.outputs}


def _earlier(asked: Question, bars: Bars, chosen: Chosen) -> Bars:
    """The candles before these that their values rest on, oldest first, as far as there are any."""
    wanted = max(indicator.history(params) for indicator, params in chosen)
    anchored = any(indicator.anchored for indicator, _ in chosen)
    if not wanted and not anchored:
        return bars.take(slice(0, 0))
    (one,) = asked.series
    before = replace(one, first_us=EARLIEST_US, last_us=int(bars.time_us[0]) - 1)
    anchor = candles.anchors(bars.take(slice(0, 1)), asked.timeframe)
    limit = max(wanted, candles.most_of_anchor(asked.timeframe) if anchored else 0)
    parts: list[Bars] = []
    key: TickKey | None = None
    have = 0
    for _ in range(READINGS_OF_MINUTES if isinstance(asked.timeframe, Timeframe) else READINGS_OF_DAYS):
        page = paging.read_bars(
            [before], asked.timeframe, after=key, limit=max(limit - have, 1),
            ascending=False, fill=asked.fill, session=asked.session,
        )  # fmt: skip
        parts += (found for _, found in page.found)
        have, key = sum(map(len, parts)), page.next
        reached = not anchored or (have > 0 and candles.anchors(parts[-1], asked.timeframe)[-1] != anchor[0])
        if key is None or (have >= wanted and reached):
            return minute_bars.joined(parts).take(slice(None, None, -1)) if parts else bars.take(slice(0, 0))
    raise errors.Unprocessable({"timeframe": _too_far(chosen, asked.timeframe.name, wanted)})


def _too_far(chosen: Chosen, timeframe: str, wanted: int) -> str:
    names = ", ".join(indicator.name for indicator, _ in chosen)
    told = gettext(
        "{names} of {timeframe} rests on {candles} candles before the first: more than are read for one answer"
    )
    return told.format(names=names, timeframe=timeframe, candles=wanted)


def described(indicators: Iterable[Indicator] = registry.ALL) -> list[dict[str, Any]]:
    """What can be asked for, as JSON."""
    return [
        {
            "name": one.name,
            "title": one.title,
            "overlay": one.overlay,
            "parameters": [
                {name: getattr(parameter, name) for name in ("name", "default", "least", "most", "whole", "about")}
                for parameter in one.parameters
            ],
            "inputs": list(one.inputs),
            "values": list(one.outputs),
            "ascending": list(one.ascending or ()),
            "warm_up": one.warm_up(one.defaults),
        }
        for one in indicators
    ]  # fmt: skip
