"""A dry run: the real run on a private copy of the database, which is deleted afterwards.

Mail is discarded, and the owner is told nothing. Sources are read as in a run; what they return
is stored in the copy only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from newsletter.app.clock import now
from newsletter.app.composition import App
from newsletter.app.temporary_folder import temporary_folder
from newsletter.app.unsent_reasons import RunFacts, unsent_reason
from newsletter.config.schema import Config
from newsletter.delivery.sending import RunResult
from newsletter.editions.notice_kinds import REPORT, WEEKLY
from newsletter.errors import NewsletterError
from newsletter.models import EditionState, SubscriberState
from newsletter.storage import backups, editions, generations, log, rehearsal, senders
from newsletter.storage.database import Database
from newsletter.storage.database_file import is_there, missing, refuse_foreign, sqlite_path
from newsletter.storage.rehearsal import SentMessage


@dataclass(frozen=True, slots=True)
class Unsent:
    """A subscriber who would receive nothing, and why."""

    address: str
    state: SubscriberState
    reason: str


class DryRun:
    """A run on a copy of the database.

    Attributes:
        app: the use cases, on the copy. They send nothing.

    Args:
        config: the configuration of the installation.
        app: the use cases, on the copy.
        original: the folder of the installation's database.
    """

    def __init__(self, config: Config, app: App, original: Path) -> None:
        self.app = app
        self._config = config
        self._original = original
        with app.database.read() as tx:
            self._before = rehearsal.before(tx)

    def sent(self) -> Iterator[SentMessage]:
        """Yields the messages that would be sent; those that are queued already come first."""
        section = self._config.newsletter
        told_otherwise = bool(section.alert_command.get_secret_value()) or bool(
            section.alert_url.get_secret_value()
        )
        with self.app.database.read() as tx:
            for one in rehearsal.sent(tx, self._before):
                is_report = one.edition in (REPORT, WEEKLY) and not one.was_queued
                if not (is_report and told_otherwise):
                    yield one

    def unsent(self, result: RunResult, *, due_now: bool) -> Iterator[Unsent]:
        """Yields the subscribers who would receive nothing.

        Args:
            result: what the run on the copy returned.
            due_now: whether every active subscriber was treated as due.
        """
        got = {one.subscriber for one in self.sent()}
        otherwise = result.stopped or self.app.status.read().idle_reasons[0]
        at = self.app.clock()
        with self.app.database.read() as tx:
            facts = RunFacts(
                now=at,
                zone=self._config.newsletter.time_zone,
                due_now=due_now,
                limited=result.summary.limited,
                circuits=result.summary.circuits,
                held=editions.listed(tx, EditionState.HELD),
                open=rehearsal.open_deliveries(tx),
                waiting=cache(lambda cursor: log.waiting(tx, cursor)),
                otherwise=self.in_place(otherwise),
            )
            for one in rehearsal.recipients(tx):
                if one.id not in got:
                    yield Unsent(one.address, one.state, unsent_reason(one, facts))

    def in_place(self, text: str) -> str:
        """Returns a text with the path of the copy replaced by that of the original."""
        return text.replace(str(self.app.database.file.parent), str(self._original))


@contextmanager
def dry_run(config: Config, clock: Callable[[], datetime] = now) -> Iterator[DryRun]:
    """Opens a dry run. Changes nothing in the installation's database or beside it.

    Args:
        config: the configuration.
        clock: returns the current time, timezone-aware.

    Raises:
        DatabaseMissing: there is no database.
        StorageError: it cannot be read, or there is no room for the copy.
    """
    original = Path(os.path.realpath(sqlite_path(config.database.url)))
    if not is_there(original):
        raise missing(original)
    refuse_foreign(original, tighten=False)
    with temporary_folder() as name:
        folder = Path(os.path.realpath(name))
        copy = folder / original.name
        try:
            alive = _copied(original, copy)
            with (
                senders.counted_as_alive(copy, alive),
                closing(App(_harmless(config, copy), _opened(copy), clock)) as app,
            ):
                yield DryRun(config, app, original.parent)
        except NewsletterError as error:
            error.where = error.where.replace(str(folder), str(original.parent))
            raise


def _copied(original: Path, copy: Path) -> set[str]:
    """Copies the database and its sending counter. Returns the senders that are at work."""
    alive = senders.alive(original)
    generations.copy(original, copy)
    backups.copy(original, copy)
    return alive | senders.alive(original)


def _opened(copy: Path) -> Database:
    return Database(f"sqlite:///{copy}", create=False)


def _harmless(config: Config, copy: Path) -> Config:
    """Returns a configuration with the same effects on the copy, and none outside it."""
    nowhere = SecretStr("")
    silent = {"alert_command": nowhere, "alert_url": nowhere, "ping_url": nowhere}
    # Rates change how long a run takes, not what it sends.
    discarded: dict[str, object] = {"transport": "null", "max_per_second": None, "per_domain": {}}
    return config.model_copy(
        update={
            "newsletter": config.newsletter.model_copy(update=silent),
            "database": config.database.model_copy(update={"url": f"sqlite:///{copy}"}),
            "delivery": config.delivery.model_copy(update=discarded),
        }
    )
