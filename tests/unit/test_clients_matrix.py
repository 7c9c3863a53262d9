"""The table of the official clients' methods that `make clients-matrix` writes."""

import re

import pytest

from tests.clients import matrix
from tests.clients.matrix import NO_DATA, WORKS

TEXT = matrix.PAGE.read_text(encoding="utf-8")
CLIENTS = re.findall(r"^### (.+)\n\n\| methods", TEXT, re.MULTILINE)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_table_written_from_what_it_says_is_the_same(client):
    said = matrix.documented(TEXT, client)

    assert set(said.values()) == {WORKS, NO_DATA}
    assert matrix.rewritten(TEXT, client, said) == TEXT


def test_what_a_run_found_is_written_for_its_client_alone():
    one, *others = CLIENTS
    found = {f"method_{at}": WORKS for at in range(7)} | {"news": NO_DATA}

    text = matrix.rewritten(TEXT, one, found)

    assert matrix.documented(text, one) == found
    assert "| `method_6` | works |\n| `news` | 404: no such data |\n\n" in text
    assert [matrix.documented(text, other) for other in others] == [matrix.documented(TEXT, one) for one in others]
    with pytest.raises(KeyError, match="no table of nobody"):
        matrix.documented(text, "nobody")
