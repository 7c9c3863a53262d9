import json

from api.stream import encoding
from api.stream.encoding import Form, Piece
from api.stream.send_queue import SendQueue, Slow

JSON = Form()


def piece(text, size=0):
    return Piece(json.dumps(text.ljust(size, ".")).encode())


def taken(send_queue, most=10**6):
    return [json.loads(one.data) for one in send_queue.take(most)]


def test_what_is_in_order_stays_in_order():
    send_queue = SendQueue(JSON, max_bytes=1000)

    send_queue.put_trades([(piece("a"), 1, 1)])
    send_queue.put(piece("b"))
    send_queue.put_trades([(piece("c"), 2, 2)])

    assert taken(send_queue) == ["a", "b", "c"]
    assert send_queue.bytes == 0


def test_a_newer_candle_overtakes_the_older():
    send_queue = SendQueue(JSON, max_bytes=1000)

    for text in ("first", "second", "third"):
        send_queue.put_latest(("b", "005930", 1), piece(text))

    assert taken(send_queue) == ["third"]
    assert send_queue.overtaken == 2


def test_quotes_are_all_sent_while_there_is_room_and_conflated_when_there_is_not():
    send_queue = SendQueue(JSON, max_bytes=400)

    for number in range(20):
        send_queue.put_quotes("005930", piece(f"q{number}", 30), piece(f"q{number}", 30))

    shown = [text.rstrip(".") for text in taken(send_queue)]
    assert shown[:3] == ["q0", "q1", "q2"]
    assert shown[-1] == "q19"
    assert len(shown) == 4
    assert send_queue.overtaken == 16


def test_an_old_quote_never_comes_after_a_newer_one():
    send_queue = SendQueue(JSON, max_bytes=400)
    send_queue.put(piece("x", 90))
    send_queue.put_quotes("005930", piece("old", 30), piece("old", 30))
    send_queue.take(50)

    send_queue.put_quotes("005930", piece("new", 30), piece("new", 30))

    assert [text.rstrip(".") for text in taken(send_queue)] == ["new"]


def test_a_slow_socket_that_chose_to_close_is_given_up_and_nothing_more_is_kept():
    send_queue = SendQueue(JSON, max_bytes=100)

    for offset in range(1, 50):
        send_queue.put_trades([(piece("t", 30), offset, offset)])

    assert send_queue.too_slow
    assert send_queue.bytes <= 100


def test_a_socket_that_keeps_up_takes_one_entry_of_any_size():
    send_queue = SendQueue(JSON, max_bytes=100)

    send_queue.put_trades([(piece(f"t{offset}", 30), offset, offset) for offset in range(1, 11)])

    assert len(taken(send_queue)) == 10
    assert not send_queue.too_slow


def test_an_entry_is_skipped_as_a_whole():
    send_queue = SendQueue(JSON, max_bytes=100)
    send_queue.slow = Slow.GAP
    send_queue.put(piece("x", 60))

    send_queue.put_trades([(piece(f"t{offset}", 30), offset, offset) for offset in range(1, 11)])

    assert taken(send_queue) + taken(send_queue) == ["x".ljust(60, "."), {"T": "gap", "from": 1, "to": 10}]


def test_a_slow_socket_that_chose_gaps_is_told_of_each_from_first_to_last():
    send_queue = SendQueue(JSON, max_bytes=100)
    send_queue.slow = Slow.GAP

    for offset in range(1, 11):
        send_queue.put_trades([(piece(f"t{offset}", 30), offset, offset)])
    first = taken(send_queue)
    send_queue.put_trades([(piece("t11", 30), 11, 11)])
    second = taken(send_queue)

    shown = [text if isinstance(text, dict) else text.rstrip(".") for text in first + second]
    assert shown == ["t1", "t2", "t3", {"T": "gap", "from": 4, "to": 10}, "t11"]
    assert send_queue.skipped == 7
    assert not send_queue.too_slow


def test_trades_are_not_taken_again_before_half_of_it_is_free():
    send_queue = SendQueue(JSON, max_bytes=100)
    send_queue.slow = Slow.GAP
    for offset in range(1, 5):
        send_queue.put_trades([(piece(f"t{offset}", 30), offset, offset)])

    send_queue.take(1)
    send_queue.put_trades([(piece("t5", 30), 5, 5)])

    assert taken(send_queue) + taken(send_queue) == [
        "t2".ljust(30, "."),
        "t3".ljust(30, "."),
        {"T": "gap", "from": 4, "to": 5},
    ]


def test_a_frame_holds_about_as_many_bytes_as_wanted():
    send_queue = SendQueue(JSON, max_bytes=10_000)
    for offset in range(1, 101):
        send_queue.put_trades([(piece("t", 48), offset, offset)])

    assert len(send_queue.take(500)) == 10


def test_even_things_that_can_be_conflated_have_an_end():
    send_queue = SendQueue(JSON, max_bytes=100)

    for minute in range(100):
        send_queue.put_latest(("b", "005930", minute), piece("bar", 30))
        if send_queue.too_slow:
            break

    assert minute < 10


def test_frames_of_both_kinds_hold_every_message():
    import msgpack

    packed = Form(packed=True)
    pieces = [encoding.message(packed, {"n": number}) for number in range(20)]

    assert msgpack.unpackb(encoding.frame(packed, pieces)) == [{"n": number} for number in range(20)]
    assert json.loads(encoding.frame(JSON, [encoding.message(JSON, {"n": 1}), encoding.message(JSON, {"n": 2})])) == [
        {"n": 1},
        {"n": 2},
    ]


def test_answers_that_nobody_reads_end_the_socket():
    send_queue = SendQueue(JSON, max_bytes=1000)

    for _ in range(100):
        send_queue.put(piece("answer", size=400))

    assert send_queue.too_slow
    assert send_queue.bytes < 2000


def test_answers_that_are_read_may_be_as_many_as_one_likes():
    send_queue = SendQueue(JSON, max_bytes=1000)
    send_queue.put_trades([(piece("a burst", size=5000), 1, 1)])

    for _ in range(100):
        send_queue.put(piece("answer", size=400))
        send_queue.take(10**6)

    assert not send_queue.too_slow
    assert send_queue.bytes == 0


def test_what_is_alone_has_a_frame_of_its_own():
    send_queue = SendQueue(JSON, max_bytes=1000)
    for kind in ("error", "subscription", "t", "q", "error", "t"):
        send_queue.put(encoding.message(JSON, {"T": kind}))

    frames = []
    while pieces := send_queue.take(10**6):
        frames.append([json.loads(one.data)["T"] for one in pieces])

    assert frames == [["error"], ["subscription"], ["t", "q"], ["error"], ["t"]]


def test_who_numbers_its_frames_is_warned_before_all_that_waits_once_until_it_has_caught_up():
    send_queue = SendQueue(Form(numbered=True), max_bytes=1000)
    for number in range(8):
        send_queue.put_trades([(piece("t", 100), number, number)])

    waiting = taken(send_queue)
    send_queue.put_trades([(piece("t", 600), 9, 9)])

    assert [one["T"] if isinstance(one, dict) else "t" for one in waiting].count("warning") == 1
    assert (waiting[0]["T"], waiting[0]["most"]) == ("warning", 1000)
    assert taken(send_queue)[0]["T"] == "warning"
    assert send_queue.bytes == 0
