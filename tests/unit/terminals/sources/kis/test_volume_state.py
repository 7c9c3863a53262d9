"""Accounts of volumes beside a spool: never of what the spool does not have."""

import json

from terminals.sources.kis.repeats import Repeats
from terminals.sources.kis.volume_holes import VolumeHoles
from terminals.sources.kis.volume_state import VolumeState
from terminals.spool import Spool
from terminals.wire import Columns


def batch(size):
    columns = Columns()
    columns.append(symbol="005930", time_us=1, kind=1, price=1, size=size, cum_volume=size, trade_date=20_000)
    return columns.encode(1, "krx", 1)


def test_what_is_saved_lies_in_the_spool_for_good(tmp_path):
    with_spool = Spool(tmp_path, sync_s=3600.0)
    with_spool.append(batch(5_000_000))
    assert with_spool.durable == 0

    VolumeState(with_spool, VolumeHoles(), Repeats()).save()

    assert with_spool.durable == 1
    with_spool.close()


def test_accounts_of_batches_that_a_power_cut_took_are_not_used(tmp_path, caplog):
    spool = Spool(tmp_path)
    spool.append(batch(5_000_000))
    holes = VolumeHoles()
    holes.restore("krx", [{"kind": 1, "symbol": "005930", "time_us": 1, "price": 1, "size": 5_000_000,
                           "cum_volume": 5_000_000, "trade_date": 20_000}])  # fmt: skip
    VolumeState(spool, holes, Repeats()).save()
    kept = json.loads((tmp_path / "kis_volumes.json").read_text())
    (tmp_path / "kis_volumes.json").write_text(json.dumps(kept | {"seq": 9}))

    again = VolumeHoles()

    assert VolumeState(spool, again, Repeats()).load() == 0
    assert again.volumes() == {}
    assert "kis_volumes_not_used" in caplog.text
    spool.close()
