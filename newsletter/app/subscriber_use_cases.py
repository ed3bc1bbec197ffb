"""The use cases about subscribers: sign-up, preferences, the operator's changes, signed links.

Builds them from a configuration and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from newsletter.config.schema import Config
from newsletter.storage.database import Database

# Imported where they are used: a command needs one of them.
if TYPE_CHECKING:
    from newsletter.editions.notices import Notices
    from newsletter.messages.links import SubscriberLinks
    from newsletter.planning.rules import Rules
    from newsletter.subscribers.expiry import Expiry
    from newsletter.subscribers.lifecycle import Lifecycle
    from newsletter.subscribers.list_import import SubscriberImport
    from newsletter.subscribers.preferences import PreferenceCentre
    from newsletter.subscribers.signup import Signup
    from newsletter.subscribers.visitor_mail import VisitorMail
    from newsletter.subscribers.visitor_requests import VisitorRequests


class SubscriberUseCases:
    """The use cases of one configuration, each built when it is first asked for.

    Args:
        config: the configuration.
        database: where subscribers are.
        notices: the words of transactional mails.
        clock: the current instant, aware.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        notices: Notices,
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
        """Adds the subscribers of a file."""
        from newsletter.subscribers.list_import import SubscriberImport

        return SubscriberImport(self._database, self._rules, self._clock)

    @cached_property
    def links(self) -> SubscriberLinks:
        """Makes and reads the signed links that subscribers get."""
        from newsletter.messages.links import SubscriberLinks

        keys = [key.get_secret_value().encode() for key in self._config.web.secret_keys]
        # Links in mails from before any key was configured work for ever.
        return SubscriberLinks(self._config.newsletter.base_url, (*keys, self._database.keys.links))

    @cached_property
    def signup(self) -> Signup:
        """Writes down what visitors ask for, and does what they confirm."""
        from newsletter.subscribers.signup import Signup

        return Signup(self._database, self._rules, self._visitor_mail, self.links, self._clock)

    @cached_property
    def visitor_requests(self) -> VisitorRequests:
        """Handles what visitors asked for."""
        from newsletter.subscribers.visitor_requests import VisitorRequests

        return VisitorRequests(
            self._database, self._rules, self._visitor_mail, self.links, self._clock
        )

    @cached_property
    def expiry(self) -> Expiry:
        """Ends pauses, and sign-ups never confirmed."""
        from newsletter.subscribers.expiry import Expiry

        return Expiry(self._database, self._rules, self._clock)

    @cached_property
    def preference_centre(self) -> PreferenceCentre:
        """What a subscriber may do with a link of their own."""
        from newsletter.subscribers.preferences import PreferenceCentre

        return PreferenceCentre(self._database, self.lifecycle, self._rules, self._clock)

    @cached_property
    def _visitor_mail(self) -> VisitorMail:
        from newsletter.subscribers.visitor_mail import VisitorMail

        return VisitorMail(self._notices, self.links, self._config.newsletter.name)

    @cached_property
    def _rules(self) -> Rules:
        from newsletter.app import factories

        return factories.rules(self._config)
