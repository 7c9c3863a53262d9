"""What actions note in the history of the administration is known by its words, and told in each language."""

import ast
from pathlib import Path

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.utils.translation import override

from api.admin import history, timetable
from marketdata import alarms

ROOT = Path(__file__).resolve().parents[4]
NOTING = ("log_change", "log_actions", "_changed", "_note", "note")
BUILT = ROOT / "marketdata/reference/openid_accounts.py"
"""Where what changed at a login is put into words; `api/views/openid.py` notes it."""
HANDED_ON = {
    ("api/admin/sheets.py", "_note"),  # of which every row has its own
    ("api/admin/timetable.py", "log_change"),  # names of actions, NOTED
    ("api/auth/logins.py", "log_actions"), ("api/views/account.py", "log_actions"),
    ("api/views/second_factor.py", "note"),
    ("api/views/openid.py", "note"),  # BUILT
}  # fmt: skip
"""Calls that note a text of elsewhere: what calls them has it, or as it says."""


def told(message, language="ko"):
    with override(language):
        return history.in_words(LogEntry(action_flag=CHANGE, change_message=message))


def messages(node):
    """The texts that an argument may be, with something in each place that is filled in."""
    match node:
        case ast.IfExp():
            return messages(node.body) | messages(node.orelse)
        case ast.JoinedStr():
            return {
                "".join(str(one.value) if isinstance(one, ast.Constant) else some for one in node.values)
                for some in ("True", "False")
            }
        case ast.Constant(value=str()):
            return {node.value}
    return set()


def parsed(path):
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def noted_in_code():
    """What is written among the arguments of whatever notes, and which calls have nothing written: (file, what is
    called)."""
    found, handed_on = set(), set()
    for path in (ROOT / "api").rglob("*.py"):
        for call in parsed(path):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in NOTING:
                given = (*call.args, *(one.value for one in call.keywords))
                texts = set().union(*map(messages, given))
                found |= texts
                if not texts:
                    handed_on.add((path.relative_to(ROOT).as_posix(), name))
    return found, handed_on


def test_every_note_of_the_code_is_known_and_every_known_one_is_in_the_code():
    noted, handed_on = noted_in_code()
    noted |= set(timetable.NOTED)
    built = set().union(*map(messages, parsed(BUILT)))

    assert handed_on == HANDED_ON
    assert {one for one in noted if told(one) == one} == set()
    forms = [(form, alarms.english(text)) for form, text in history._forms()]
    assert [text for form, text in forms if not any(map(form.fullmatch, noted | built))] == []


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
