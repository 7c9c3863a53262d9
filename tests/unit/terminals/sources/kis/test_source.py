"""How the source ends when nothing can be had."""

import threading

import pytest

from terminals.clock import Clock
from terminals.link import Address, Config, Identity, Terminal
from terminals.sources.contract import WrongInput
from terminals.sources.kis.answers import KeyRefusedError
from terminals.sources.kis.source import Kis, Options
from terminals.sources.kis.streams import Streams
from terminals.sources.kis.wanted import read_wanted
from terminals.wire import new_secret
from tests.waiting import until


def test_appkeys_that_kis_does_not_know_are_wrong_input_and_no_reason_to_begin_again(tmp_path, monkeypatch):
    async def refused(*_arguments: object) -> None:
        raise KeyRefusedError("EGW00103", "no such appkey")

    monkeypatch.setattr(Kis, "_run", refused)

    with pytest.raises(WrongInput, match="EGW00103"):
        Kis([], [], tmp_path).run(None, None)  # type: ignore[arg-type]  # it asks neither


def test_the_numbers_are_counted_in_the_loop_that_changes_them_and_read_by_any_thread(tmp_path, monkeypatch):
    threads, coverage = set(), Streams.coverage

    def noted(self):
        threads.add(threading.get_ident())
        return coverage(self)

    monkeypatch.setattr(Streams, "coverage", noted)
    options = Options(mode="realtime", polling=False, streaming=False)
    source = Kis([], read_wanted("005930", {}), tmp_path / "state", options=options)
    identity = Identity("kis", new_secret(), "KIS", None)
    terminal = Terminal(Config(Address.parse("127.0.0.1:9"), identity, "krx", tmp_path / "spool"))
    stop = threading.Event()
    loop = threading.Thread(target=source.run, args=(terminal, Clock(stop)))
    loop.start()
    try:
        until(lambda: source.numbers().run_s > 0, seconds=60, what="numbers of a run")
    finally:
        stop.set()
        loop.join(300)
        terminal.close()

    assert threads == {loop.ident}
    assert source.numbers().coverage == {"websocket": 0, "polling": 0, "none": 2}
