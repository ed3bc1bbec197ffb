"""Mistakes on the command line, in one line each."""

from __future__ import annotations

import re

import click

from newsletter.errors import UsageError


def in_words(error: click.ClickException) -> UsageError:
    """Returns the error as one line: the command, what is wrong with it, and where to look."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "newsletter"
    return UsageError(_what(error), where=command, hint=f"see `{command} --help`")


def _what(error: click.ClickException) -> str:
    if isinstance(error, click.MissingParameter) and error.param:
        return f"{_name(error.param)} is missing"
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name}{_meant(error.possibilities)}"
    if isinstance(error, click.NoSuchCommand):
        return f"there is no command {error.command_name}{_meant(error.possibilities)}"
    if isinstance(error, click.BadOptionUsage):
        return f"{error.option_name} needs a value"
    if isinstance(error, click.BadParameter) and error.param:
        return f"{_name(error.param)}: {_wanted(error.param.type) or error.message.rstrip('.')}"
    words = error.format_message().rstrip(".")
    return re.sub(r"^Got unexpected extra arguments? \((.*)\)$", r"unexpected argument: \1", words)


def _name(parameter: click.Parameter) -> str:
    """Returns an option as it is typed, an argument as it is called in the help."""
    if isinstance(parameter, click.Option):
        return parameter.opts[0]
    return parameter.make_metavar(click.get_current_context(silent=True) or _NO_CONTEXT).strip(".")


_NO_CONTEXT = click.Context(click.Command("newsletter"))


def _wanted(kind: click.ParamType[object]) -> str:
    """Returns what to write instead, for the kinds of values that commands take."""
    if isinstance(kind, click.Choice):
        return f"write {_either(list(map(str, kind.choices)))}"
    if isinstance(kind, click.types.IntParamType):
        return "write its number, such as 3"
    return ""


def _meant(names: list[str] | None) -> str:
    return f" (did you mean {_either(names)}?)" if names else ""


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
