"""Conditions as people enter them: exact, and an error for each field that is wrong."""

import pytest

from analytics.alerts.judging.conditions import Condition, ConditionError, Direction, Kind, parameters, read


@pytest.mark.parametrize(
    ("kind", "given", "made"),
    [
        ("price", {"direction": "above", "level": "70000.5"},
         Condition(Kind.PRICE, Direction.ABOVE, 7_000_050_000_000)),
        ("price", {"direction": "crossing", "level": -1, "band": "0.00000001"},
         Condition(Kind.PRICE, Direction.CROSSING, -100_000_000, 1)),
        ("change", {"direction": "below", "level": "-5.25", "band": ""},
         Condition(Kind.CHANGE, Direction.BELOW, -52_500)),
        ("limit", {"direction": "below"}, Condition(Kind.LIMIT, Direction.BELOW)),
        ("volume", {"level": "3", "band": "0.5"}, Condition(Kind.VOLUME, Direction.ABOVE, 30_000, 5_000)),
        ("volume", {"level": "5", "minutes": "10"}, Condition(Kind.VOLUME, Direction.ABOVE, 50_000, minutes=10)),
        ("stale", {"seconds": "10"}, Condition(Kind.STALE, Direction.ABOVE, 10)),
        ("terminal", {"client": "kis-1", "seconds": 86400},
         Condition(Kind.TERMINAL, Direction.ABOVE, 86_400, subject="kis-1")),
        ("status", {"status": "halt"}, Condition(Kind.STATUS, Direction.ABOVE, 1, subject="halt")),
        ("gap", {"seconds": "0"}, Condition(Kind.GAP, Direction.ABOVE, 0)),
        ("queue", {"queue": "processed-data", "level": 500, "band": "100", "seconds": "30"},
         Condition(Kind.QUEUE, Direction.ABOVE, 30, 100, "processed-data", 500)),
        ("queue", {"queue": "backups", "level": "1", "band": "", "seconds": "10"},
         Condition(Kind.QUEUE, Direction.ABOVE, 10, 0, "backups", 1)),
        ("alarm", {"code": " disk_full"}, Condition(Kind.ALARM, Direction.ABOVE, 1, subject="disk_full")),
    ],
)  # fmt: skip
def test_numbers_are_exact_and_come_back_as_they_were_meant(kind, given, made):
    assert read(kind, given) == made
    assert read(kind, parameters(made)) == made


def test_a_condition_of_volume_is_told_without_a_direction():
    told = parameters(read("volume", {"level": "3.0"}))

    assert told == {"level": "3"}
    assert read("volume", told) == Condition(Kind.VOLUME, Direction.ABOVE, 30_000)


@pytest.mark.parametrize(
    ("kind", "given", "fields"),
    [
        ("nothing", {}, {"kind"}),
        ("price", [], {"parameters"}),
        ("price", {}, {"direction", "level"}),
        ("price", {"direction": "up", "level": 70000.5}, {"direction", "level"}),
        ("price", {"direction": "above", "level": "0.000000001"}, {"level"}),
        ("price", {"direction": "above", "level": "9999999999.5"}, {"level"}),
        ("price", {"direction": "above", "level": "1", "band": "-1"}, {"band"}),
        ("price", {"direction": "above", "level": "NaN"}, {"level"}),
        ("price", {"direction": "above", "level": "1", "percent": "3"}, {"parameters"}),
        ("price", {"direction": "above", "level": True}, {"level"}),
        ("change", {"direction": "crossing", "level": "5"}, {"direction"}),
        ("change", {"direction": "above", "level": "5.00001"}, {"level"}),
        ("limit", {"direction": "above", "level": "1"}, {"parameters"}),
        ("volume", {"level": "0"}, {"level"}),
        ("volume", {"level": "2", "minutes": "0"}, {"minutes"}),
        ("volume", {"level": "2", "minutes": "31"}, {"minutes"}),
        ("volume", {"level": "2", "minutes": "1.5"}, {"minutes"}),
        ("price", {"direction": "above", "level": "2", "minutes": "5"}, {"parameters"}),
        ("volume", {"level": "１２"}, {"level"}),
        ("stale", {"seconds": "9"}, {"seconds"}),
        ("stale", {"seconds": "86401", "level": "1"}, {"seconds", "parameters"}),
        ("stale", {"seconds": True}, {"seconds"}),
        ("stale", {"seconds": "60.5"}, {"seconds"}),
        ("terminal", {}, {"client", "seconds"}),
        ("terminal", {"client": "two words", "seconds": "60"}, {"client"}),
        ("alarm", {"code": ["disk_full"]}, {"code"}),
        ("alarm", {"code": "Disk!"}, {"code"}),
        ("status", {"status": "open"}, {"status"}),
        ("status", {"status": "vi", "band": "1"}, {"parameters"}),
        ("gap", {}, {"seconds"}),
        ("gap", {"seconds": "-1"}, {"seconds"}),
        (
            "queue",
            {"queue": "a queue", "level": "0", "band": "x", "seconds": "9"},
            {"queue", "level", "band", "seconds"},
        ),
        ("price", {"direction": ["above"], "level": {}}, {"direction", "level"}),
    ],
)
def test_what_is_wrong_is_named_by_field(kind, given, fields):
    with pytest.raises(ConditionError) as caught:
        read(kind, given)

    assert set(caught.value.fields) == fields
    assert all(caught.value.fields.values())
