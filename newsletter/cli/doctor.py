"""`newsletter doctor`: prints the findings of all checks."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import click

from newsletter.cli.base import FAILED, json_option
from newsletter.cli.options import config_option, is_quiet
from newsletter.cli.terminal import say
from newsletter.errors import ConfigError, UsageError
from newsletter.text.counted import plural

if TYPE_CHECKING:
    from newsletter.app.doctor.findings import Finding
    from newsletter.app.doctor.resolver import Resolver
    from newsletter.config.schema import Config

_WIDTH = 9


@click.command()
@click.option("--offline", is_flag=True, help="Make no network requests.")
@click.option(
    "--dkim-selector", metavar="NAME", default="", help="Check the DKIM key of this selector."
)
@click.option("--nameserver", metavar="ADDRESS", help="Use this DNS server.")
@click.option("--send", "send_to", metavar="ADDRESS", help="Also send a test mail to this address.")
@json_option
def doctor(
    dkim_selector: str,
    nameserver: str | None,
    send_to: str | None,
    *,
    offline: bool,
    as_json: bool,
) -> int:
    """Check everything that mail needs to arrive. Sends nothing without --send."""
    from newsletter.app.doctor.checks import run_checks
    from newsletter.app.doctor.context import Context, Options
    from newsletter.cli.signals import Signals
    from newsletter.config.file import config_path
    from newsletter.subscribers.lifecycle import address_of

    if not re.fullmatch(r"[A-Za-z0-9_.-]*", dkim_selector):
        raise UsageError(
            "write letters, digits, hyphens and dots", where=f"--dkim-selector {dkim_selector}"
        )
    if offline and send_to:
        raise UsageError("--send and --offline exclude each other")
    options = Options(offline, dkim_selector, address_of(send_to) if send_to else None)
    path = config_option()
    config = _load(path, as_json=as_json)
    resolver = _resolver(nameserver)
    levels: Counter[str] = Counter()
    with Signals() if send_to else nullcontext() as signals:
        stop = signals.stop if signals else threading.Event()
        context = Context(config, config_path(path), options, resolver=resolver, stop=stop)
        with closing(context):
            for name, finding in run_checks(context):
                levels[finding.level] += 1
                _print(name, finding, as_json=as_json)
    _print_summary(levels, as_json=as_json)
    if signals and signals.number:
        return signals.exit_status
    return FAILED if levels["failure"] else 0


def _load(path: str | None, *, as_json: bool) -> Config:
    """Loads the configuration. With JSON, prints a row for each problem if that fails."""
    from newsletter.app.doctor.findings import failure
    from newsletter.cli import output
    from newsletter.config.file import load_config

    try:
        return load_config(path, to_check=True)
    except ConfigError as error:
        for problem in error.problems if as_json else ():
            found = failure(problem, error.hint or f"fix it in {error.where}")
            output.print_json(_row("config", found))
        raise


def _resolver(nameserver: str | None) -> Resolver:
    from newsletter.app.doctor.resolver import Resolver, parse_nameserver

    if nameserver is None:
        return Resolver()
    try:
        return Resolver(*parse_nameserver(nameserver))
    except ValueError as fault:
        raise UsageError(str(fault), where="--nameserver") from fault


def _print(name: str, finding: Finding, *, as_json: bool) -> None:
    from newsletter.cli import output

    if as_json:
        output.print_json(_row(name, finding))
        return
    for line in _lines(name, finding):
        say(line, err=is_quiet() and finding.level == "failure")


def _print_summary(levels: Counter[str], *, as_json: bool) -> None:
    from newsletter.cli import output

    passed, warnings, failures = (levels[level] for level in ("ok", "warning", "failure"))
    if as_json:
        output.print_json({"ok": passed, "warnings": warnings, "failures": failures})
        return
    others = (plural(warnings, "warning"), plural(failures, "failure"))
    say(", ".join([f"{passed} ok", *others]))


def _row(name: str, finding: Finding) -> dict[str, Any]:
    return {
        "check": name,
        "level": finding.level,
        "what": finding.what,
        "hint": finding.hint or None,
        "record": finding.record or None,
        "excerpt": list(finding.excerpt) or None,
    }


def _lines(name: str, finding: Finding) -> Iterator[str]:
    yield f"{finding.level:<{_WIDTH}}{name}: {finding.what}"
    if finding.hint:
        yield f"{'':{_WIDTH}}{finding.hint}"
    if finding.record:
        yield f"{'':{_WIDTH}}    {finding.record}"
    yield from (f"{'':{_WIDTH}}    {line}" for line in finding.excerpt)
