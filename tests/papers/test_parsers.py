"""Parsing in separate processes gives the same result, and no capture stops another."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from newsletter import formats
from newsletter.errors import (
    ParserDied,
    ParserFailed,
    ParsingStopped,
    SnapshotUnreadable,
    UsageError,
)
from newsletter.models import DatedBy, Paper
from newsletter.papers.parser_process import Limits
from newsletter.papers.parsers import Parsers
from tests.support import hostile_reader
from tests.support.format_captures import CAPTURES

SHORT = Limits(seconds=1.0, memory=2**29, output=2**22)
GOOD = b'[{"paper": {"id": "2611.00001", "title": "Lanterns"}, "title": "Lanterns"}]'


@pytest.fixture(scope="module")
def hostile() -> Iterator[Parsers]:
    """Parsers with low limits, and a reader that does what the capture says."""
    with Parsers(SHORT, hostile_reader.FUNCTION) as parsers:
        yield parsers


def parse(parsers: Parsers, data: bytes, format: str | None = None) -> formats.Reading:
    """Parses bytes without a day."""
    return parsers.read(data, day=None, dated_by=None, format=format)


def test_the_result_is_the_same_as_in_process() -> None:
    """Nothing of any format is lost between the processes."""
    papers = [
        Paper(
            f"Lantern number {number} \u2068seen\u2069 from the h\u00e4rbour \U0001f3ee",
            abstract="We look. " * number,
            authors=("Mira Okafor", "Jonas Lindqvist"),
            arxiv_id=f"2611.{number:05}",
            categories=("cs.LG", "cs.RO"),
            published_on=date(2026, 11, 20),
            upvotes=number,
        )
        for number in range(1, 251)
    ]
    captures = [build(papers) for builders in CAPTURES.values() for build in builders]
    with Parsers() as parsers:
        for data in captures:
            assert parse(parsers, data) == formats.read(data, day=None, dated_by=None)
    assert len(captures) >= len(CAPTURES)


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (hostile_reader.SPINS, "reading it took longer than 1 s"),
        (hostile_reader.PRINTS, "reading it took longer than 1 s"),
        (hostile_reader.EATS, "reading it needs more than 512 MB of memory"),
        (hostile_reader.ENDLESS, "what it gives is larger than 4 MB"),
    ],
)
def test_a_limit_stops_one_capture(
    capfd: pytest.CaptureFixture[str], capture: bytes, reason: str
) -> None:
    """The reason names the limit, the terminal stays empty, and the next capture is parsed."""
    limits = SHORT if "longer" in reason else replace(SHORT, seconds=60.0)
    with Parsers(limits, hostile_reader.FUNCTION) as parsers:
        with pytest.raises(ParsingStopped, match=reason):
            parse(parsers, capture)
        assert parse(parsers, GOOD).snapshot.papers[0].title == "Lanterns"
    assert capfd.readouterr() == ("", "")


def test_errors_are_passed_on_unchanged(hostile: Parsers) -> None:
    """They keep their message, place and hint, and the process continues."""
    with pytest.raises(SnapshotUnreadable) as ours:
        formats.parse(b"a diary")
    with pytest.raises(SnapshotUnreadable) as theirs:
        parse(hostile, b"a diary")
    assert vars(theirs.value) == vars(ours.value)
    with pytest.raises(UsageError, match="there is no format “none”"):
        parse(hostile, GOOD, "none")


def test_a_process_that_dies_is_replaced(hostile: Parsers) -> None:
    """Its capture is not held at once, and the next one gets a new process."""
    with pytest.raises(ParserDied):
        parse(hostile, hostile_reader.DIES)
    assert parse(hostile, GOOD).format == "api-json"


def test_a_process_that_cannot_start_holds_no_capture() -> None:
    """The error says what to do."""
    with Parsers(function="newsletter.formats:none") as parsers:
        with pytest.raises(ParserFailed, match="nothing is lost") as failed:
            parse(parsers, GOOD)
        assert not isinstance(failed.value, ParserDied)


def test_closing_stops_a_running_parse() -> None:
    """The waiting thread gets an error at once, long before the limit."""
    parsers = Parsers(Limits(seconds=3600.0), hostile_reader.FUNCTION)
    parse(parsers, GOOD)
    failed: list[ParserFailed] = []

    def wait() -> None:
        try:
            parse(parsers, hostile_reader.SPINS)
        except ParserFailed as error:
            failed.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while parsers._idle:  # until it is taken
        time.sleep(0.001)
    parsers.close()
    waiting.join(60)
    assert "reading was stopped" in str(failed[0])
    with pytest.raises(ParserFailed):
        parse(parsers, GOOD)


def test_closing_stops_a_starting_process() -> None:
    """The error is that reading was stopped, and not that the machine has too little memory."""
    parsers = Parsers(Limits(), "tests.support.slow_reader:read")
    failed: list[str] = []

    def wait() -> None:
        with pytest.raises(ParserFailed) as error:
            parse(parsers, GOOD)
        failed.append(str(error.value))

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not parsers._all:
        time.sleep(0.001)
    parsers.close()
    waiting.join(60)
    assert "reading was stopped" in failed[0]


def test_a_process_does_not_outlive_its_parent() -> None:
    """It ends even in the middle of C code that never ends."""
    script = f"""
import os
from newsletter.papers.parser_process import Limits
from newsletter.papers.parsers import Parsers
from tests.support import hostile_reader
parsers = Parsers(Limits(seconds=2.0), hostile_reader.FUNCTION)
parsers.read({GOOD!r}, day=None, dated_by=None, format=None)
print(parsers._idle[0]._child.pid, flush=True)
parsers.read(hostile_reader.SPINS, day=None, dated_by=None, format=None)
"""
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    child = os.pidfd_open(int(starter.stdout.readline()))
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    assert select.select([child], [], [], 60)[0]  # readable when it has ended
    os.close(child)


def test_the_day_is_passed_on(hostile: Parsers) -> None:
    """It determines how rows without a day are read."""
    day = date(2026, 11, 21)
    found = hostile.read(GOOD, day=day, dated_by=DatedBy.NAME, format=None)
    assert found == formats.read(GOOD, day=day, dated_by=DatedBy.NAME)
    assert found.snapshot.papers[0].listed_on == day
