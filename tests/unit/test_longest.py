"""The files of tests that begin first."""

from pathlib import Path

from tests import longest

ROOT = Path(__file__).parents[2]


def test_the_files_that_begin_first_are_there_and_named_once():
    assert longest.missing(ROOT) == []
    assert len(set(longest.FILES)) == len(longest.FILES)


def test_the_longest_file_begins_first_and_one_that_is_not_named_behind_all():
    named = [ROOT / file for file in longest.FILES]

    begun = sorted([Path(__file__), *reversed(named)], key=lambda file: longest.place(file, ROOT))

    assert begun == [*named, Path(__file__)]


def test_pytest_hands_the_files_out_in_this_order(request):
    assert request.config.getoption("loadscopereorder", None) in (False, None)  # None: without pytest-xdist
