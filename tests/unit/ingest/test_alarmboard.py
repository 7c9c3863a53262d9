from ingest.alarmboard import REPEAT_S, AlarmBoard


def test_what_is_wrong_is_shown_before_anybody_has_written_it_and_until_it_is_over():
    board = AlarmBoard()
    board.set("storage_failing", "read-only")
    board.set("clock_offset", "", subject="kis")

    shown = [(one["code"], one["message"]) for one in board.active()]
    board.set("storage_failing", "")

    assert shown == [("storage_failing", "read-only")]
    assert board.active() == []


def test_an_alarm_is_to_be_written_at_once_and_so_is_its_end():
    board = AlarmBoard()
    quiet = board.pending(0.0)
    board.set("storage_failing", "read-only")
    due = board.pending(0.0)

    assert (quiet, due) == (False, True)
    assert REPEAT_S > 0
