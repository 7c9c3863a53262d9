"""Initial consonants stand for the syllables that begin with them."""

import re

import pytest

from api import initials


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("ㅅㅅ", {"삼성전자", "삼성SDI"}),
        ("삼ㅅㅈ", {"삼성전자"}),
        ("ㄲ", {"까스통"}),
        ("ㄱ", {"가온", "깋"}),
        ("ㅎ", {"힣"}),
        ("S.ㄹ", set()),  # a point is a point
    ],
)
def test_a_consonant_finds_every_syllable_that_begins_with_it_and_no_other(word, found):
    names = {"삼성전자", "삼성SDI", "까스통", "가온", "깋", "힣", "SKㄹ", "LG"}
    pattern = initials.pattern(word)

    assert pattern is not None
    assert {name for name in names if re.search(pattern, name)} == found


@pytest.mark.parametrize("word", ["삼성", "005930", "S.", "ㅏ"])
def test_a_word_without_a_consonant_is_looked_for_as_it_is(word):
    assert initials.pattern(word) is None
