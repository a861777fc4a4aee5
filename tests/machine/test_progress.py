"""Long loops say how far they are: a bar on a terminal, lines at a modest rate in a log."""

import io
import sys

import pytest

from sluguq.machine import progress
from sluguq.machine.progress import Progress


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def stderr(monkeypatch, *, terminal):
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_log_gets_a_line_a_minute_and_one_at_the_end(monkeypatch, clock):
    log = stderr(monkeypatch, terminal=False)
    with Progress(total=10, initial=2, desc="eigenbasis", unit="product") as bar:
        for _ in range(8):
            clock.now += 25
            bar.set_postfix(beta=1)
            bar.update()
    assert log.getvalue().splitlines() == [
        "eigenbasis: 5/10 products, 01:15 elapsed, 02:05 left, beta=1",
        "eigenbasis: 8/10 products, 02:30 elapsed, 00:50 left, beta=1",
        "eigenbasis: 10/10 products, 03:20 elapsed, 00:00 left, beta=1",
    ]


def test_a_short_loop_leaves_no_line(monkeypatch, clock):
    log = stderr(monkeypatch, terminal=False)
    assert list(Progress([3, 4], desc="images", unit="image")) == [3, 4]
    assert log.getvalue() == ""


def test_an_unknown_total_and_iteration(monkeypatch, clock):
    log = stderr(monkeypatch, terminal=False)
    for _ in Progress(iter(range(3)), desc="score", unit="probe"):
        clock.now += 40
    assert log.getvalue().splitlines() == [
        "score: 2 probes, 01:20 elapsed",
        "score: 3 probes, 02:00 elapsed",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = stderr(monkeypatch, terminal=True)
    for _ in Progress(range(3), desc="images", unit="image"):
        pass
    assert "\r" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_where_it_is_not_wanted(monkeypatch, clock, terminal):
    stream = stderr(monkeypatch, terminal=terminal)
    for _ in Progress(range(3), desc="images", unit="image", shown=False):
        clock.now += 100
    assert stream.getvalue() == ""


def test_compilation_is_left_out_of_the_time_left(monkeypatch, clock):
    """The first of ten takes ten minutes, compiled as it is; each further one a minute."""
    log = stderr(monkeypatch, terminal=False)
    with Progress(total=10, desc="train", unit="step") as bar:
        clock.now += 600
        bar.update()
        for _ in range(3):
            clock.now += 60
            bar.update()
    first, second, third, fourth = log.getvalue().splitlines()
    assert first == "train: 1/10 steps, 10:00 elapsed, 1:30:00 left"
    assert second == "train: 2/10 steps, 11:00 elapsed, 08:00 left"
    assert third == "train: 3/10 steps, 12:00 elapsed, 07:00 left"
    assert fourth == "train: 4/10 steps, 13:00 elapsed, 06:00 left"
