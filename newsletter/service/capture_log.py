"""Logs the results of captures."""

from __future__ import annotations

import structlog

from newsletter.papers.report import CaptureReport

log = structlog.get_logger()


def log_report(report: CaptureReport) -> None:
    """Logs the result of one capture, as a warning if it is held or failed."""
    if report.postponed:
        log.info("postponed to the next round", **_facts(report))
    elif report.held is not None:
        log.warning("held" if report.snapshot else "source fails", **_facts(report))
    elif report.unchanged:
        log.info("unchanged", source=report.source, origin=report.origin)
    else:
        log.info("captured", **_facts(report))


def _facts(report: CaptureReport) -> dict[str, object]:
    facts: dict[str, object] = {"source": report.source, "origin": report.origin}
    if report.snapshot:
        facts["snapshot"] = report.snapshot
    if report.held is not None:
        return facts | {"reason": report.held}
    counts = report.counts
    return facts | {"new": counts.new, "papers": counts.papers, "learnt": counts.learnt}
