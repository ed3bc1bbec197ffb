"""`subscribers import`: adds the subscribers of a CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

from newsletter.cli.base import FAILED, json_option
from newsletter.cli.terminal import note, say
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.subscribers.csv_columns import SubscriberRow
    from newsletter.subscribers.csv_import import Problem, SubscriberFile


@click.command("import")
@click.argument("file", type=click.Path(allow_dash=True))
@json_option
def import_subscribers(file: str, *, as_json: bool) -> int:
    """Add the subscribers in a CSV file; `-` reads standard input.

    Its first line names the columns: address, and optionally cadence, time_zone and send_at.
    Exports of listmonk, Mailchimp, Substack, Buttondown and Ghost are read as they are.
    Unsubscribed and suppressed addresses stay so, and known subscribers keep their preferences.
    """
    from time import monotonic

    from newsletter.app import unfinished
    from newsletter.app.composition import opened
    from newsletter.cli import mail_output, output
    from newsletter.cli.options import config_option
    from newsletter.config.file import load_config
    from newsletter.errors import UsageError
    from newsletter.subscribers.csv_import import read
    from newsletter.subscribers.list_import import Imported

    done, began = Imported(), monotonic()
    with_topics: list[int] = []
    progress = output.Progress(as_json=as_json, always=True)
    loaded = load_config(config_option())
    with _lines(file) as lines, opened(loaded) as app:
        try:
            found = read(lines)
        except ValueError as fault:
            raise UsageError(str(fault), where=file) from fault
        _describe(found)
        rows = _noting_topics(found.rows, with_topics)
        for bad in app.subscribers.list_import.add(rows, done, progress.count):
            progress.clear()
            if as_json:
                problem = {
                    "line": bad.number,
                    "text": bad.problem.text,
                    "problem": bad.problem.what,
                }
                output.print_json(problem)
            else:
                say(f"line {bad.number}: {bad.problem.what} (“{bad.problem.text}”)", err=True)
    progress.clear()
    if with_topics:
        note(unfinished.TOPICS)
    row = mail_output.imported_row(done, monotonic() - began)
    output.print_json(row) if as_json else say(mail_output.imported_line(done))
    if done.bad and not as_json:
        lines_are = plural(done.bad, "line was", "lines were")
        again = "fix them and import the file again: subscribers already added do not change"
        say(f"{lines_are} left out; {again}", err=True)
    return FAILED if done.bad else 0


def _describe(found: SubscriberFile) -> None:
    if found.service:
        note(f"this is an export of {found.service.name}")
        if found.service.remark:
            say(f"warning: {found.service.remark}", err=True)
    for name in found.ignored:
        note(f"the column “{name}” is ignored")


def _noting_topics(
    rows: Iterator[tuple[int, SubscriberRow | Problem]], found: list[int]
) -> Iterator[tuple[int, SubscriberRow | Problem]]:
    """Passes the rows on, and puts the number of the first line with topics into `found`."""
    for number, row in rows:
        if not found and getattr(row, "topics", None):
            found.append(number)
        yield number, row


@contextmanager
def _lines(file: str) -> Iterator[IO[str]]:
    """Opens a file as text. Invalid bytes become U+FFFD, which no address contains."""
    from newsletter.errors import SourceMissing

    try:
        # The parser needs the original line ends.
        with click.open_file(file, encoding="utf-8", errors="replace") as opened:
            yield opened
    except OSError as exc:
        if isinstance(exc, FileNotFoundError):
            raise SourceMissing("no such file", where=file, hint="check the path") from exc
        what = f"cannot be read ({exc.strerror})"
        raise SourceMissing(what, where=file, hint="name a file that may be read") from exc
