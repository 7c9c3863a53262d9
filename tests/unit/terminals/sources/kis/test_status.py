"""Whatever is counted is shown to a monitor and told to the server."""

import dataclasses
import json
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from terminals.batcher import Row
from terminals.link import Address, Config, Identity, Terminal
from terminals.sources.kis.intake import Intake
from terminals.sources.kis.intake_items import PolledRows
from terminals.sources.kis.status import Metrics, Numbers
from terminals.wire import BODY_BYTES, Kind, new_secret

SHOWN_OTHERWISE = {"mode", "client", "run_s", "sessions", "calls"}


def numbered() -> Numbers:
    """Each number another one, each table one label."""
    values: dict[str, Any] = {}
    for place, field in enumerate(dataclasses.fields(Numbers)):
        if field.name not in SHOWN_OTHERWISE:
            values[field.name] = {"label": 1000 + place} if str(field.type).startswith("dict") else 1000 + place
    return Numbers("production", 1.0, **values)


def test_every_number_is_a_metric_and_part_of_the_status():
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics(numbered))

    samples = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]

    values = [float(line.rsplit(" ", 1)[1]) for line in samples]
    wanted = [value for name, value in dataclasses.asdict(numbered()).items() if name not in SHOWN_OTHERWISE]
    for value in wanted:
        assert values.count(float(value["label"] if isinstance(value, dict) else value)) == 1, value
    assert len(samples) == len({line.rsplit(" ", 1)[0] for line in samples})
    assert numbered().brief().keys() == {field.name for field in dataclasses.fields(Numbers)} - {"calls"} | {
        "sessions_left_out"
    }
    assert len(json.dumps(numbered().brief())) < BODY_BYTES / 2  # room for the sessions


def snapshot(**other: object) -> Row:
    return {"symbol": "005930", "time_us": 1, "kind": Kind.SNAPSHOT, "price": 10**8, **other}


def test_rows_that_fit_no_column_are_counted_apart_from_those_that_were_sent(tmp_path):
    identity = Identity("kis", new_secret(), "KIS", None)
    terminal = Terminal(Config(Address.parse("127.0.0.1:9"), identity, "krx", tmp_path / "spool"))
    intake = Intake(terminal, tmp_path / "kis")

    intake.process(PolledRows("krx", [snapshot(), snapshot(price=1.5), snapshot(), snapshot(size="many")]))
    intake.process(PolledRows("no feed", [snapshot()]))

    assert intake.counts.rows == {"snapshot": 2}
    assert intake.counts.unfit == 3
    terminal.close()
