"""Each code of what lies aside or is missing has its words, in Korean as in English."""

import re

import pytest
from django.utils import translation

from api import refusals
from marketdata.types import reject_reasons


def test_every_reason_of_a_row_and_every_code_of_a_dead_letter_has_its_words():
    assert list(refusals.ROWS) != []
    assert set(refusals.ROWS) == set(reject_reasons.names(~0))
    assert set(refusals.BATCHES) == {*reject_reasons.LETTERS_AGAIN, "checksum_mismatch"}


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
