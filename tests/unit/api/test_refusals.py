"""Each code of what lies aside or is missing has its words, in Korean as in English."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from api import refusals
from marketdata.types import reject_reasons

PROTOCOL = Path(__file__).resolve().parents[3] / "docs/protocol.md"


def test_every_reason_of_a_row_and_every_code_of_a_dead_letter_has_its_words():
    assert list(refusals.ROWS) != []
    assert set(refusals.ROWS) == set(reject_reasons.names(~0))
    assert set(refusals.BATCHES) == {*reject_reasons.LETTERS_AGAIN, "checksum_mismatch"}


def test_every_reason_of_a_gap_that_the_protocol_names_has_its_words():
    part = PROTOCOL.read_text(encoding="utf-8").split("### 5.3 Gap")[1].split("### 5.4")[0]
    cells = [
        line.split(" | ")[0] for line in part.split("| reason | meaning |")[1].splitlines() if line.startswith("| `")
    ]

    named = {code for cell in cells for code in re.findall("`([a-z_]+)[:…`]", cell)}

    assert named | {"ledger_hole"} == set(refusals.GAPS)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "the symbol is not registered, the time lies in the future, of_tomorrow"),
        ("ko", "등록되지 않은 종목, 미래의 시각, of_tomorrow"),
    ],
)
def test_reasons_are_told_in_the_readers_language_and_one_of_a_later_version_as_it_is(language, words):
    with translation.override(language):
        assert refusals.words("symbol_unknown time_future of_tomorrow") == words


def test_no_word_is_left_in_english_on_a_korean_page():
    with translation.override("ko"):
        assert [code for code, words in refusals.WORDS.items() if not re.search("[가-힣]", str(words))] == []
