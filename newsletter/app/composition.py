"""The composition root: builds the use cases from a configuration.

Does nothing else: commands, pages and the service call the use cases directly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.app.clock import now
from newsletter.config.schema import Config
from newsletter.papers.ingest import Ingest
from newsletter.papers.parsers import Parsers
from newsletter.papers.snapshot_review import SnapshotReview
from newsletter.papers.source_ingest import SourceIngest
from newsletter.storage.database import Database

# Imported where they are used: ingesting a file needs none of them, and importing them would
# double the time it takes.
if TYPE_CHECKING:
    from newsletter.app.alerts import Alerts
    from newsletter.app.edition_previews import EditionPreviews
    from newsletter.app.status import StatusReader
    from newsletter.app.subscriber_use_cases import SubscriberUseCases
    from newsletter.app.template_check import TemplateCheck
    from newsletter.app.trace import Trace
    from newsletter.delivery.records import DeliveryRecords
    from newsletter.delivery.run import DeliveryRun, Progress
    from newsletter.delivery.send_test import TestMail
    from newsletter.delivery.sending import Sending
    from newsletter.editions.build import EditionBuilder
    from newsletter.editions.notices import Notices
    from newsletter.editions.preview import PreviewWriter
    from newsletter.planning.due_times import DueTimes
    from newsletter.planning.edition_review import EditionReview
    from newsletter.planning.plan import Planning
    from newsletter.planning.planner import Planner


class App:
    """The use cases of one configuration, each built on first access.

    Args:
        config: the configuration.
        database: the installation's database; if omitted, the configured one is opened.
        clock: returns the current instant, aware.
        parsers: parses captures, if not as `Parsers` does.
    """

    def __init__(
        self,
        config: Config,
        database: Database | None = None,
        clock: Callable[[], datetime] = now,
        parsers: Parsers | None = None,
    ) -> None:
        self._config = config
        self.database = database or Database(config.database.url)
        self.clock = clock
        self.parsers = parsers or Parsers()

    def close(self) -> None:
        """Ends the processes that parse, and closes the database."""
        self.parsers.close()
        self.database.close()

    # --- captures → log

    @cached_property
    def ingest(self) -> Ingest:
        """Ingests captures into the log."""
        return Ingest(self.database, self.clock, self.parsers.parse)

    @cached_property
    def snapshot_review(self) -> SnapshotReview:
        """Lists snapshots, and releases or rejects held ones."""
        return SnapshotReview(self.database, self.clock, self.parsers.parse)

    @cached_property
    def sources(self) -> SourceIngest:
        """Reads the sources and ingests their captures."""
        config = self._config
        zone = config.newsletter.time_zone
        return SourceIngest(config.sources, self.ingest, self.database, self.clock, zone)

    # --- log → editions and deliveries

    @cached_property
    def builder(self) -> EditionBuilder:
        """Builds editions."""
        from newsletter.app import edition_factories

        return edition_factories.builder(self._config)

    @cached_property
    def planning(self) -> Planning:
        """Plans editions and deliveries for one instant."""
        from newsletter.app import edition_factories, factories
        from newsletter.planning.plan import Planning

        domain = (
            edition_factories.sender(self._config).domain
            if self._config.newsletter.sender
            else None
        )
        return Planning(
            self.database,
            lambda: self.builder,
            edition_factories.theme_settings(self._config),
            factories.rules(self._config),
            domain,
        )

    @cached_property
    def due_times(self) -> DueTimes:
        """Recomputes due times after the rules have changed."""
        from newsletter.app import factories
        from newsletter.planning.due_times import DueTimes

        return DueTimes(self.database, factories.rules(self._config))

    @cached_property
    def planner(self) -> Planner:
        """Runs planning, and builds the next edition for a preview."""
        from newsletter.app import edition_factories
        from newsletter.planning.planner import Planner

        return Planner(
            self.planning,
            self.due_times,
            lambda: self.builder,
            edition_factories.theme_settings(self._config),
            self.database,
            [section.name for section in self._config.sources],
            self.clock,
        )

    @cached_property
    def edition_review(self) -> EditionReview:
        """Lists editions, and releases or rejects held ones."""
        from newsletter.planning.edition_review import EditionReview

        return EditionReview(self.database)

    @cached_property
    def previews(self) -> PreviewWriter:
        """Writes an edition to files."""
        from newsletter.app import edition_factories

        return edition_factories.preview_writer(self._config, self.clock)

    @cached_property
    def edition_previews(self) -> EditionPreviews:
        """Finds the editions to preview."""
        from newsletter.app.edition_previews import EditionPreviews

        return EditionPreviews(self.database, self.planner)

    # --- deliveries → mail

    def delivery(
        self, stop: threading.Event, progress: Progress, *, persistent: bool = False
    ) -> DeliveryRun:
        """Builds a delivery run.

        Args:
            stop: set by the caller to end the run between two messages.
            progress: called after every commit.
            persistent: whether to wait indefinitely for a database that is locked or out of
                space; otherwise the run gives up after a few tries.

        Raises:
            ConfigError: a setting that the transport needs is missing.
        """
        from newsletter.app import factories
        from newsletter.delivery.personalise import Personaliser
        from newsletter.delivery.run import DeliveryRun
        from newsletter.delivery.stop import RunStop

        run_stop = RunStop.of(stop)  # the sessions also wait less once the run has stopped itself
        transport = factories.transport(self._config, run_stop)
        personaliser = Personaliser(
            self.database, factories.origin(self._config), transport.encoded
        )
        limits = factories.limits(self._config)
        if persistent:
            limits = replace(limits, commit_tries=None)
        return DeliveryRun(
            self.database, transport, personaliser, limits, self.clock, run_stop, progress
        )

    @cached_property
    def sending(self) -> Sending:
        """Sends planned deliveries; pauses and resumes all sending."""
        from newsletter.delivery.sending import Sending

        return Sending(self.database, self.delivery, self._report, self.clock)

    @cached_property
    def test_mail(self) -> TestMail:
        """Sends a test mail."""
        from newsletter.app import factories
        from newsletter.delivery.send_test import TestMail

        return TestMail(
            self.database,
            self.sending,
            self.delivery,
            self.notices,
            self._config.newsletter.name,
            factories.through(self._config),
            self.clock,
        )

    @cached_property
    def records(self) -> DeliveryRecords:
        """Lists deliveries, and retries or settles them."""
        from newsletter.app import edition_factories
        from newsletter.delivery.records import DeliveryRecords

        domain = edition_factories.sender(self._config).domain
        of_notices = edition_factories.notice_sender(self._config).domain
        return DeliveryRecords(self.database, domain, of_notices, self.clock)

    @cached_property
    def subscribers(self) -> SubscriberUseCases:
        """The use cases about subscribers."""
        from newsletter.app.subscriber_use_cases import SubscriberUseCases

        return SubscriberUseCases(self._config, self.database, lambda: self.notices, self.clock)

    # --- for the operator

    @cached_property
    def status(self) -> StatusReader:
        """Reads the state of the installation, and why nothing is sent."""
        from newsletter.app.status import StatusReader

        return StatusReader(self._config, self.database, self.clock)

    @cached_property
    def templates(self) -> TemplateCheck:
        """Checks the templates."""
        from newsletter.app.template_check import TemplateCheck

        return TemplateCheck(self._config)

    @cached_property
    def trace(self) -> Trace:
        """Reads the history of one subscriber or one paper."""
        from newsletter.app.trace import Trace

        return Trace(self.database, self.records, self.status)

    @cached_property
    def alerts(self) -> Alerts:
        """Reports to the owner."""
        from newsletter.app.alerts import Alerts

        return Alerts(self._config, self.database, lambda: self.notices)

    def _report(self, at: datetime) -> bool:
        """Reports to the owner. Loads the mail templates only when the first report is due."""
        return self.alerts.report(at)

    @cached_property
    def notices(self) -> Notices:
        """Renders transactional mails."""
        from newsletter.editions.notices import Notices

        folder = self._config.theme.templates_dir
        return Notices(Path(folder) if folder else None)


@contextmanager
def opened(config: Config, *, create: bool = True) -> Iterator[App]:
    """Opens the use cases with the configured database, which is created if it is missing.

    Raises:
        DatabaseMissing: the database is missing, and `create` is false.
    """
    with closing(App(config, Database(config.database.url, create=create))) as app:
        yield app
