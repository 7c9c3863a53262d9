"""Which figures make which grade, and what is said of them."""

import pytest
from django.utils import translation

from analytics.quality import grades
from analytics.quality.grades import Facts, Reason


def grade(**facts):
    return grades.grade(grades.reasons(Facts(**{"stored": 10_000, **facts})))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "A"),
        ({"stored": 0}, "D"),
        ({"stored": 0, "silent": True}, "A"),
        ({"held_up": True}, "D"),
        ({"refused": 10}, "B"),
        ({"refused": 11}, "C"),
        ({"gaps": 1}, "C"),
        ({"late": 1}, "B"),
        ({"voided": 1}, "B"),
        ({"session": 380, "lost": 1}, "B"),
        ({"session": 380, "lost": 19}, "C"),
        ({"session": 380, "lost": 190}, "D"),
        ({"compared": 19, "differing": 19}, "A"),
        ({"compared": 100, "differing": 5}, "A"),
        ({"compared": 100, "differing": 6}, "B"),
        ({"compared": 100, "differing": 21}, "C"),
        ({"clock_us": -2_000_001, "clock_most_us": 2_000_000}, "B"),
        ({"clock_us": 2_000_000, "clock_most_us": 2_000_000}, "A"),
        ({"clock_us": 9_000_000}, "A"),
    ],
)
def test_a_grade_follows_from_the_figures(facts, expected):
    assert grade(**facts) == expected


def test_the_worst_is_told_first_and_a_reason_survives_being_stored():
    found = grades.reasons(Facts(stored=10_000, refused=1, gaps=2, missing=7, held_up=True))

    assert [one.grade for one in found] == ["D", "C", "B"]
    stored = grades.from_json([one.as_json() for one in found])
    assert stored == found
    with translation.override("en"):
        assert [one.text for one in stored][1:] == ["gaps: 2, missing rows: 7", "refused rows: 1"]


def test_a_reason_of_another_version_is_left_out():
    assert grades.from_json([["B", "unheard_of", {}], ["B", "late", {"rows": 1}]]) == [Reason("B", "late", {"rows": 1})]


def test_each_reason_is_told_in_korean():
    with translation.override("en"):
        english = {code: str(text) for code, text in grades.TEXTS.items()}
    with translation.override("ko"):
        korean = {code: str(text) for code, text in grades.TEXTS.items()}
    assert [code for code in english if english[code] == korean[code]] == []


def test_an_a_without_a_session_says_that_no_minute_was_judged():
    found = grades.reasons(Facts(stored=7, hours=False))

    assert grades.grade(found) == "A"
    assert [one.text for one in found] == [
        "no minute was judged: the calendar has no session of this market on that day"
    ]
    assert [one.code for one in grades.reasons(Facts(stored=7, refused=7, hours=False))] == [
        "many_refused",
        "not_judged",
    ]
    assert grades.reasons(Facts(stored=7)) == []
