import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.sources.kis.messages import Reply
from terminals.sources.kis.planner import Registration
from terminals.sources.kis.registrations import Registrations, State

ALL = [Registration("H0STCNT0", f"{number:06d}") for number in range(60)]


def answer(registrations, one, code, now=0.0):
    registrations.on_reply(Reply(code, "", one), now)


def run(registrations, now, code="OPSP0000", most=1_000):
    """Send what is due, each answered at once, until nothing is; what was sent."""
    sent = []
    for _ in range(most):
        at = registrations.due_at()
        if at > now + 5.0:
            break
        found = registrations.next(at)
        if found is None:
            break
        sent.append((found.registration, found.register))
        answer(registrations, found.registration, code if found.register else "OPSP0001", at)
    return sent


def test_commands_keep_their_distance():
    registrations = Registrations(spacing_s=0.1)
    registrations.want(ALL[:3], 0.0)

    times = [now / 100 for now in range(100) if registrations.next(now / 100)]

    assert times == pytest.approx([0.0, 0.1, 0.2])


def test_an_answer_makes_a_registration_active_and_a_second_one_changes_nothing():
    registrations = Registrations()
    registrations.want(ALL[:1], 0.0)
    registrations.next(0.0)

    answer(registrations, ALL[0], "OPSP0000")
    answer(registrations, ALL[0], "OPSP0002")

    assert registrations.in_state(State.ACTIVE) == ALL[:1]
    assert registrations.due_at() == float("inf")


def test_an_answer_that_does_not_come_is_asked_for_again():
    registrations = Registrations(answer_s=10.0)
    registrations.want(ALL[:1], 0.0)
    registrations.next(0.0)

    assert registrations.next(9.9) is None
    again = registrations.next(10.0)

    assert again is not None
    assert (again.registration, again.register) == (ALL[0], True)


def test_data_says_that_a_registration_is_active_whatever_became_of_the_answer():
    registrations = Registrations()
    registrations.want(ALL[:1], 0.0)
    registrations.next(0.0)

    registrations.on_data(ALL[0])
    registrations.on_data(ALL[1])

    assert registrations.in_state(State.ACTIVE) == ALL[:1]


def test_what_has_to_leave_leaves_before_something_new_comes():
    registrations = Registrations(most=2, spacing_s=0.0)
    registrations.want(ALL[:2], 0.0)
    run(registrations, 0.0)

    registrations.want(ALL[1:3], 1.0)
    sent = run(registrations, 1.0)

    assert sent == [(ALL[0], False), (ALL[2], True)]
    assert sorted(registrations.in_state(State.ACTIVE)) == ALL[1:3]


def test_what_is_refused_is_not_asked_for_again():
    registrations = Registrations(spacing_s=0.0)
    registrations.want(ALL[:2], 0.0)

    sent = run(registrations, 0.0, code="OPSP8992")

    assert len(sent) == 2
    assert registrations.refused() == {ALL[0]: "OPSP8992", ALL[1]: "OPSP8992"}
    registrations.restart(50.0)
    assert registrations.next(60.0) is None


def test_a_full_session_is_not_asked_again_before_something_left():
    registrations = Registrations(spacing_s=0.0)
    registrations.want(ALL[:2], 0.0)
    registrations.next(0.0)
    answer(registrations, ALL[0], "OPSP0000")
    registrations.next(0.0)
    answer(registrations, ALL[1], "OPSP0008")
    registrations.want(ALL[:2], 1.0)
    assert registrations.next(1.0) is None

    registrations.want(ALL[1:2], 2.0)

    assert run(registrations, 2.0) == [(ALL[0], False), (ALL[1], True)]


def test_trouble_inside_kis_is_tried_again_every_ten_minutes_at_last_and_never_given_up():
    registrations = Registrations(spacing_s=0.0, retry_s=10.0)
    registrations.want(ALL[:1], 0.0)
    times, now = list[float](), 0.0
    while registrations.due_at() < float("inf") and len(times) < 2000:
        now = registrations.due_at()
        if registrations.next(now):
            times.append(now)
            answer(registrations, ALL[0], "OPSP9993", now)

    assert times[:4] == [0.0, 10.0, 30.0, 70.0]
    assert len(times) == 2000
    assert times[-1] - times[-2] == 600.0
    assert registrations.refused() == {}


def test_a_new_session_registers_everything_again():
    registrations = Registrations(spacing_s=0.0)
    registrations.want(ALL[:3], 0.0)
    run(registrations, 0.0)
    registrations.want(ALL[1:3], 1.0)

    registrations.restart(2.0)

    assert [one for one, _ in run(registrations, 2.0)] == ALL[1:3]


def test_answers_to_nothing_change_nothing():
    registrations = Registrations()
    registrations.want(ALL[:1], 0.0)

    for code in ("OPSP0000", "OPSP0001", "OPSP8996", "OPSP0008"):
        answer(registrations, ALL[5], code)
        registrations.on_reply(Reply(code, "", None), 0.0)

    assert registrations.in_state(State.WAITING) == ALL[:1]


CODES = st.sampled_from(["OPSP0000", "OPSP0001", "OPSP0002", "OPSP0003", "OPSP0007", "OPSP0008", "OPSP8992", "lost"])


@given(st.lists(st.tuples(st.sets(st.integers(0, 50), max_size=45), st.lists(CODES, max_size=30)), max_size=6))
def test_a_session_never_holds_more_than_it_takes_and_ends_with_what_is_wanted(rounds):
    """KIS itself as a set: whatever is answered, and however often an answer is lost."""
    registrations, held, now, most = Registrations(most=41, spacing_s=0.0), set[Registration](), 0.0, 41
    for wanted, codes in rounds:
        registrations.want([ALL[number] for number in wanted], now)
        for code in codes:
            now = max(now, registrations.due_at()) if registrations.due_at() < now + 1_000 else now
            command = registrations.next(now)
            if command is None:
                break
            if command.register and code in ("OPSP0000", "OPSP0002", "lost"):
                held.add(command.registration)
            if not command.register:
                held.discard(command.registration)
            assert len(held) <= most
            if code != "lost":
                answer(registrations, command.registration, code, now)
    registrations.want(ALL[:5], now)
    registrations.restart(now)
    held.clear()
    for _ in range(500):
        if registrations.due_at() == float("inf"):
            break
        now = max(now, registrations.due_at())
        command = registrations.next(now)
        if command is not None:
            answer(registrations, command.registration, "OPSP0000" if command.register else "OPSP0001", now)

    settled = set(registrations.in_state(State.ACTIVE)) | set(registrations.refused())
    assert settled == set(ALL[:5])


def test_a_question_is_out_until_its_answer_came_or_its_time_is_over():
    registrations = Registrations(spacing_s=0.0, answer_s=10.0)
    registrations.want(ALL[:2], 0.0)
    assert not registrations.is_asking(0.0)
    registrations.next(0.0)

    assert registrations.is_asking(9.9)
    assert not registrations.is_asking(10.0)
    answer(registrations, ALL[0], "OPSP0000")
    assert not registrations.is_asking(0.0)


def test_an_answer_refuses_the_key_that_its_command_was_sent_with():
    registrations = Registrations(spacing_s=0.0)
    registrations.want(ALL[:2], 0.0)
    registrations.next(0.0, "old")
    registrations.next(0.0, "old")

    assert registrations.refused_key(ALL[0]) == "old"
    registrations.ask_again(1.0)
    registrations.next(1.0, "new")
    assert registrations.refused_key(ALL[1]) == "old"
    assert registrations.refused_key(None) == "new"
    assert registrations.refused_key(ALL[0]) is None


def test_what_is_active_stays_so_when_another_key_is_asked_with():
    registrations = Registrations(spacing_s=0.0)
    registrations.want(ALL[:2], 0.0)
    registrations.next(0.0, "old")
    answer(registrations, ALL[0], "OPSP0000")
    registrations.next(0.0, "old")

    registrations.ask_again(1.0)

    assert registrations.in_state(State.ACTIVE) == ALL[:1]
    assert registrations.in_state(State.WAITING) == ALL[1:2]
