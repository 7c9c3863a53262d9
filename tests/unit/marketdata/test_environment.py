import os
import tempfile
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from marketdata.environment import Environment


def said(read, *arguments, **options) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(*arguments, **options)
    return str(caught.value)


def test_a_variable_that_is_missing_or_empty_has_its_default():
    env = Environment({"EMPTY": "", "BLANK": "   "})

    assert [env.integer(name, 5, low=1, high=9) for name in ("MISSING", "EMPTY", "BLANK")] == [5, 5, 5]


def test_a_wrong_number_is_named_with_its_value_and_its_bounds():
    env = Environment({"PORT": "70000", "AGE": "nan"})

    assert said(env.integer, "PORT", 1, low=1, high=65_535) == (
        "PORT='70000' cannot be used: it must be a whole number from 1 to 65535."
    )
    assert "AGE='nan'" in said(env.seconds, "AGE", 1.0, low=0.0, high=60.0)


@pytest.mark.parametrize("value", ["1", "true", "YES", "On"])
def test_yes_has_several_words(value):
    assert Environment({"FLAG": value}).boolean("FLAG", False) is True


@pytest.mark.parametrize("value", ["0", "False", "no", "OFF"])
def test_so_has_no(value):
    assert Environment({"FLAG": value}).boolean("FLAG", True) is False


def test_a_secret_is_never_part_of_the_message():
    env = Environment({"KEY": "geheim", "DATABASE_URL": "pg://u:geheim@h/d", "REDIS_URL": "geheim", "BROKER": "geheim"})

    messages = [
        said(env.text, "KEY", "", secret=True, min_length=50),
        said(env.database, "DATABASE_URL", "sqlite:////tmp/x"),
        said(env.redis_url, "REDIS_URL", "redis://"),
        said(env.broker_url, "BROKER", "redis://"),
    ]

    assert not any("geheim" in message for message in messages)
    assert all("(not shown)" in message for message in messages)


def test_some_of_what_is_allowed_may_be_chosen_each_once_or_nothing():
    env = Environment({"SOME": "5Min, 1Day", "NOTHING": "none", "OTHER": "7Min", "TWICE": "1Day,1Day", "OPEN": "1Day,"})
    allowed = ("1Min", "5Min", "1Day")

    assert env.choices("SOME", (), allowed) == ("5Min", "1Day")
    assert env.choices("NOTHING", ("1Day",), allowed) == ()
    assert env.choices("MISSING", ("1Day",), allowed) == ("1Day",)
    assert "some of 1Min, 5Min, 1Day, separated by commas and each once, or none" in said(
        env.choices, "OTHER", (), allowed
    )
    for name in ("TWICE", "OPEN"):
        assert name in said(env.choices, name, (), allowed)


def test_a_choice_names_what_may_be_chosen():
    env = Environment({"LEVEL": "loud", "OTHER": "INFO"})

    assert "one of INFO, ERROR" in said(env.choice, "LEVEL", "INFO", ("INFO", "ERROR"))
    assert env.choice("OTHER", "ERROR", ("INFO", "ERROR")) == "INFO"


def test_words_are_separated_by_commas():
    assert Environment({"HOSTS": " a, b ,,c"}).words("HOSTS", []) == ["a", "b", "c"]


def test_a_database_is_mariadb_or_postgresql_or_a_file():
    env = Environment(
        {"A": "mysql://u:p%40ss@h:3307/n", "B": "sqlite:////var/lib/naru.sqlite3", "C": "postgres://u:p%40ss@h:5433/n"}
    )

    server, file, other = (env.database(name, "sqlite:////x") for name in "ABC")

    assert (server["USER"], server["PASSWORD"], server["HOST"], server["PORT"]) == ("u", "p@ss", "h", 3307)
    assert (other["USER"], other["PASSWORD"], other["HOST"], other["PORT"]) == ("u", "p@ss", "h", 5433)
    assert (file["ENGINE"], file["NAME"]) == ("django.db.backends.sqlite3", "/var/lib/naru.sqlite3")


def test_pairs_are_words_that_stand_for_others():
    env = Environment({"GOOD": "sip=krx, iex=nxt", "LONE": "sip", "TWICE": "a=b,a=c", "ODD": "A B=c"})

    assert env.pairs("GOOD", "", r"[a-z]+") == {"sip": "krx", "iex": "nxt"}
    for name in ("LONE", "TWICE", "ODD"):
        assert "such as x=y" in said(env.pairs, name, "x=y", r"[a-z]+")


def test_origins_are_scheme_and_host_without_a_path():
    env = Environment({"GOOD": "https://a.example, http://b.example:8080", "PATH": "https://a/x", "ANY": "*"})

    assert env.origins("GOOD", []) == ["https://a.example", "http://b.example:8080"]
    for name in ("PATH", "ANY"):
        assert "such as https://" in said(env.origins, name, [])


def test_a_secret_may_be_in_a_file_that_its_owner_alone_may_read(tmp_path):
    path = tmp_path / "secret"
    path.write_text("geheim\n", encoding="utf-8")
    path.chmod(0o600)
    env = Environment({"SECRET_FILE": str(path), "MISSING": str(tmp_path / "nothing")})

    assert env.secret_file("SECRET_FILE", "") == "geheim"
    assert "chmod 600" in said(env.secret_file, "MISSING", "")
    path.chmod(0o640)
    message = said(env.secret_file, "SECRET_FILE", "")
    assert "chmod 600" in message
    assert "geheim" not in message


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file to another user")
def test_a_secret_of_root_may_be_readable_to_a_group_of_ours():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "secret")
        path.write_text("geheim", encoding="utf-8")
        path.parent.chmod(0o755)
        path.chmod(0o440)
        os.chown(path, 0, 65534)
        env = Environment({"SECRET_FILE": str(path)})
        groups = os.getgroups()
        os.setgroups([65534])
        os.seteuid(65534)
        try:
            assert env.secret_file("SECRET_FILE", "") == "geheim"
        finally:
            os.seteuid(0)
            os.setgroups(groups)

        assert "chmod 600" in said(env.secret_file, "SECRET_FILE", "")
        path.chmod(0o444)
        assert "chmod 600" in said(env.secret_file, "SECRET_FILE", "")


def test_a_variable_may_be_in_a_file_but_not_say_something_else_as_well(tmp_path):
    path = tmp_path / "key"
    path.write_text("geheim\n", encoding="utf-8")
    path.chmod(0o600)
    env = Environment({"KEY_FILE": str(path)})

    env.from_file("KEY_FILE")

    assert env.text("KEY", "", secret=True) == "geheim"
    Environment({"KEY_FILE": str(path), "KEY": "geheim"}).from_file("KEY_FILE")
    message = said(Environment({"KEY_FILE": str(path), "KEY": "anders"}).from_file, "KEY_FILE")
    assert "KEY_FILE" in message
    assert "anders" not in message


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("https://login.example.com/realms/desk", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost/x", True),
        ("http://login.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost@example.com", False),
        ("https://", False),
        ("https://a?b", False),
        ("login.example.com", False),
    ],
)
def test_a_provider_is_asked_by_tls_or_on_this_machine(value, right):
    env = Environment({"ISSUER": value})

    if right:
        assert env.issuer("ISSUER", "") == value
    else:
        assert "https://" in said(env.issuer, "ISSUER", "")


def test_what_words_stand_for_may_be_of_a_few():
    env = Environment({"RIGHT": "/desk/a b=viewer, c=admin", "WRONG": "a=root"})

    assert env.pairs("RIGHT", "", r"[^=,]+", values="viewer|admin") == {"/desk/a b": "viewer", "c": "admin"}
    assert "such as x=admin" in said(env.pairs, "WRONG", "", r"[^=,]+", values="viewer|admin", example="x=admin")


def test_addresses_of_mail_are_each_taken_once_and_hold_no_line_breaks():
    env = Environment({"A": "a@example.com, b@example.com,a@example.com", "B": "a@example.com\r\nBcc: c@example.com"})

    assert env.mail_addresses("A", [], most=2) == ["a@example.com", "b@example.com"]
    assert "at most 1 addresses" in said(env.mail_addresses, "A", [], most=1)
    assert "such as desk@example.com" in said(env.mail_addresses, "B", [], most=9)
