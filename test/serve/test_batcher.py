import asyncio
import threading
import time

import pytest

from cls_vla_ros.serve.batcher import Batcher, DeadlineError, Work
from cls_vla_ros.serve.connection import RateLimit
from cls_vla_ros.serve.request import RequestError, parse


def work(session: str, deadline_s: float = 10.0) -> Work:
    request = parse({"reset": True, "deadline": deadline_s})
    return Work(session, request, None, time.monotonic())


def run(many, *, expected=10, wait_s=0.2, max_batch=16, runs=None):
    """What the submissions give, in a loop of their own."""
    batches = []

    def answer(batch):
        batches.append([w.session for w in batch])
        return (runs or (lambda b: [{"session": w.session} for w in b]))(batch)

    async def main():
        options = {"max_batch": max_batch, "wait_s": wait_s, "expected": lambda: expected}
        batcher = Batcher(answer, **options)
        submitted = [batcher.submit(w) for w in many()]
        async with asyncio.timeout(20):
            return await asyncio.gather(*submitted, return_exceptions=True)

    began_s = time.monotonic()
    answers = asyncio.run(main())
    return answers, batches, time.monotonic() - began_s


def test_what_arrives_together_runs_together_after_a_bounded_wait():
    answers, batches, took_s = run(lambda: [work("a"), work("b")])
    assert [answer["session"] for answer in answers] == ["a", "b"]
    assert batches == [["a", "b"]]
    assert 0.2 <= took_s < 1.0


def test_nobody_waits_where_nobody_is_missing():
    *_, took_s = run(lambda: [work("a"), work("b")], expected=2, wait_s=5.0)
    assert took_s < 1.0


def test_nobody_waits_past_a_deadline():
    (answer, _), _, took_s = run(lambda: [work("a"), work("b", 0.05)], wait_s=5.0)
    assert took_s < 1.0
    assert answer == {"session": "a"}


def test_what_is_late_is_not_made():
    (late, good), batches, _ = run(lambda: [work("a", 0.0), work("b")])
    assert isinstance(late, DeadlineError)
    assert good == {"session": "b"}
    assert batches == [["b"]]


def test_a_session_is_once_in_a_batch_and_in_its_order():
    _, batches, _ = run(lambda: [work("a"), work("a"), work("b"), work("c")], max_batch=2)
    assert batches == [["a", "b"], ["a", "c"]]


def test_one_that_fails_does_not_end_the_others():
    def runs(batch):
        if batch[0].session == "a":
            raise ValueError("broken")
        return [{"session": w.session} for w in batch]

    (failed, good), _, _ = run(lambda: [work("a"), work("b")], max_batch=1, runs=runs)
    assert isinstance(failed, ValueError)
    assert good == {"session": "b"}


def test_what_comes_during_a_run_is_the_next_batch():
    going = threading.Event()

    async def main():
        batches = []

        def answer(batch):
            batches.append([w.session for w in batch])
            going.wait(5)
            return [{}] * len(batch)

        batcher = Batcher(answer, max_batch=8, wait_s=0.0, expected=lambda: 1)
        first = asyncio.create_task(batcher.submit(work("a")))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.submit(work(n))) for n in "bcd"]
        await asyncio.sleep(0.05)
        going.set()
        await asyncio.gather(first, *others)
        return batches

    assert asyncio.run(main()) == [["a"], ["b", "c", "d"]]


def test_a_rate_is_held_over_a_second():
    limit = RateLimit(10.0)
    for n in range(10):
        limit.check(100.0 + n / 1000)
    with pytest.raises(RequestError, match="more than 10 requests"):
        limit.check(100.02)
    limit.check(100.2)
