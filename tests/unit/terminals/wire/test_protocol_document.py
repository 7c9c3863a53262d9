"""docs/protocol.md says what the code does: its hex is generated again, its codes and numbers are looked up."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from terminals import session, wire
from terminals.retry_policy import policy_for
from terminals.wire import limits, proof

DOCUMENT = (Path(__file__).resolve().parents[4] / "docs/protocol.md").read_text(encoding="utf-8")
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
SERVER_NONCE, CLIENT_NONCE, EPOCH = "5a" * 32, "c3" * 32, "0123456789abcdef"
SIGNED: dict[str, Any] = {
    "server_nonce": SERVER_NONCE, "client_nonce": CLIENT_NONCE, "client": "desk-1", "epoch": EPOCH, "first": 1,
    "last": 2, "source": "REPLAY", "register_market": "CME", "channel_binding": "",
}  # fmt: skip


def columns_payload():
    batch = wire.Columns(price_scale=2, size_scale=0)
    batch.append(symbol="ESH4", time_us=1703545200000000, price=480025, size=44, side=wire.Side.UNKNOWN, seq=6000)
    batch.append(symbol="ESH4", time_us=1703545200085275, price=480025, size=5, side=wire.Side.BUY, seq=6006)
    return batch.encode(1, "replay", 1703545200100000)


def books_payload():
    batch = wire.Books(price_scale=2, size_scale=0)
    batch.append(
        symbol="ESH4", time_us=1703545201100000, seq=6010, bids=((480025, 12), (480000, 31)), asks=((480050, 7),),
        bid_total=880, ask_total=902,
    )  # fmt: skip
    return batch.encode(4, "replay", 1703545201200000)


def events_payload():
    batch = wire.Events()
    batch.append(event="halt", time_us=1703545201300000, symbol="ESH4", body={"code": "H1"})
    return batch.encode(5, "replay", 1703545201400000)


def examples():
    """Every hex block of the document by its name."""
    message = proof.auth_message(**SIGNED)
    verifier = proof.verifier(SECRET)
    row = {"symbol": "ESH4", "time": "2023-12-25T23:00:00.097787Z", "price": "4800.50", "size": 1, "side": "sell"}
    frame = wire.FrameType.BATCH
    sizes = {"hello_bytes": 4096, "frame_bytes": 1048576, "batch_rows": 5000, "window_batches": 64}
    times = {"hello_s": 5.0, "frame_s": 10.0, "heartbeat_s": 1.0, "dead_s": 15.0}
    return {
        "challenge": wire.Challenge(SERVER_NONCE, (1,), {**sizes, "window_bytes": 4194304}, times).encode(),
        "hello": wire.Hello(
            "desk-1", EPOCH, CLIENT_NONCE, 1, 2, "REPLAY", "CME", "example/1", 1703545200200000,
            proof.client_proof(SECRET, message),
        ).encode(),
        "welcome": wire.Welcome(
            proof.server_proof(verifier.server_key, message), "s-7", 0, (), 64, 1.0, 15.0, 4096, 15.0
        ).encode(),
        "batch-columns": wire.encode(frame, columns_payload()),
        "batch-rows": wire.encode(frame, wire.encode_rows(2, "replay", 1703545200150000, [row])),
        "ack": wire.Ack(2, 2, (), 64).encode(),
        "batch-gap": wire.encode(
            frame,
            wire.encode_gap(3, "replay", 1703545201000000, 1703545200200000, 1703545200900000, 1234, "spool_full"),
        ),
        "batch-books": wire.encode(frame, books_payload()),
        "batch-events": wire.encode(frame, events_payload()),
        "bye": wire.Bye().encode(),
        "auth-message": message,
        "client-proof": bytes.fromhex(proof.client_proof(SECRET, message)),
        "server-proof": bytes.fromhex(proof.server_proof(verifier.server_key, message)),
        "stored-key": verifier.stored_key,
        "server-key": verifier.server_key,
    }  # fmt: skip


def blocks():
    """name -> bytes, as the document prints them; text behind two spaces and a semicolon is a comment."""
    found = {}
    for name, text in re.findall(r"^```hex ([\w-]+)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL):
        found[name] = bytes.fromhex("".join(line.partition(";")[0] for line in text.splitlines()))
    return found


@pytest.mark.parametrize("name", examples())
def test_the_hex_of_the_document_is_what_the_code_writes(name):
    assert blocks()[name].hex(" ") == examples()[name].hex(" ")


def test_the_document_has_no_example_that_is_not_checked():
    assert set(blocks()) == set(examples())


def test_the_worked_example_can_be_read_back():
    batch = blocks()["batch-columns"][wire.HEADER_BYTES :]

    assert [(row["price"], row["size"], row["seq"]) for row in wire.decode_columns(batch)] == [
        (480025, 44, 6000), (480025, 5, 6006)
    ]  # fmt: skip


@pytest.mark.parametrize("type", wire.FrameType)
def test_every_frame_type_and_its_fields_are_described(type):
    assert re.search(rf"\| {type.value} \| `{type.name}` \|", DOCUMENT)
    cls = next((one for one in wire.Message.__args__ if one.type is type), None)
    if cls is not None and cls is not wire.Bye:
        section = DOCUMENT.split(f"### {type.name}\n")[1].split("\n### ")[0]
        assert all(f"| `{name}` |" in section for name in cls.__slots__)


@pytest.mark.parametrize("column", wire.Column)
def test_every_column_has_its_line(column):
    assert re.search(rf"\| {column.value} \| `{column.name.lower()}` \| {wire.WIDTHS[column]} \|", DOCUMENT)


@pytest.mark.parametrize("column", wire.BookColumn)
def test_every_column_of_books_has_its_line(column):
    width = "8 × levels" if column in wire.LEVEL_COLUMNS else wire.book_widths(0)[column]
    assert f"| {column.value} | `{column.name.lower()}` | {width} |" in DOCUMENT.split("### 5.4 Books")[1]


def test_the_example_of_an_order_book_can_be_read_back():
    (book,) = wire.decode_books(blocks()["batch-books"][wire.HEADER_BYTES :])

    assert (book["bids"], book["asks"]) == (((480025, 12), (480000, 31)), ((480050, 7),))


def codes_of(heading, end):
    """code -> what the client should do, of one of the document's tables of codes."""
    table = DOCUMENT.split(f"**{heading}**")[1].split(end)[0]
    return dict(re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", table, re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "end", "code"),
    [("ERROR", "**REJECT**", wire.ErrorCode), ("REJECT", "**GOAWAY**", wire.RejectCode),
     ("GOAWAY", "## 10.", wire.GoAwayCode)],
)  # fmt: skip
def test_each_code_that_a_server_may_answer_says_what_the_client_should_do_and_no_other_is_told(heading, end, code):
    assert set(codes_of(heading, end)) == set(get_args(code))


def test_a_batch_is_refused_by_a_code_that_some_frame_carries():
    assert set(get_args(wire.BatchCode)) - {"bad_batch_header"} <= set(get_args(wire.RejectCode))
    assert "bad_batch_header" in get_args(wire.ErrorCode)


def test_the_terminal_does_what_the_document_tells_clients_to_do():
    told = DOCUMENT.split("**ERROR** —")[1].split("**REJECT** —")[0] + DOCUMENT.split("**GOAWAY**")[1]
    table = re.findall(r"^\| `(\w+)` \| .+ \| (\w+)(.*) \|$", told, re.MULTILINE)

    assert len(table) == len(get_args(wire.ErrorCode)) + len(get_args(wire.GoAwayCode))
    for code, word, rest in table:
        assert policy_for(code, was_welcomed=True).value == word
        assert policy_for(code, was_welcomed=False).value == ("stop" if "or stop if it never worked" in rest else word)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HELLO_BYTES", "4,096"), ("FRAME_BYTES", "1,048,576"), ("BATCH_ROWS", "5,000"), ("WINDOW_BATCHES", "64"),
        ("WINDOW_BYTES", "4,194,304"), ("MAX_SEQ", "4,294,967,295"), ("RANGES", "4,096"), ("AUDIT_S", "15 s"),
        ("AUDIT_BATCHES", "4,096"), ("BATCH_BOOKS", "1,000"), ("BATCH_GAPS", "1,000"), ("BOOK_LEVELS", "10"),
        ("BODY_BYTES", "4,096"), ("HELLO_S", "5 s"),
        ("FRAME_S", "10 s"), ("HEARTBEAT_S", "1 s"), ("DEAD_S", "15 s"), ("FEED_LENGTH", "16"), ("SYMBOL_LENGTH", "24"),
    ],
)  # fmt: skip
def test_the_limits_are_the_codes_own(name, text):
    value = getattr(limits, name)

    assert f"{value:,}" == text or f"{value:g} s" == text
    assert re.search(rf"\| {re.escape(text)} \|", DOCUMENT)
    assert session.HANDSHAKE_S == 10.0
