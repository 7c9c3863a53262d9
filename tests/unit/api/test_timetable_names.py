"""Every entry of the timetable has a name for people, and no other has."""

from api.timetable_names import NAMES, shown
from celery_app import TIMETABLE


def test_every_entry_of_the_timetable_is_named_as_it_is_there():
    assert set(NAMES) == set(TIMETABLE)
    assert {name: str(words) for name, words in NAMES.items()} == {name: name for name in TIMETABLE}
    assert shown("an entry of somebody's") == "an entry of somebody's"
