"""The command that looks at everything that must be right before mail arrives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from newsletter.cli.base import FAILED, config_option, json_option
from newsletter.cli.terminal import say
from newsletter.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from newsletter.domains import Finding
    from newsletter.resolver import Resolver

_WIDTH = 9


@click.command()
@click.option("--offline", is_flag=True, help="Ask nobody but this machine.")
@click.option("--dkim-selector", metavar="NAME", default="", help="Look at this DKIM key.")
@click.option("--nameserver", metavar="ADDRESS", help="Ask this name server about the domain.")
@click.option("--send", "send_to", metavar="ADDRESS", help="Send a test mail too.")
@json_option
def doctor(
    dkim_selector: str,
    nameserver: str | None,
    send_to: str | None,
    *,
    offline: bool,
    as_json: bool,
) -> int:
    """Look at everything that must be right before mail arrives. Sends nothing unless asked."""
    from newsletter.app.doctor import Asked, Doctor
    from newsletter.cli import output
    from newsletter.cli.signals import Signals
    from newsletter.config.file import config_path, load_config
    from newsletter.subscriptions import address_of

    if not re.fullmatch(r"[A-Za-z0-9_.-]*", dkim_selector):
        raise UsageError("no selector has such a name", where="--dkim-selector")
    if offline and send_to:
        raise UsageError("--send and --offline exclude each other")
    asked = Asked(offline, dkim_selector, address_of(send_to) if send_to else None)
    path = config_option()
    try:
        loaded = load_config(path)
    except ConfigError as error:
        for problem in error.problems if as_json else ():
            output.print_json(_row("config", _unloaded(problem, error)))
        raise
    resolver = _resolver(nameserver)
    levels: Counter[str] = Counter()
    with Signals() if send_to else nullcontext() as signals:
        stop = signals.stop if signals else None
        file = config_path(path)
        for name, finding in Doctor(loaded, file, asked, resolver=resolver, stop=stop).findings():
            levels[finding.level] += 1
            if as_json:
                output.print_json(_row(name, finding))
            for line in () if as_json else _lines(name, finding):
                say(line)
    failed = levels["failure"]
    if as_json:
        counts = {"ok": levels["ok"], "warnings": levels["warning"], "failures": failed}
        output.print_json(counts)
    else:
        others = (output.plural(levels["warning"], "warning"), output.plural(failed, "failure"))
        say(", ".join([f"{levels['ok']} ok", *others]))
    if signals and signals.number:
        return signals.exit_status
    return FAILED if failed else 0


def _resolver(nameserver: str | None) -> Resolver:
    from newsletter.resolver import Resolver, place

    if nameserver is None:
        return Resolver()
    try:
        return Resolver(*place(nameserver))
    except ValueError as fault:
        raise UsageError(str(fault), where="--nameserver") from fault


def _unloaded(problem: str, error: ConfigError) -> Finding:
    from newsletter.domains import failure

    return failure(problem, error.hint or f"mend it in {error.where}")


def _row(name: str, finding: Finding) -> dict[str, Any]:
    return {
        "check": name,
        "level": finding.level,
        "what": finding.what,
        "hint": finding.hint or None,
        "record": finding.record or None,
    }


def _lines(name: str, finding: Finding) -> Iterator[str]:
    yield f"{finding.level:<{_WIDTH}}{name}: {finding.what}"
    if finding.hint:
        yield f"{'':{_WIDTH}}{finding.hint}"
    if finding.record:
        yield f"{'':{_WIDTH}}    {finding.record}"
