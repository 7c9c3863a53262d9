"""Each reason of a gap that is known has its words, and one that is not is told as it was said."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from marketdata.ledger import gap_reasons
from terminals import wire

PROTOCOL = Path(__file__).resolve().parents[4] / "docs/protocol.md"


def test_every_reason_that_terminals_say_has_its_words():
    said = {value for name, value in vars(wire.gap_reasons).items() if name.isupper() and isinstance(value, str)}
    kinds = {kind.removesuffix(":") for kind in wire.OTHER_KINDS}

    assert len(said) > 10
    assert set(gap_reasons.WORDS) == said | kinds | {gap_reasons.LEDGER_HOLE}


def test_every_one_of_them_stands_in_the_protocol():
    part = PROTOCOL.read_text(encoding="utf-8").split("### 5.3 Gap")[1].split("### 5.4")[0]
    cells = [
        line.split(" | ")[0] for line in part.split("| reason | meaning |")[1].splitlines() if line.startswith("| `")
    ]

    named = {code for cell in cells for code in re.findall("`([a-z_]+)[:…`]", cell)}

    assert named | {gap_reasons.LEDGER_HOLE} == set(gap_reasons.WORDS)


@pytest.mark.parametrize(
    ("reason", "english", "korean"),
    [
        ("volume_hole", "trades are missing, by the volume of the day", "체결 누락(누적거래량 기준)"),
        (
            "book:disconnected",
            "order books alone, no trades: no connection to the source",
            "호가만 누락(체결은 정상): 소스와 연결 끊김",
        ),
        (
            "spool_damaged: batches 10 to 14",
            "the terminal's spool was damaged: batches 10 to 14",
            "단말 스풀 손상: 배치 10~14",
        ),
        (
            gap_reasons.of_ledger(5, 7, "0a1b"),
            "the ledger lacks batches, and no spool has them: batches 5 to 7 of epoch 0a1b",
            "원장에도 스풀에도 없는 배치: 에포크 0a1b의 배치 5~7",
        ),
        ("book:off at 10:04", "order books alone, no trades: off at 10:04", "호가만 누락(체결은 정상): off at 10:04"),
        ("lunch: 11:30 to 12:00", "lunch: 11:30 to 12:00", "lunch: 11:30 to 12:00"),
    ],
)
def test_a_reason_is_told_in_the_readers_language(reason, english, korean):
    told = {}
    for language in ("en", "ko"):
        with translation.override(language):
            told[language] = gap_reasons.words(reason)

    assert told == {"en": english, "ko": korean}
