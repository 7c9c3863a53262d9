import hashlib

import numpy as np

from tests.bench import calibration


def test_the_work_is_the_same_every_time(monkeypatch):
    monkeypatch.setattr(calibration, "LOOPS", 1_000)
    monkeypatch.setattr(calibration, "HASHED_BYTES", 1 << 12)
    total = 0
    for number in range(1_000):
        total = (total * 31 + number) % 2**32

    digests = {calibration.processor_work() for _ in range(3)}

    assert digests == {hashlib.sha256(total.to_bytes(4, "big") * 1024).hexdigest()}


def test_every_cell_is_read_once_and_never_beside_the_one_before(monkeypatch):
    monkeypatch.setattr(calibration, "CELLS", 1 << 12)
    cells, order = calibration.cells()

    assert sorted(order.tolist()) == list(range(1 << 12))
    assert np.abs(np.diff(order)).min() > 64
    assert calibration.memory_work(cells, order) == sum(range(1 << 12)) + (1 << 12)


def test_the_figure_is_the_time_of_both_pieces(monkeypatch):
    monkeypatch.setattr(calibration, "LOOPS", 1_000)
    monkeypatch.setattr(calibration, "HASHED_BYTES", 1 << 12)
    monkeypatch.setattr(calibration, "CELLS", 1 << 12)

    found = calibration.measure()

    assert found.processor_ms >= 0
    assert found.memory_ms >= 0
    assert found.ms == found.processor_ms + found.memory_ms
    assert found.load >= 0
