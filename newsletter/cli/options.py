"""The options that every command takes, before or after its name: --config, --quiet, --verbose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

_CONFIG, _QUIET, _VERBOSE = (f"{__name__}.{name}" for name in ("config", "quiet", "verbose"))
_EPILOG = "Every command also takes --config FILE, -q and -v: see `newsletter --help`."


def takes_global_options(command: click.Command, *, hidden: bool = False) -> None:
    """Adds the options to a command and to all below it, which show them in one line of help."""
    command.params[:0] = [
        _option(
            ["--config"],
            _CONFIG,
            "Configuration file. [default: $NEWSLETTER_CONFIG, else ./config.toml]",
            hidden=hidden,
            metavar="FILE",
        ),
        _option(
            ["-q", "--quiet"],
            _QUIET,
            "Print only errors and what needs attention, for cron. --json is unaffected.",
            hidden=hidden,
            is_flag=True,
        ),
        _option(
            ["-v", "--verbose"],
            _VERBOSE,
            "Also log each step to standard error.",
            hidden=hidden,
            is_flag=True,
        ),
    ]
    if hidden:
        command.epilog = _EPILOG
    if isinstance(command, click.Group):
        for one in command.commands.values():
            takes_global_options(one, hidden=True)


def _option(
    names: Sequence[str], meaning: str, text: str, *, hidden: bool, **kind: Any
) -> click.Option:
    """Returns an option that is kept under `meaning`, and not passed to the command."""
    callback = _remember(meaning)
    return click.Option(
        names, help=text, callback=callback, expose_value=False, hidden=hidden, **kind
    )


def config_option() -> str | None:
    """Returns the path given by `--config`, or `None`."""
    path: str | None = click.get_current_context().meta.get(_CONFIG)
    return path


def use_config(path: str) -> None:
    """Makes the commands that are run from now on use this configuration."""
    click.get_current_context().meta[_CONFIG] = path


def is_quiet() -> bool:
    """Returns whether only errors and what needs attention are printed."""
    return _given(_QUIET)


def is_verbose() -> bool:
    """Returns whether each step is logged."""
    return _given(_VERBOSE)


def _given(name: str) -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(name))


def _remember(name: str) -> Any:
    """Returns the callback of an option. What is written after a command wins."""

    def remember(
        context: click.Context, _option: click.Parameter, value: str | bool | None
    ) -> None:
        if value:
            context.meta[name] = value
        if value and name == _VERBOSE:
            from newsletter.service import logs

            logs.configure("auto", verbose=True)
        if context.meta.get(_QUIET) and context.meta.get(_VERBOSE):
            raise click.UsageError("--quiet and --verbose exclude each other")

    return remember
