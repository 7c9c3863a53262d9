import pytest
from django.core.exceptions import ValidationError

from marketdata.models import Client, Market, Symbol
from terminals import wire


def client() -> tuple[Client, str]:
    """A client nobody has saved."""
    made = Client(name="desk-1")
    return made, made.renew_secret()


def test_of_a_secret_only_a_verifier_is_kept():
    made, secret = client()

    kept = [value for name, value in vars(made).items() if not name.startswith("_")]
    assert secret not in kept
    assert secret.encode() not in kept
    assert wire.verifier(secret).stored_key == made.stored_key
    assert secret not in f"{made!r} {made} {vars(made)}"


def test_a_renewed_secret_replaces_the_old_one():
    made, old = client()

    new = made.renew_secret()

    assert new != old
    assert made.stored_key == wire.verifier(new).stored_key
    assert made.stored_key != wire.verifier(old).stored_key


def test_every_client_has_a_key_id_of_its_own():
    ids = {Client().key_id for _ in range(50)}

    assert len(ids) == 50
    assert all(len(one) == 20 and one.isalnum() for one in ids)


def test_a_client_that_sends_needs_a_source():
    with pytest.raises(ValidationError) as caught:
        Client(name="desk-1", may_send=True).clean()

    assert "source" in caught.value.message_dict


@pytest.mark.parametrize(
    "code", ["005930", "0001A0", "BRK.B", "ES=F", "KRW-BTC", "a/b:c_d", "ESM6 Index", "BRK/A", "it's"]
)
def test_a_symbol_is_text_and_keeps_its_zeros(code):
    Symbol(code=code, market_id="KRX").clean_fields(exclude=["market"])


@pytest.mark.parametrize("code", ["", " ", " ES", "ES ", "삼성전자", "A,B", "*", "A\n", "x" * 25])
def test_what_no_list_of_symbols_could_name_is_no_symbol(code):
    with pytest.raises(ValidationError):
        Symbol(code=code, market_id="KRX").clean_fields(exclude=["market"])


def test_a_market_lies_in_a_time_zone_that_exists():
    with pytest.raises(ValidationError):
        Market(code="X", name="X", timezone="Asia/Pyeongyangg").clean_fields()
    Market(code="X", name="X", timezone="Asia/Tokyo").clean_fields()
