"""The queue by itself: whatever happens in whatever order, every task ends once, and nobody waits for nothing."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_tasks.batch.fitness import ASIDE, FAILURES, GIVEN_UP, SOON
from fleet_tasks.batch.queue import Attempt, Queue
from fleet_tasks.batch.tasks import Task
from fleet_tasks.batch.turns import PATIENCE
from fleet_tasks.results import State

DEVICES = ("a", "b", "c")
ENDS = (State.DONE, State.DONE, State.FAILED, State.LOST, State.TIMED_OUT)


@st.composite
def batches(draw: st.DrawFn) -> list[Task]:
    """Some tasks, each after some of those before it, in any order."""
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 12))):
        before = [task.id for task in tasks]
        after = tuple(draw(st.lists(st.sampled_from(before), unique=True, max_size=3))) if before else ()
        chosen = draw(st.lists(st.sampled_from(DEVICES), unique=True, min_size=1))
        task = Task(f"t{number}", "x", devices=tuple(chosen), after=after)
        need = draw(st.sampled_from(["all", "any", "ended"]))
        tasks.append(replace(task, need=need, idempotent=draw(st.booleans()), retries=draw(st.integers(0, 2))))
    return list(draw(st.permutations(tasks)))


def may_begin(task: Task, ended: dict[str, State]) -> bool:
    """What the contract says of a task that was given out."""
    states = [ended.get(name) for name in task.after]
    if task.need == "any":
        return not states or State.DONE in states
    return all(state is State.DONE if task.need == "all" else state is not None for state in states)


@settings(max_examples=150, deadline=None)
@given(batches(), st.data())
def test_every_task_ends_exactly_once(tasks: list[Task], data: st.DataObject) -> None:
    queue, ended, running = Queue(tasks, most=2, now=lambda: 0.0), dict[str, State](), list[tuple[Attempt, str]]()
    alive = set(DEVICES)
    known = 0
    for _ in range(400):
        for task in queue.blocked[known:]:
            assert task.id not in ended
            ended[task.id] = State.SKIPPED
        known = len(queue.blocked)
        free = [name for name in DEVICES if name in alive]
        startable = bool(free) and len(running) < 2 and any(queue.fits(name) for name in free)
        if not startable and not running:
            break
        if startable and (not running or data.draw(st.booleans())):
            device = data.draw(st.sampled_from([name for name in free if queue.fits(name)]))
            attempt = queue.take(device)
            assert attempt is not None and device in attempt.task.devices
            busy = {other.task.id for other, _ in running}
            lost = [task.id for task in queue.left() if task.id not in busy and not alive.intersection(task.devices)]
            assert attempt.task.id not in ended
            assert may_begin(attempt.task, ended | dict.fromkeys(lost, State.UNREACHABLE))
            assert attempt.task.id not in busy
            running.append((attempt, device))
            continue
        attempt, device = running.pop(data.draw(st.integers(0, len(running) - 1)))
        step(queue, attempt, device, ended, alive, data)
    assert not running
    left = queue.left()
    assert Counter([*ended, *(task.id for task in left)]) == Counter(task.id for task in tasks)
    assert not any(queue.wait(name) for name in DEVICES) and queue.through.reason is not None
    assert not any(alive.intersection(task.devices) for task in left), "only what nobody can do is left"


def step(
    queue: Queue, attempt: Attempt, device: str, ended: dict[str, State], alive: set[str], data: st.DataObject
) -> None:
    """Something happens to an attempt that runs."""
    what = data.draw(st.sampled_from(["end", "end", "end", "back", "elsewhere", "gone"]))
    if what == "back":
        assert queue.give_back(attempt)
    elif what == "elsewhere" and queue.give_back(attempt, elsewhere=True):
        pass
    elif what == "gone":
        queue.give_back(attempt)
        assert queue.failed(device, passing=False) is (device in alive)
        alive.discard(device)
    else:
        state = data.draw(st.sampled_from(ENDS))
        if queue.may_repeat(attempt, state):
            assert attempt.task.idempotent
            queue.again(attempt)
        else:
            queue.finish(attempt, state)
            ended[attempt.task.id] = state


def test_a_long_chain_ends_without_recursion() -> None:
    chain = [Task(f"t{n}", "x", devices=("a",), after=(f"t{n - 1}",) if n else ()) for n in range(10_000)]
    queue = Queue(reversed(chain))
    for task in chain:
        attempt = queue.take("a")
        assert attempt is not None and attempt.task.id == task.id
        queue.finish(attempt, State.DONE)
    assert queue.take("a") is None and queue.left() == []

    queue = Queue(reversed(chain))
    first = queue.take("a")
    assert first is not None
    queue.finish(first, State.FAILED)
    assert len(queue.blocked) == 9_999 and queue.take("a") is None

    assert len(Queue(reversed(chain), {"t0": State.FAILED}).blocked) == 9_999


class Counting(str):
    """A name that counts how often it is compared or looked up."""

    looks = 0

    def __hash__(self) -> int:
        Counting.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counting.looks += 1
        return super().__eq__(other)


def looks(count: int) -> float:
    """Looks per task, for independent tasks and one that waits for all of them."""
    names = [Counting(f"t{n}") for n in range(count)]
    devices = tuple(f"d{n}" for n in range(8))
    tasks = [Task(name, "x", devices=devices) for name in names]
    last = Task(Counting("last"), "x", devices=devices, after=tuple(names), need="ended")
    Counting.looks = 0
    queue = Queue([*tasks, last])
    taken = 0
    while (attempt := queue.take(f"d{taken % 8}")) is not None:
        queue.finish(attempt, State.DONE)
        taken += 1
    assert taken == count + 1
    return Counting.looks / count


def test_the_cost_of_a_task_does_not_grow() -> None:
    assert looks(10_000) < 1.5 * looks(1_000)


def failing(queue: Queue, device: str) -> bool:
    """The device takes a task and is lost under it; whether it is set aside because of that."""
    attempt = queue.take(device)
    assert attempt is not None
    news = queue.failed(device, attempt)
    queue.give_back(attempt)
    return news


def test_a_device_that_fails_is_set_aside_tried_again_and_given_up() -> None:
    clock = [0.0]
    queue = Queue([Task("t", "x", devices=("a",))], now=lambda: clock[0])
    for failure in range(1, GIVEN_UP + 1):
        assert queue.wait("a") and failing(queue, "a") is (failure == FAILURES), "it is told once"
        clock[0] += ASIDE * GIVEN_UP
    queue.worked("a")
    assert not queue.wait("a") and not queue.fits("a") and [task.id for task in queue.left()] == ["t"]


def test_only_work_that_ended_well_makes_up_for_failures() -> None:
    clock = [0.0]
    queue = Queue([Task(f"t{n}", "x", devices=("a", "b")) for n in range(2)], now=lambda: clock[0])
    told = []
    for _ in range(2):
        told += [failing(queue, "a") for _ in range(FAILURES)]
        assert not queue.fits("a") and queue.fits("b")
        clock[0] += ASIDE
        attempt = queue.take("a")
        assert attempt is not None
        queue.worked("a")
        queue.give_back(attempt)
        assert queue.fits("a")
    assert told == [False, True, False, True], "who came back is told of again"


def test_what_was_cut_off_together_is_one_failure() -> None:
    queue = Queue([Task(f"t{n}", "x", devices=("a",)) for n in range(9)])
    cut = [queue.take("a") for _ in range(8)]
    assert not any(queue.failed("a", attempt) for attempt in cut) and queue.fits("a")
    assert failing(queue, "a") and not queue.fits("a")


def test_what_nobody_is_left_for_is_over_and_those_after_it_are_looked_at() -> None:
    only = ("a",)
    tasks = [
        Task("gone", "x", devices=only),
        Task("later", "x", devices=only, after=("fine",)),
        Task("fine", "x", devices=("a", "b")),
        Task("needs", "x", devices=("b",), after=("gone",)),
        Task("either", "x", devices=("b",), after=("gone", "fine"), need="any"),
        Task("last", "x", devices=("a", "b"), after=("gone", "later", "fine", "needs", "either"), need="ended"),
    ]
    queue = Queue(tasks)
    queue.failed("a", passing=False)
    for name in ("fine", "either", "last"):
        attempt = queue.take("b")
        assert attempt is not None and attempt.task.id == name
        queue.finish(attempt, State.DONE)
    assert not queue.wait("b") and [task.id for task in queue.blocked] == ["needs"]
    assert [task.id for task in queue.left()] == ["gone", "later"]


def test_a_task_that_is_given_back_when_nobody_is_left_is_over() -> None:
    queue = Queue([Task("t", "x", devices=("a",)), Task("next", "x", devices=("b",), after=("t",), need="ended")])
    attempt = queue.take("a")
    assert attempt is not None and queue.may_repeat(attempt, State.UNREACHABLE)
    queue.failed("a", attempt, passing=False)
    queue.again(attempt)
    assert [task.id for task in queue.left()] == ["t", "next"] and queue.fits("b")


def test_who_is_set_aside_waits_long_while_others_work_and_briefly_when_all_wait_for_it() -> None:
    tasks = [Task("x", "x", devices=("a",)), Task("y", "x", devices=("b",)), Task("z", "x", devices=("a", "b"))]
    queue = Queue(tasks, now=lambda: 0.0)
    for _ in range(FAILURES):
        failing(queue, "a")
    for _ in range(2):
        assert queue._rest("a") == ASIDE, "there is work for others"
        attempt = queue.take("b")
        assert attempt is not None and queue._rest("a") == ASIDE, "others work"
        queue.finish(attempt, State.DONE)
    assert queue._rest("a") == SOON
    queue.worked("a")
    assert queue._rest("a") == 0


def test_one_who_waits_is_woken_by_what_becomes_ready_and_by_the_end() -> None:
    queue = Queue([Task("one", "x", devices=("a",)), Task("two", "x", devices=("b",), after=("one",))])
    found: list[str | None] = []

    def wait() -> None:
        while queue.wait("b"):
            attempt = queue.take("b")
            assert attempt is not None
            found.append(attempt.task.id)
            queue.finish(attempt, State.DONE)
        found.append(None)

    thread = threading.Thread(target=wait)
    thread.start()
    attempt = queue.take("a")
    assert attempt is not None
    queue.finish(attempt, State.DONE)
    thread.join(10)
    assert found == ["two", None] and not queue.wait("a")


def test_a_closed_queue_lets_everybody_go() -> None:
    queue = Queue([Task("one", "x", devices=("a",))])
    attempt = queue.take("a")
    assert attempt is not None
    thread = threading.Thread(target=queue.wait, args=("b",))
    thread.start()
    queue.close()
    thread.join(10)
    assert queue.through.reason is not None and not queue.fits("a")
    assert not thread.is_alive() and not queue.may_repeat(attempt, State.LOST)


def test_tries_of_earlier_processes_count_in_the_number_alone() -> None:
    task = Task("t", "x", devices=("a",), idempotent=True)
    queue = Queue([task], tries={"t": 3})
    attempt = queue.take("a")
    assert attempt is not None and attempt.number == 4
    assert queue.may_repeat(attempt, State.LOST) and not queue.may_repeat(attempt, State.FAILED)


def test_fewer_tasks_than_devices_go_to_those_that_are_ready_and_little_loaded() -> None:
    devices = ("busy", "lacking", "calm", "calmer")
    queue = Queue([Task(f"t{n}", "x", devices=devices) for n in range(3)], slots=dict.fromkeys(devices, 1))
    queue.arrived("busy", 3.0, ready=True)
    queue.arrived("lacking", 0.0, ready=False)
    queue.arrived("calm", 0.5, ready=True)
    queue.arrived("calmer", 0.2, ready=True)
    assert not queue.fits("lacking") and queue.take("lacking") is None
    assert [queue.fits(name) for name in devices] == [True, False, True, True]
    first, second = queue.take("calmer"), queue.take("calm")
    assert first is not None and second is not None and not queue.fits("lacking")
    queue.failed("busy")
    assert queue.fits("lacking"), "who was lost has no turn"
    queue.finish(first, State.DONE)
    assert not queue.fits("lacking") and queue.fits("calmer"), "who is through is asked again"


def test_a_device_at_work_comes_after_one_that_has_nothing_to_do() -> None:
    queue = Queue([Task(f"t{n}", "x", devices=("a", "b")) for n in range(2)], slots={"a": 2, "b": 2})
    queue.arrived("a", 0.1, ready=True)
    queue.arrived("b", 9.0, ready=False)
    assert queue.take("a") is not None and not queue.fits("a")
    assert queue.take("b") is not None and not queue.fits("b")


def test_the_first_to_arrive_waits_a_moment_for_the_others() -> None:
    clock = [0.0]
    names = ("a", "b", "c")
    queue = Queue([Task("t", "x", devices=names)], slots=dict.fromkeys(names, 1), now=lambda: clock[0])
    queue.arrived("a", 1.0, ready=True)
    assert not queue.fits("a"), "a better one may be on its way"
    queue.failed("b")
    assert not queue.fits("a")
    clock[0] += PATIENCE
    assert queue.fits("a"), "who is not there by now is not waited for"
    queue.arrived("c", 0.5, ready=True)
    assert queue.fits("c") and not queue.fits("a")


def test_who_is_being_logged_in_to_is_waited_for_until_it_is_known_not_to_come() -> None:
    names = ("a", "b")
    queue = Queue([Task("t", "x", devices=names)], slots=dict.fromkeys(names, 1), now=lambda: 0.0)
    for name in names:
        queue.away(name)
    queue.arrived("a", 1.0, ready=True)
    assert not queue.fits("a")
    queue.failed("b")
    queue.away("b")
    assert queue.fits("a")


def test_many_tasks_wait_for_nobody() -> None:
    queue = Queue([Task(f"t{n}", "x", devices=("a", "b")) for n in range(2)], slots={"a": 1, "b": 1}, now=lambda: 0.0)
    queue.arrived("a", 9.0, ready=False)
    assert queue.take("a") is not None


def test_whose_turn_it_is_not_sleeps_until_it_is() -> None:
    queue = Queue([Task("t", "x", devices=("a", "b"))], slots={"a": 1, "b": 1})
    queue.arrived("b", 0.1, ready=True)
    queue.arrived("a", 0.2, ready=True)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(queue.wait("a")))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    queue.away("b")
    waiting.join(PATIENCE + 30)
    assert found == [True]


def test_nobody_waits_for_a_turn_of_a_device_that_was_given_up() -> None:
    long, last = Task("long", "x", devices=("a",)), Task("last", "x", devices=("a", "b"))
    queue = Queue([long, last], slots={"a": 2, "b": 1}, now=lambda: 0.0)
    queue.arrived("b", 9.0, ready=False)
    attempt = queue.take("a")
    assert attempt is not None and attempt.task is long
    queue.failed("a", passing=False)
    queue.worked("a")
    queue.arrived("a", 0.1, ready=True)
    queue.finish(attempt, State.DONE)
    assert queue.fits("b")


def test_nobody_waits_for_a_turn_of_a_device_that_is_set_aside() -> None:
    clock = [0.0]
    queue = Queue([Task(f"t{n}", "x", devices=("a", "b")) for n in range(2)], slots={}, now=lambda: clock[0])
    for name in ("a", "b") * FAILURES:
        queue.failed(name)
    clock[0] += SOON
    queue.arrived("a", 9.0, ready=True)
    queue.arrived("b", 0.1, ready=True)
    attempt = queue.take("a")
    assert attempt is not None and not queue.fits("b"), "there is somebody at work by now"
    queue.worked("a")
    queue.finish(attempt, State.DONE)
    assert queue.fits("a")


def test_whose_turn_comes_is_woken_however_much_others_have_to_do() -> None:
    others = [Task(f"c{n}", "x", devices=("c",)) for n in range(9)]
    queue = Queue([Task("b", "x", devices=("b",)), *others, Task("any", "x", devices=("a", "b"))], slots={})
    queue.arrived("b", 0.1, ready=True)
    queue.arrived("a", 9.0, ready=True)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(queue.wait("a")), daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    taken = queue.take("b")
    assert taken is not None and taken.task.id == "b"
    waiting.join(60)
    assert found == [True]
