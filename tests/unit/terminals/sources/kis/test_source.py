"""How the source ends when nothing can be had."""

import pytest

from terminals.sources.contract import WrongInput
from terminals.sources.kis.answers import KeyRefusedError
from terminals.sources.kis.source import Kis


def test_appkeys_that_kis_does_not_know_are_wrong_input_and_no_reason_to_begin_again(tmp_path, monkeypatch):
    async def refused(*_arguments: object) -> None:
        raise KeyRefusedError("EGW00103", "no such appkey")

    monkeypatch.setattr(Kis, "_run", refused)

    with pytest.raises(WrongInput, match="EGW00103"):
        Kis([], [], tmp_path).run(None, None)  # type: ignore[arg-type]  # it asks neither
