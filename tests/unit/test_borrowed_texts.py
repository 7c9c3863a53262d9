"""What Django and django-celery-beat say in Korean: our corrections are of texts that they have, and no text is left
with a particle that fits only half of all words."""

import re
from pathlib import Path

import django
import django_celery_beat
import polib
import pytest
from django.utils import translation

from tests.unit.test_catalogues import keyed, placeholders

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "locale/django/ko/LC_MESSAGES/django.po"
SAID = [
    *(Path(django.__file__).parent / "contrib" / name for name in ("admin", "auth", "contenttypes")),
    Path(django.__file__).parent / "conf",
    Path(django_celery_beat.__file__).parent,
]
# Both forms at once, or one of them right behind what is filled in.
PARTICLE = re.compile(
    r"을/를|를/을|은/는|이/가|와/과|과/와|\(으\)로|을\(를\)|를\(을\)|이\(가\)|은\(는\)"
    r"|(?:%\(\w+\)[sdr]|%[sd]|\{\w*\})[\"'”’]?\s?(?:을|를|이|가|은|는|와|과|로|으로)(?![가-힣])"
)


def theirs():
    """Every text of theirs with its Korean, as they have it."""
    found: dict[str, list[str]] = {}
    for folder in SAID:
        for entry in polib.pofile(str(folder / "locale/ko/LC_MESSAGES/django.po")):
            found[keyed(entry.msgid, entry.msgctxt)] = [entry.msgstr, *entry.msgstr_plural.values()]
    return found


def ours():
    return {
        keyed(entry.msgid, entry.msgctxt): [entry.msgstr, *entry.msgstr_plural.values()]
        for entry in polib.pofile(str(OURS))
    }


def test_each_correction_is_of_a_text_that_there_is_and_fills_in_the_same():
    corrections = ours()

    assert sorted(set(corrections) - set(theirs())) == []
    wrong = {
        text: said
        for text, forms in corrections.items()
        for said in forms
        if said and not set(map(str, placeholders(said))) <= set(map(str, placeholders(text)))
    }
    assert wrong == {}


def test_no_text_is_left_with_a_particle_that_may_be_the_wrong_one():
    said = theirs() | ours()

    assert len(said) > 500
    assert {text: forms for text, forms in said.items() if any(map(PARTICLE.search, forms))} == {}


def test_the_compiled_corrections_are_those_of_the_source():
    compiled = {
        keyed(entry.msgid, entry.msgctxt): [entry.msgstr, *entry.msgstr_plural.values()]
        for entry in polib.mofile(str(OURS.with_suffix(".mo")))
    }

    assert compiled == ours()


@pytest.mark.parametrize(
    ("text", "korean"),
    [
        ("Select %s to change", "%s"),
        ("Select %s to view", "%s"),
        ("periodic task", "정기 작업"),
        ("This field is required.", "필수 항목입니다."),
    ],
)
def test_the_corrections_are_what_is_said(text, korean):
    with translation.override("ko"):
        assert translation.gettext(text) == korean
    with translation.override("en"):
        assert translation.gettext(text) == text
