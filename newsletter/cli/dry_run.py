"""`run --dry-run`: shows what a run would send to whom, and why others would get nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from newsletter.cli import sending
from newsletter.cli.base import FAILED, reported
from newsletter.cli.terminal import say
from newsletter.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from newsletter.app.dry_run import DryRun, Unsent
    from newsletter.cli.signals import Signals
    from newsletter.config.schema import Config
    from newsletter.delivery.sending import RunResult
    from newsletter.storage.rehearsal import SentMessage

_ADDRESSES = 5
"""Addresses shown for each edition or reason."""
_REASONS = 20
"""Reasons shown why subscribers get nothing."""


def rehearse(config: Config, *, due_now: bool, as_json: bool) -> int:
    """Shows what `run` would do. Returns the exit status that it would have.

    Raises:
        ConfigError: a setting that sending needs is missing.
        StorageError: the database cannot be read or copied.
    """
    from newsletter.app.factories import sending_problems
    from newsletter.cli.signals import Signals, Stopped

    if problems := sending_problems(config):
        raise ConfigError(problems, hint="`newsletter config check` lists them")
    with Signals() as signals:
        try:
            return _rehearsed(config, signals, due_now=due_now, as_json=as_json)
        except Stopped:
            return signals.exit_status
        except StorageError:
            if signals.number:  # it is how SQLite says that it was interrupted
                return signals.exit_status
            raise


def _rehearsed(config: Config, signals: Signals, *, due_now: bool, as_json: bool) -> int:
    from newsletter.app.dry_run import dry_run

    with ExitStack() as stack:
        with signals.ends_at_once():
            dry = stack.enter_context(dry_run(config))
            remarks = sending.remarked(dry.app, as_json=as_json)
            status = reported(sending.captures_of(dry.app, config), as_json=as_json)
        result = sending.ran(dry.app, signals, due_now=due_now)
        result.stopped = dry.in_place(result.stopped)
        with signals.ends_at_once():
            return max(status, _shown(dry, result, remarks, due_now=due_now, as_json=as_json))


def _shown(
    dry: DryRun, result: RunResult, remarks: list[str], *, due_now: bool, as_json: bool
) -> int:
    from newsletter.cli import mail_output, output

    reasons = tuple(map(dry.in_place, sending.idle_reasons(dry.app, result)))
    if as_json:
        for message in dry.sent():
            output.print_json(_message_row(message))
        for unsent in dry.unsent(result, due_now=due_now):
            output.print_json(_unsent_row(unsent))
        last = mail_output.ran_row(result, reasons)
        output.print_json({**last, "remarks": remarks, "dry_run": True})
    else:
        for line in _lines(dry, result, reasons, due_now=due_now):
            say(line)
        if result.stopped:
            say(f"error: {result.stopped}", err=True)
    return FAILED if mail_output.wants_attention(result) else 0


def _message_row(message: SentMessage) -> dict[str, Any]:
    return {
        "address": message.address,
        "edition": message.edition,
        "part": message.part,
        "subject": message.subject,
        "papers": message.papers,
        "queued": message.was_queued,
        "reason": None,
    }


def _unsent_row(unsent: Unsent) -> dict[str, Any]:
    return {
        "address": unsent.address,
        "edition": None,
        "state": unsent.state,
        "reason": unsent.reason,
    }


@dataclass(slots=True)
class _Group:
    """Subscribers with something in common.

    Attributes:
        count: how many there are.
        first: the addresses of the first of them.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, address: str) -> None:
        """Adds a subscriber."""
        self.count += 1
        if len(self.first) < _ADDRESSES:
            self.first.append(address)

    @property
    def rest(self) -> int:
        """The number of subscribers whose address is not shown."""
        return self.count - len(self.first)


def _lines(
    dry: DryRun, result: RunResult, reasons: Sequence[str], *, due_now: bool
) -> Iterator[str]:
    from newsletter.cli import mail_output

    yield "Dry run: nothing is stored, and nothing is sent."
    yield from _sent_lines(dry.sent())
    yield from _unsent_lines(dry.unsent(result, due_now=due_now))
    yield from mail_output.held_back_lines(result, reasons)


def _sent_lines(messages: Iterable[SentMessage]) -> Iterator[str]:
    """Yields the messages by subject, those that are queued already first."""
    from newsletter.text.counted import plural

    groups: dict[tuple[bool, str, int, str, int], _Group] = {}
    for one in messages:
        key = (one.was_queued, one.subject, one.part, one.edition, one.papers)
        groups.setdefault(key, _Group()).add(one.address)
    for (was_queued, subject, _part, _edition, papers), group in groups.items():
        about = f" ({plural(papers, 'paper')})" if papers else ""
        queued = "is queued and " if was_queued else ""
        to = plural(group.count, "address", "addresses")
        yield f"“{subject}”{about} {queued}would be sent to {to}:"
        yield from (f"  {address}" for address in group.first)
        if group.rest:
            yield f"  and {group.rest:,} more"


def _unsent_lines(unsent: Iterable[Unsent]) -> Iterator[str]:
    """Yields the subscribers who would receive nothing, by reason."""
    from newsletter.text.counted import plural

    groups: dict[str, _Group] = {}
    for one in unsent:
        groups.setdefault(one.reason, _Group()).add(one.address)
    if total := sum(group.count for group in groups.values()):
        yield f"{plural(total, 'subscriber')} would receive nothing:"
    for reason, group in list(groups.items())[:_REASONS]:
        more = f" and {group.rest:,} more" if group.rest else ""
        yield f"  {group.count:,} · {reason} ({', '.join(group.first)}{more})"
    if len(groups) > _REASONS:
        others = sum(group.count for group in list(groups.values())[_REASONS:])
        yield f"  {others:,} · for other reasons; `--json` lists them all"
