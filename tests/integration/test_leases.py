"""One at a time: who holds a lease, what a second gets, and what becomes of one that was paused."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from marketdata.maintenance import leases
from marketdata.models import JobLease
from marketdata.storage import storage
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("road_database")


def test_a_second_holder_is_told_who_the_first_is():
    with leases.hold("job") as lease, pytest.raises(leases.LeaseHeld, match=lease.owner), leases.hold("job"):
        pass


def test_a_lease_that_was_given_back_can_be_taken_at_once_with_a_higher_fence():
    with leases.hold("job") as first:
        pass
    with leases.hold("job") as second:
        assert second.fence == first.fence + 1


def test_different_jobs_do_not_wait_for_each_other():
    with leases.hold("one"), leases.hold("another"):
        assert JobLease.objects.filter(until_us__gt=0).count() == 2


def test_a_lease_outlives_its_time_while_it_is_held():
    with leases.hold("job", ttl_s=6.0) as lease:  # renewed after two seconds
        first = JobLease.objects.get(job="job").until_us
        until(lambda: JobLease.objects.get(job="job").until_us > first, seconds=60, what="the lease is renewed")
        lease.check()


def test_whoever_was_paused_too_long_has_lost_the_lease_even_if_nobody_took_it():
    with leases.hold("job") as lease:
        JobLease.objects.update(until_us=1)

        with pytest.raises(leases.LeaseLost):
            lease.check()


def test_whoever_was_overtaken_has_lost_the_lease():
    with leases.hold("job") as first:
        JobLease.objects.update(until_us=1)
        with leases.hold("job") as second:
            with pytest.raises(leases.LeaseLost):
                first.check()
            second.check()


def test_a_paused_holder_does_not_give_back_what_is_another_s():
    with leases.hold("job"):
        JobLease.objects.update(until_us=2**62, owner="another", fence=99)

    assert JobLease.objects.get(job="job").until_us == 2**62


def test_of_many_that_want_it_at_once_one_gets_it():
    start, ended = threading.Barrier(6), threading.Barrier(6)

    def want() -> bool:
        try:
            start.wait(timeout=300)
            with leases.hold("job"):
                ended.wait(timeout=300)
                return True
        except leases.LeaseHeld:
            ended.wait(timeout=300)
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        got = [one.result(timeout=300) for one in [pool.submit(want) for _ in range(6)]]

    assert sorted(got) == [False] * 5 + [True]


def test_a_transaction_keeps_a_lease_free_until_its_end():
    order: list[str] = []
    began = threading.Event()

    def take() -> None:
        began.set()
        try:
            with leases.hold("job"):
                order.append("taken")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with storage().transaction():
            leases.keep_free("job")
            taken = pool.submit(take)
            began.wait(30)
            with pytest.raises(TimeoutError):
                taken.result(timeout=0.5)
            order.append("ended")
        taken.result(timeout=300)

    assert order == ["ended", "taken"]


def test_a_lease_that_somebody_has_cannot_be_kept_free_and_stays_his():
    with leases.hold("job") as lease:
        with pytest.raises(leases.LeaseHeld, match=lease.owner), storage().transaction():
            leases.keep_free("job")
        lease.check()
    with storage().transaction():
        leases.keep_free("job")
    with leases.hold("job") as following:
        assert following.fence > lease.fence
