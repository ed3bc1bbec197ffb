"""Answers to DNS queries, as the evaluations take them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter.app.doctor.findings import Finding, warning


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A query that got no answer, so nothing is known. `reason` is shown to the operator."""

    reason: str


Answer = tuple[str, ...] | Unanswered
"""The records of a name (empty if it has none of that type), or `Unanswered`."""


def inconclusive(subject: str, unanswered: Unanswered) -> Finding:
    """Returns the finding for a subject whose query got no answer."""
    return warning(
        f"{subject} could not be queried: {unanswered.reason}",
        "that says nothing about it; run this again, or ask another by --nameserver",
    )
