"""`run`, `send-test`, `pause` and `continue`: commands that send, pause and resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import click

from newsletter.cli.base import (
    FAILED,
    json_option,
    reported,
    secure_files,
    show_excerpt,
)
from newsletter.cli.options import config_option, is_quiet, is_verbose
from newsletter.cli.terminal import note, say
from newsletter.errors import (
    ClockBehind,
    ConfigError,
    DatabaseMissing,
    DatabaseOlder,
    NewsletterError,
    RenderError,
    SendingPaused,
    StorageError,
)

if TYPE_CHECKING:
    from newsletter.app.composition import App
    from newsletter.cli.signals import Signals
    from newsletter.config.schema import Config
    from newsletter.delivery.run import Progress
    from newsletter.delivery.sending import RunResult
    from newsletter.papers.report import CaptureReport
    from newsletter.planning.plan import PlanResult


@click.command()
@click.option(
    "--due-now", is_flag=True, help="Treat every subscriber as due; schedules do not change."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be sent to whom, and why others get nothing; change nothing. The sources "
    "are read and the database is copied, which takes a while if it is large. The mail server is "
    "not contacted, so what it would refuse cannot be foreseen.",
)
@json_option
def run(*, due_now: bool, dry_run: bool, as_json: bool) -> int:
    """Ingest, plan and send once; for cron or a timer. Overlapping runs are safe."""
    from newsletter.app.composition import opened
    from newsletter.app.factories import sending_problems
    from newsletter.cli.signals import Signals, Stopped
    from newsletter.config.file import load_config

    loaded = load_config(config_option())
    if dry_run:
        from newsletter.cli.dry_run import rehearse

        return rehearse(loaded, due_now=due_now, as_json=as_json)
    secure_files(loaded)
    if problems := sending_problems(loaded):
        with suppress(StorageError), opened(loaded, create=False) as app:
            app.sending.note_stopped("; ".join(problems))
            _report_without_mail(app)
        raise ConfigError(problems, hint="`newsletter config check` lists them")
    status = 0
    with Signals() as signals, opened(loaded, create=False) as app:
        remarks = remarked(app, as_json=as_json)
        try:
            with signals.ends_at_once():
                found = captures_of(app, loaded)
                status = reported(found, as_json=as_json, decide=True)
            result = ran(app, signals, due_now=due_now)
        except Stopped:
            result = _nothing()
        status = max(status, _summarised(app, result, remarks, as_json=as_json))
        app.database.erasures.finish()
        status = max(status, _backed_up(app, loaded, signals))
        return signals.exit_status if signals.number else status


def captures_of(app: App, config: Config) -> Iterator[CaptureReport]:
    """Ingests what the sources have, and what interrupted runs left."""
    return app.sources.ingest_configured() if config.sources else app.ingest.leftovers()


def ran(app: App, signals: Signals, *, due_now: bool) -> RunResult:
    """Plans and sends. Errors become the reason why the run stopped."""
    from newsletter.cli import mail_output
    from newsletter.planning.plan import PlanResult

    progress = mail_output.SendingProgress()
    try:
        fault: RenderError | None = None
        with signals.ends_at_once():
            try:
                app.sending.refuse(app.clock())
                planned = app.planner.plan(due_now=due_now)
                _log("planned", subscribers=planned.subscribers, editions=planned.editions)
            except RenderError as error:  # frozen editions can still be sent
                planned, fault = PlanResult(), error
        return _sent(app, planned, signals, progress.show, fault)
    except SendingPaused:
        return _nothing()
    except (ClockBehind, DatabaseOlder) as error:
        _report_without_mail(app)
        return _nothing(str(error))
    except NewsletterError as error:
        app.sending.note_stopped(str(error))
        _report_without_mail(app)
        if isinstance(error, ConfigError):
            raise
        return _nothing(str(error))
    finally:
        progress.clear()


def _report_without_mail(app: App) -> None:
    app.alerts.report_without_mail(app.clock())
    _say_faults(app)


def _sent(
    app: App,
    planned: PlanResult,
    signals: Signals,
    progress: Progress,
    fault: RenderError | None,
) -> RunResult:
    """Sends, says whom a report did not reach, and pings after a healthy run."""
    result = app.sending.send(planned, signals.stop, progress, str(fault or ""))
    if fault and result.stopped == str(fault):
        result.excerpt = fault.excerpt
    _log("sent", **{str(state): many for state, many in result.summary.counts.items()})
    _say_faults(app)
    if not signals.stop.is_set() and not result.stopped:
        with suppress(StorageError):
            if failure := app.alerts.ping(app.clock()):
                say(f"error: {failure}", err=True)
    return result


def _say_faults(app: App) -> None:
    for fault in app.alerts.take_faults():
        say(f"error: {fault}", err=True)


def _log(step: str, **facts: object) -> None:
    """Logs a step, if --verbose asks for that."""
    if is_verbose():
        import structlog

        structlog.get_logger(__name__).info(step, **facts)


def _nothing(stopped: str = "") -> RunResult:
    from newsletter.delivery.sending import RunResult

    return RunResult(stopped=stopped)


def remarked(app: App, *, as_json: bool) -> list[str]:
    """Returns the remarks about sources as they are before the run, and shows them to people."""
    remarks = [remark.text for remark in app.status.source_remarks()]
    for remark in remarks if not as_json else ():
        note(remark)
    return remarks


def _summarised(app: App, result: RunResult, remarks: list[str], *, as_json: bool) -> int:
    from newsletter.cli import mail_output, output

    reasons = idle_reasons(app, result)
    if as_json:
        output.print_json({**mail_output.ran_row(result, reasons), "remarks": remarks})
    else:
        urgent = is_quiet() and mail_output.wants_attention(result)
        for line in mail_output.ran_lines(result, reasons):
            say(line, err=urgent)
        if result.stopped:
            say(f"error: {result.stopped}", err=True)
            show_excerpt(result.excerpt)
    return FAILED if mail_output.wants_attention(result) else 0


def idle_reasons(app: App, result: RunResult) -> tuple[str, ...]:
    """Returns why no edition was sent, if that is so and the database can tell."""
    if result.summary.done > result.summary.notices or result.planned.subscribers:
        return ()
    try:
        return app.status.read().idle_reasons
    except StorageError:
        if not result.stopped:
            raise
        return ()  # it is why the run stopped


def _backed_up(app: App, config: Config, signals: Signals) -> int:
    """Makes the day's backup, if it is due and the run was not interrupted."""
    from newsletter.app import automatic_backups
    from newsletter.cli.signals import Stopped

    try:
        with signals.ends_at_once():
            made = automatic_backups.make_if_due(config, app.database, app.clock())
            _log("backup", made=made)
    except Stopped:
        return 0
    except StorageError as error:
        if not signals.number:  # otherwise it was interrupted
            say(f"error: no backup was made: {error}", err=True)
            return FAILED
    return 0


@click.command("send-test")
@click.argument("address")
@json_option
def send_test(address: str, *, as_json: bool) -> int:
    """Send a test mail the way editions are sent."""
    from newsletter.cli import mail_output, output
    from newsletter.cli.signals import Signals
    from newsletter.config.file import load_config
    from newsletter.subscribers.lifecycle import address_of

    to, loaded = address_of(address), load_config(config_option())
    with Signals() as signals, _opened_or_temporary(loaded) as app:
        row = app.test_mail.send(to, signals.stop)
        message_id = app.records.message_id(row)
    if as_json:
        output.print_json(mail_output.delivery_row(row, message_id))
    else:
        failed = row.state != "sent"
        say(f"{row.state}: {row.reply or 'the server said nothing'}", err=failed and is_quiet())
    return 0 if row.state == "sent" else FAILED


@contextmanager
def _opened_or_temporary(config: Config) -> Iterator[App]:
    """Opens the use cases, before the first ingest with a database that is thrown away.

    Creating the configured one would hide that it is missing.
    """
    from newsletter.app.composition import opened
    from newsletter.app.throw_away import throw_away

    with ExitStack() as stack:
        try:
            app = stack.enter_context(opened(config, create=False))
        except DatabaseMissing:
            app = stack.enter_context(throw_away(config))
        yield app


@click.command()
@json_option
def pause(*, as_json: bool) -> None:
    """Stop all sending until `continue`; nothing is lost."""
    said = "Sending is stopped. `newsletter continue` starts it."
    _set_sending("pause", {"paused": True}, said, as_json=as_json)


@click.command("continue")
@json_option
def go_on(*, as_json: bool) -> None:
    """Resume sending; also after the clock was corrected."""
    said = "Sending resumes with the next `newsletter run`."
    _set_sending("resume", {"paused": False}, said, as_json=as_json)


def _set_sending(what: str, row: dict[str, bool], said: str, *, as_json: bool) -> None:
    from newsletter.app.composition import opened
    from newsletter.cli.output import print_json
    from newsletter.config.file import load_config

    with opened(load_config(config_option()), create=False) as app:
        getattr(app.sending, what)()
    print_json(row) if as_json else say(said)


COMMANDS: Sequence[click.Command] = (run, send_test, pause, go_on)
