import random

import pytest

from tests.soak import slopes


def test_what_grows_steadily_is_told_per_hour():
    assert slopes.per_hour([(10.0 * at, 100 + 0.5 * at) for at in range(60)]) == pytest.approx(180.0)


def test_a_step_and_spikes_are_no_growth():
    chance = random.Random(1)
    samples = [(10.0 * at, 100 + (5 if at > 250 else 0) + chance.random() / 100) for at in range(270)]
    samples[40] = (400.0, 900.0)

    assert slopes.per_hour(samples) == pytest.approx(0.0, abs=0.5)


def test_a_leak_below_noise_is_found():
    chance = random.Random(2)
    samples = [(10.0 * at, 200 + 3.0 * at / 360 + chance.gauss(0, 1)) for at in range(270)]

    assert slopes.per_hour(samples) == pytest.approx(3.0, abs=0.7)


def test_few_samples_tell_nothing():
    assert slopes.per_hour([(float(at), 1.0) for at in range(slopes.LEAST_SAMPLES - 1)]) is None
