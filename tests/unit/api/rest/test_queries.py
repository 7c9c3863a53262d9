import pytest
from django.test import RequestFactory
from django.utils import translation
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from api.rest.queries import SymbolBarsQuery


def read(query):
    return SymbolBarsQuery.read(Request(RequestFactory().get(f"/?{query}")))


def test_nothing_of_one_request_is_left_in_the_next():
    first, second = read("limit=5&sort=desc&gaps=fill"), read("limit=7")

    assert (first["limit"], first["sort"], first["gaps"]) == (5, "desc", "fill")
    assert (second["limit"], second["sort"], second.get("gaps")) == (7, "asc", None)


def test_a_request_after_a_wrong_one_is_read_as_ever():
    with pytest.raises(ValidationError):
        read("limit=0")

    assert read("limit=1")["limit"] == 1


@pytest.mark.parametrize("languages", [("ko", "en"), ("en", "ko")])
def test_what_is_wrong_is_told_in_the_language_of_each_request(languages):
    told = {}
    for language in languages:
        with translation.override(language), pytest.raises(ValidationError) as caught:
            read("limit=10001")
        told[language] = str(caught.value)

    assert "Ensure this value is less than or equal to 10000." in told["en"]
    assert "10000" in told["ko"]
    assert "Ensure" not in told["ko"]
