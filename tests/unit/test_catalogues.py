"""Texts for people are English in the code and Korean in the catalogues, never both in one string."""

import ast
import os
import re
import string
import subprocess
import sys
from pathlib import Path

import django
import polib
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("analytics", "api", "fanout", "ingest", "marketdata")
CATALOGUES = {
    "server": ROOT / "locale/ko/LC_MESSAGES/django.po",
    "page": ROOT / "locale/ko/LC_MESSAGES/djangojs.po",
    "terminals": ROOT / "terminals/locale/ko/LC_MESSAGES/django.po",
}
CALLS = ("_", "gettext", "gettext_lazy")
CALLED = re.compile(r"\b(?:_|gettext|gettext_lazy)\s*\(", re.ASCII)
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
WRITTEN = re.compile(rf"{HANGUL.pattern}|\\[uUN]")  # as such, or escaped
# Korean that is no text of the interface: headings and words of files, names of the simulated market and of indices, a
# language.
DATA = (
    "marketdata/management/commands/addsymbols.py",
    "terminals/sources/market.py",
    "analytics/statistics/indices.py",
    "marketdata/reference/sheets.py",
    "marketdata/settings.py",
)


def sources(*folders, having):
    """Every module of these folders that has such words in it, with its tree; but migrations, which keep what they
    once said."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            code = path.read_text(encoding="utf-8")
            if "migrations" not in path.parts and having.search(code):
                yield path.relative_to(ROOT).as_posix(), ast.parse(code)


def texts_in_code(*folders):
    """What the modules look up, each with one place where they do."""
    found: dict[str, str] = {}
    for path, tree in sources(*folders, having=CALLED):
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CALLS:
                text, place = call.args[0], f"{path}:{call.lineno}"
                assert isinstance(text, ast.Constant), f"{place}: the text must stand there whole"
                assert isinstance(text.value, str), place
                found.setdefault(text.value, place)
    return found


def texts_in_templates():
    """What the templates look up, as the catalogue has it: `{{ this }}` of a block is %(this)s there."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "api/templates").rglob("*.html")):
        content = path.read_text(encoding="utf-8")
        words = re.findall(r'{% translate "(.*?)"(?: context "(.*?)")? %}', content)
        blocks = re.findall(r"{% blocktranslate[^%]*%}(.*?){% endblocktranslate %}", content, re.DOTALL)
        texts = [keyed(text, context) for text, context in words]
        texts += [re.sub(r"{{ (\w+) }}", r"%(\1)s", block) for block in blocks]
        found |= dict.fromkeys(texts, path.relative_to(ROOT).as_posix())
    return found


def texts_in_scripts():
    """What the page's scripts look up."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "api/static/api").glob("*/*.js")):
        if path.parent.name == "vendor":
            continue
        content = path.read_text(encoding="utf-8")
        texts = re.findall(r'\bgettext\(\s*"([^"]*)"\s*\)', content)
        assert len(texts) == content.count("gettext("), f"{path}: each text must stand there whole, in double quotes"
        found |= dict.fromkeys(texts, path.relative_to(ROOT).as_posix())
    return found


def keyed(text, context):
    """As gettext tells two texts apart that are the same word."""
    return f"{context}\4{text}" if context else text


def placeholders(text):
    """Names of {these} with their format and of %(those)s, each as often as it occurs."""
    braces = []
    if not text.lstrip().startswith("{") or "}" in text:
        plain = re.sub(r'\{"[^}]*\}', "", text)  # JSON in an explanation
        braces = [
            f"{name}!{conversion}:{form}" for _, name, form, conversion in string.Formatter().parse(plain) if name
        ]
    return sorted(braces + re.findall(r"%\((\w+)\)(.)", text) + re.findall(r"%[sd]", text), key=str)


USED = {
    "server": lambda: texts_in_code(*PACKAGES) | texts_in_templates(),
    "page": texts_in_scripts,
    "terminals": lambda: texts_in_code("terminals"),
}


@pytest.mark.parametrize("catalogue", USED)
def test_every_text_of_the_code_has_a_korean_one_and_no_other_is_kept(catalogue):
    known = {keyed(entry.msgid, entry.msgctxt): entry for entry in polib.pofile(str(CATALOGUES[catalogue]))}
    used = USED[catalogue]()

    assert {text: place for text, place in used.items() if text not in known} == {}
    assert sorted(set(known) - set(used)) == []
    assert [text for text, entry in known.items() if not entry.translated() or entry.fuzzy] == []


@pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES)
def test_a_translation_fills_in_what_the_text_fills_in(catalogue):
    entries = polib.pofile(str(catalogue))

    assert entries
    assert [one.msgid for one in entries if placeholders(one.msgid) != placeholders(one.msgstr)] == []


@pytest.mark.parametrize("catalogue", ["server", "page"])
def test_no_text_of_ours_changes_what_the_admin_says(catalogue):
    """A project's catalogue goes before Django's own: a word with another meaning needs a context."""
    theirs: dict[str, set[str]] = {}
    for path in Path(django.__file__).parent.rglob("locale/ko/LC_MESSAGES/*.po"):
        for entry in polib.pofile(str(path)):
            theirs.setdefault(keyed(entry.msgid, entry.msgctxt), set()).add(entry.msgstr)

    ours = {keyed(entry.msgid, entry.msgctxt): entry.msgstr for entry in polib.pofile(str(CATALOGUES[catalogue]))}

    assert "Change" in theirs
    assert {text: (ours[text], theirs[text]) for text in ours.keys() & theirs if ours[text] not in theirs[text]} == {}


@pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES)
def test_the_compiled_catalogue_says_what_its_source_says(catalogue):
    source = polib.pofile(str(catalogue))

    compiled = polib.mofile(str(catalogue.with_suffix(".mo")))

    assert {keyed(one.msgid, one.msgctxt): one.msgstr for one in compiled} == {
        keyed(one.msgid, one.msgctxt): one.msgstr for one in source
    }


def test_no_text_of_the_code_is_korean():
    found = []
    for path, tree in sources(*PACKAGES, "terminals", having=WRITTEN):
        described = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            f"{path}:{node.lineno}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and HANGUL.search(node.value)
            and id(node) not in described
            and path not in DATA
        ]

    assert found == []


@pytest.mark.parametrize("folder", ["api/templates", "api/static/api"])
def test_no_template_and_no_script_of_a_page_is_korean(folder):
    files = [path for path in (ROOT / folder).rglob("*.*") if path.is_file() and "vendor" not in path.parts]

    assert files
    assert [str(path) for path in files if HANGUL.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("command", "korean", "english"),
    [
        (["-m", "terminals", "simulate", "--help"], "모의 시세를 만들어 보냅니다", "send a simulated market"),
        (["manage.py", "retention", "--help"], "보존 기간(RETENTION_…_DAYS)이 지난", "Drop what is past its time"),
    ],
    ids=["terminals", "server"],
)
def test_a_command_speaks_korean_unless_the_environment_says_english(tmp_path, command, korean, english):
    def run(**language):
        environment = {name: value for name, value in os.environ.items() if name != "NARU_LANG"}
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment | {"PYTHONIOENCODING": "utf-8"} | language,
            capture_output=True, text=True, encoding="utf-8", check=True,
        ).stdout  # fmt: skip

    by_default, switched = run(), run(NARU_LANG="en")

    assert korean in by_default
    assert english not in by_default
    assert english in switched
    assert not HANGUL.search(switched)
