"""Everything that must be right before mail goes out and arrives, looked at in order.

Nothing is sent, unless a test mail is asked for: of the mail server it is asked what it can
do, and whether it takes our login.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from newsletter.app.doctor.dns import Domains
from newsletter.app.doctor.machine import Asked
from newsletter.domains import Finding, failure
from newsletter.errors import NewsletterError

Check = Callable[[], Iterator[Finding]]


def _in_words(check: Check) -> Iterator[Finding]:
    """What a check finds; that it cannot go on is a finding too."""
    try:
        yield from check()
    except NewsletterError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        yield failure(what, error.hint or "mend that, then run this again")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield failure(f"{where}{error.strerror or error}", "check its owner and mode")


class Doctor(Domains):
    """Looks at an installation; see `Machine` for what it is made from."""

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """What is found, each with the name of what was looked at, as it is found."""
        checks: tuple[tuple[str, Check], ...] = (
            ("config", self._configuration),
            ("database", self._storage),
            ("templates", self._templates),
            ("clock", self._time),
            ("sources", self._sources),
            ("subscribers", self._subscribers),
            (self._config.delivery.transport, self._transport),
            ("sender", self._sender),
            ("secrets", self._secrets),
            ("web", self._web),
            ("DNS", self._whether_to_ask),
            ("SPF", self._spf),
            ("DKIM", self._dkim),
            ("DMARC", self._dmarc),
            ("MX", self._mx),
            ("PTR", self._ptr),
            ("test", self._test_mail),
        )
        try:
            for name, check in checks:
                for finding in _in_words(check):
                    yield name, finding
        finally:
            if self._database:
                self._database.close()


__all__ = ["Asked", "Doctor"]
