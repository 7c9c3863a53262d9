import pytest

from terminals.sources.kis.field_changes import FieldChanges
from terminals.sources.kis.frames import Reader
from tests.unit.terminals.sources.kis.frames_of_kis import FUTURES, book, trade

SECOND_US = 1_000_000


def told(changes, tr_id, *records, at_s=0):
    frame = Reader().read(tr_id, f"{len(records):03d}", "^".join(records))
    return list(changes.of(frame, at_s * SECOND_US))


@pytest.mark.parametrize(
    ("tr_id", "record", "fields"),
    [
        ("H0STCNT0", trade(46), {"vi_stnd_prc": "100400"}),
        ("H0STCNT0", trade(47), {"vi_stnd_prc": "100400", "market_cls_code": "2"}),
        ("H0STCNT0", trade(48), {"vi_stnd_prc": "100400", "market_cls_code": "2", "extra_47": "more47"}),
        ("H0STASP0", book(62), {"midp_cls_code": "0"}),
        ("H0STASP0", book(64), {"midp_cls_code": "0", "market_cls_code": "2", "extra_63": "0"}),
        ("H0UNASP0", book(66), {"kmid_cls_code": "0", "nmid_cls_code": "0", "antc_exch_cls_code": "0"}),
        ("H0IFCNT0", f"{FUTURES}^7", {"extra_50": "7"}),
    ],
)
def test_what_no_column_has_is_told_with_the_first_record(tr_id, record, fields):
    changes = FieldChanges()

    assert told(changes, tr_id, record, record) == [(record.split("^")[0], fields)]
    assert told(changes, tr_id, record, at_s=60) == []


@pytest.mark.parametrize(("tr_id", "record"), [("H0STASP0", book(59)), ("H0IFCNT0", FUTURES)])
def test_where_each_field_has_a_column_nothing_is_told(tr_id, record):
    assert told(FieldChanges(), tr_id, record) == []


def test_a_change_is_told_once_and_so_is_the_way_back():
    changes = FieldChanges()
    told(changes, "H0STCNT0", trade(p46="1"), trade(p0="000660"))

    assert told(changes, "H0STCNT0", trade(p46="2"), trade(p0="000660"), at_s=20) == [
        ("005930", {"vi_stnd_prc": "100400", "market_cls_code": "2"})
    ]
    assert told(changes, "H0STCNT0", trade(p46="2"), at_s=40) == []
    assert [symbol for symbol, _ in told(changes, "H0STCNT0", trade(p46="1"), at_s=60)] == ["005930"]


def test_a_field_that_is_another_in_each_record_is_told_every_ten_seconds():
    changes = FieldChanges()

    found = [told(changes, "H0STCNT0", trade(48, p47=str(second)), at_s=second) for second in range(25)]

    assert [fields["extra_47"] for one in found for _, fields in one] == ["0", "10", "20"]
