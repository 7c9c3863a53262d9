"""What actions note in the history of the administration is known by its words, and told in each language."""

import ast
from pathlib import Path

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.utils.translation import override

from api.admin import history, timetable
from marketdata import alarms

API = Path(__file__).resolve().parents[4] / "api"


def told(message, language="ko"):
    with override(language):
        return history.in_words(LogEntry(action_flag=CHANGE, change_message=message))


def messages(node):
    """The texts that an argument may be, with something in each place that is filled in."""
    match node:
        case ast.IfExp():
            return messages(node.body) | messages(node.orelse)
        case ast.JoinedStr():
            return {"".join(str(one.value) if isinstance(one, ast.Constant) else "True" for one in node.values)}
        case ast.Constant(value=str()):
            return {node.value}
    return set()


def noted_in_code():
    """What is written as the last argument of whatever notes."""
    found = set()
    for path in API.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            if getattr(call.func, "attr", getattr(call.func, "id", "")) in ("log_change", "_changed", "_note", "note"):
                found |= set().union(*(messages(one) for one in call.args))
    return found


def test_every_note_of_the_code_is_known():
    noted = noted_in_code() | set(timetable.NOTED)

    assert len(noted) > 15
    assert {one for one in noted if told(one) == one} == set()


def test_a_note_is_found_by_its_words_alone_with_what_was_filled_in():
    for text in history.NOTES:
        noted = alarms.english(text).format(client="kis-1", count=3, hours=24, name="trader")
        with override("ko"):
            assert told(noted) == str(text).format(client="kis-1", count=3, hours=24, name="trader")
        assert told(noted, "en") == noted


@pytest.mark.parametrize(
    ("noted", "korean"),
    [
        ("released from 딜링룸 1", "딜링룸 1의 소유 해제"),
        ("restored 12 ticks", "틱 12건 되돌림"),
        ("symbols.csv:3 name 'a' → 'b'", "symbols.csv:3 name 'a' → 'b'"),
        ("", ""),
        ('[{"added": {}}]', "추가했습니다."),
    ],
)
def test_what_is_no_note_of_an_action_is_told_as_it_is(noted, korean):
    assert told(noted) == korean
