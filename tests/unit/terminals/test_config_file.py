"""Options in a file: the same options, the same checks, and the command line goes before them."""

import os

import pytest

from terminals import command, command_line, config_file

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
LINK = 'server = "127.0.0.1:1"\nclient = "desk1"\nspool = "spool"\n'


def written(folder, text, mode=0o600, encoding="utf-8"):
    file = folder / "naru.toml"
    file.write_text(text, encoding=encoding)
    file.chmod(mode)
    return file


def read(file, *typed):
    return command_line.read(["simulate", "--config", str(file), *typed])[0]


def test_options_of_the_file_are_read_like_those_that_are_typed(tmp_path):
    given = read(written(tmp_path, LINK + 'rate = 7\nkeep_h = 0.5\ntls = true\nplain = false\nregister-market = "-"\n'))

    assert (given.server, given.client, given.rate, given.keep_h) == ("127.0.0.1:1", "desk1", 7, 0.5)
    assert (given.tls, given.plain, given.register_market) == (True, False, "-")


def test_what_is_typed_goes_before_what_is_in_the_file(tmp_path):
    given = read(written(tmp_path, LINK + "rate = 7\nsymbols = 5\n"), "--rate", "9", "--client", "desk2")

    assert (given.client, given.rate, given.symbols) == ("desk2", 9, 5)


def test_tables_are_for_the_source_and_a_key_is_no_option(tmp_path):
    text = f'key = "{SECRET}"\n' + LINK + '[securities]\n"005930 KS Equity" = "005930"\n[[account]]\nname = "a"\n'

    given = read(written(tmp_path, text))

    assert given.key == SECRET
    assert given.tables == {"securities": {"005930 KS Equity": "005930"}, "account": [{"name": "a"}]}


def test_notepad_may_have_saved_it_with_a_mark_in_front(tmp_path):
    assert read(written(tmp_path, LINK, encoding="utf-8-sig")).client == "desk1"


@pytest.mark.skipif(os.name != "posix", reason="modes mean little on Windows")
@pytest.mark.parametrize("secret", ['key = "k"', '[account]\nappsecret = "s"', '[[account]]\napp_key = "s"'])
def test_a_secret_that_others_may_read_is_refused_and_one_without_is_not(tmp_path, secret):
    with pytest.raises(ValueError, match="chmod 600"):
        config_file.read(written(tmp_path, secret, 0o640))

    config_file.read(written(tmp_path, secret, 0o600))
    assert config_file.read(written(tmp_path, LINK + 'key-file = "naru.key"\n', 0o644)).key is None


@pytest.mark.parametrize(
    "text", ["rate = ", "day = 2026-03-16", "list = []", "key = 1", 'config = "other.toml"', "nested = [[1]]"]
)
def test_what_cannot_be_an_option_is_told(tmp_path, capsys, text):
    file = written(tmp_path, text)

    assert command.main(["simulate", "--config", str(file)]) == command.WRONG_INPUT
    assert str(file) in capsys.readouterr().err


def test_a_file_that_is_not_utf8_is_told(tmp_path):
    file = tmp_path / "naru.toml"
    file.write_bytes('client = "나루"'.encode("cp949"))

    with pytest.raises(ValueError, match="UTF-8"):
        config_file.read(file)


@pytest.mark.parametrize("text", [LINK + "rate = 0\n", LINK + "sever = 1\n", 'client = "desk1"\n'])
def test_a_wrong_unknown_or_missing_option_names_the_file(tmp_path, capsys, text):
    with pytest.raises(SystemExit) as caught:
        read(written(tmp_path, text))

    assert caught.value.code == 2
    assert "naru.toml" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_wrong_input(tmp_path, capsys):
    assert command.main(["simulate", "--config", str(tmp_path / "no.toml")]) == command.WRONG_INPUT
    assert "no.toml" in capsys.readouterr().err
