from pathlib import Path

from marketdata.types import reject_reasons
from marketdata.types.reject_reasons import Fault

PROTOCOL = (Path(__file__).resolve().parents[4] / "docs/protocol.md").read_text(encoding="utf-8")


def test_every_reason_has_a_name_of_its_own_and_fits_the_array_that_carries_it():
    names = [name for fault in Fault for name in reject_reasons.names(int(fault))]

    assert len(names) == len(set(names)) == len(Fault)
    assert all(name.isidentifier() and name.islower() for name in names)
    assert sum(Fault) < 2**64


def test_several_reasons_are_named_in_their_order():
    both = int(Fault.SIZE_NEGATIVE | Fault.SYMBOL_MISSING)

    assert reject_reasons.names(both) == ["symbol_missing", "size_negative"]
    assert reject_reasons.names(0) == []


def test_all_reasons_together_are_still_told_to_the_reject_table():
    assert reject_reasons.names(sum(Fault)) == [str(fault.name).lower() for fault in Fault]


def test_every_reason_is_listed_in_the_protocol():
    listed = PROTOCOL.split("### 5.6 ")[1].split("\n## ")[0]

    assert [name for fault in Fault for name in reject_reasons.names(int(fault)) if f"`{name}`" not in listed] == []
