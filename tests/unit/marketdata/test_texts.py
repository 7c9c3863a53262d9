"""Messages that are kept in English, and by language beside it."""

import pytest
from django.utils.translation import override

from marketdata.models import texts


@pytest.mark.parametrize(
    ("message", "kept", "korean"),
    [
        ("full", {"ko": "가득 참"}, "가득 참"), ("full", {"en": "full", "ko": "가득 참"}, "가득 참"),
        ("full", {}, "full"), ("full", None, "full"), ("full", {"en": "full"}, "full"),
        ("gone", {"en": "full", "ko": "가득 참"}, "gone"),  # written since, by somebody who knows of no texts
        ("", {"ko": "가득 참"}, ""), ("", {"en": "full", "ko": "가득 참"}, ""),
    ],
)  # fmt: skip
def test_a_message_is_told_in_another_language_if_the_texts_are_of_it(message, kept, korean):
    assert texts.others(message, kept) == ({"ko": korean} if korean != message else {})
    with override("ko"):
        assert texts.in_language(message, kept) == korean
    with override("en"):
        assert texts.in_language(message, kept) == message
