"""The use cases about subscribers: sign-up, preferences, the operator's changes, signed links.

Only builds them, from a configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from newsletter.config.schema import Config
from newsletter.storage.database import Database

# Imported where they are used: a command needs only one of them.
if TYPE_CHECKING:
    from newsletter.editions.notices import Notices
    from newsletter.messages.links import SubscriberLinks
    from newsletter.planning.rules import Rules
    from newsletter.subscribers.expiry import Expiry
    from newsletter.subscribers.lifecycle import Lifecycle
    from newsletter.subscribers.list_import import SubscriberImport
    from newsletter.subscribers.preferences import PreferenceCentre
    from newsletter.subscribers.settings_links import SettingsLinks
    from newsletter.subscribers.signup import Signup
    from newsletter.subscribers.suppression_undo import SuppressionUndo
    from newsletter.subscribers.visitor_mail import VisitorMail
    from newsletter.subscribers.visitor_requests import VisitorRequests


class SubscriberUseCases:
    """The use cases of one configuration, each built on first access.

    Args:
        config: the configuration.
        database: the installation's database.
        notices: returns what renders transactional mails; called when one is sent.
        clock: returns the current instant, aware.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        notices: Callable[[], Notices],
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._database = database
        self._notices = notices
        self._clock = clock

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Adds, changes, pauses and removes subscribers."""
        from newsletter.subscribers.lifecycle import Lifecycle

        return Lifecycle(self._database, self._rules, self._clock)

    @cached_property
    def list_import(self) -> SubscriberImport:
        """Imports subscribers from a file."""
        from newsletter.subscribers.list_import import SubscriberImport

        return SubscriberImport(self._database, self._rules, self._clock)

    @cached_property
    def suppression_undo(self) -> SuppressionUndo:
        """Lifts the suppressions of a storm of refusals."""
        from newsletter.subscribers.suppression_undo import SuppressionUndo

        return SuppressionUndo(self._database, self._rules, self._clock)

    @cached_property
    def links(self) -> SubscriberLinks:
        """Creates and verifies the signed links sent to subscribers."""
        from newsletter.messages.links import SubscriberLinks

        keys = [key.get_secret_value().encode() for key in self._config.web.secret_keys]
        # Links in mails sent before any key was configured stay valid.
        return SubscriberLinks(self._config.newsletter.base_url, (*keys, self._database.keys.links))

    @cached_property
    def signup(self) -> Signup:
        """Records visitors' requests, and carries them out once confirmed."""
        from newsletter.subscribers.signup import Signup

        return Signup(self._database, self._rules, self._visitor_mail, self.links, self._clock)

    @cached_property
    def visitor_requests(self) -> VisitorRequests:
        """Processes the recorded requests of visitors."""
        from newsletter.subscribers.visitor_requests import VisitorRequests

        return VisitorRequests(
            self._database, self._rules, self._visitor_mail, self.links, self._clock
        )

    @cached_property
    def expiry(self) -> Expiry:
        """Ends pauses whose date has come, and deletes sign-ups that were never confirmed."""
        from newsletter.subscribers.expiry import Expiry

        return Expiry(self._database, self._rules, self._clock)

    @cached_property
    def preference_centre(self) -> PreferenceCentre:
        """Carries out what subscribers do with their own links."""
        from newsletter.subscribers.preferences import PreferenceCentre

        return PreferenceCentre(self._database, self.lifecycle, self._rules, self._clock)

    @cached_property
    def settings_links(self) -> SettingsLinks:
        """Verifies and ends the links to subscribers' preferences."""
        from newsletter.subscribers.settings_links import SettingsLinks

        return SettingsLinks(self._database, self.links, self._clock)

    @cached_property
    def _visitor_mail(self) -> VisitorMail:
        from newsletter.subscribers.visitor_mail import VisitorMail

        return VisitorMail(self._notices(), self.links, self._config.newsletter.name)

    @cached_property
    def _rules(self) -> Rules:
        from newsletter.app import factories

        return factories.rules(self._config)
