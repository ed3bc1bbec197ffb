"""Metrics for Prometheus, read from the database at each scrape. No label names a subscriber."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newsletter.app.status import Status

_LOOPBACK = ("127.0.0.1", "::1")
_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip")
_REFUSED = "the token is required: `Authorization: Bearer …`\n"
_UNSET = "set metrics_token under [web] to read this here\n"


class Figures(Collector):
    """The metrics at one instant.

    Args:
        status: the state of the installation.
        now: the current instant.
    """

    def __init__(self, status: Status, now: datetime) -> None:
        self._status = status
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yields all metrics."""
        status = self._status
        yield _labelled(
            "newsletter_subscribers",
            "Number of subscribers, by state.",
            "state",
            {str(state): many for state, many in status.subscribers.items()},
        )
        yield _labelled(
            "newsletter_mails",
            "Number of mails that were not sent or wait for another attempt, by state.",
            "state",
            {str(state): many for state, many in status.ended.items()},
        )
        for name, about, count in (
            ("mails_waiting", "Number of mails that can be sent now.", status.queued),
            ("held_snapshots", "Number of snapshots held for review.", len(status.snapshots)),
            ("held_editions", "Number of editions held for review.", len(status.editions)),
        ):
            yield GaugeMetricFamily(f"newsletter_{name}", about, value=count)
        yield from self._sources()
        if status.next_due_at:
            yield GaugeMetricFamily(
                "newsletter_next_due_seconds",
                "Seconds until the next subscriber is due; negative if overdue.",
                value=(status.next_due_at - self._now).total_seconds(),
            )

    def _sources(self) -> Iterator[Metric]:
        sources = self._status.sources
        yield _labelled(
            "newsletter_source_failing",
            "Whether the last attempt to read the source failed: 1 if it did, 0 if not.",
            "source",
            {one.name: float(one.failing_since is not None) for one in sources},
        )
        yield _labelled(
            "newsletter_source_age_seconds",
            "Seconds since the source was last read successfully.",
            "source",
            {
                one.name: (self._now - one.captured_at).total_seconds()
                for one in sources
                if one.captured_at
            },
        )


def _labelled(name: str, about: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], figure)
    return family


def route(
    status: Callable[[], Status], now: Callable[[], datetime], token: str, *, is_public: bool
) -> Route:
    """Returns the route `/metrics`.

    Args:
        status: reads the state of the installation.
        now: returns the current instant.
        token: the token that a request must present; empty if there is none.
        is_public: whether the pages have a public address. Then a proxy may be in front of them,
            for which every request comes from this machine, so the token is always required.
            Otherwise it is not required of programs on this machine.
    """

    def answer(request: Request) -> Response:
        if not (_has_token(request, token) or (not is_public and _is_here(request))):
            return PlainTextResponse(_REFUSED if token else _UNSET, 403)
        registry = CollectorRegistry()
        registry.register(Figures(status(), now()))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", answer, methods=["GET"])


def _has_token(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _is_here(request: Request) -> bool:
    """Returns whether a program on this machine asks, and not a proxy for another one."""
    forwarded = any(
        name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers
    )
    return bool(request.client and request.client.host in _LOOPBACK and not forwarded)
