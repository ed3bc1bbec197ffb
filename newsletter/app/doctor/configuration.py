"""The configuration: problems beyond its values, and files that hold secrets."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from newsletter.app import unfinished
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, failure, ok, warning
from newsletter.config import permissions


def check(context: Context) -> Iterator[Finding]:
    """Checks the configuration file, and the password file it names."""
    file, problems = context.config_file, context.configuration_problems
    yield from (failure(problem, f"fix it in {file}") for problem in problems)
    if not problems:
        yield ok(f"{file} has no problem")
    for remark in unfinished.remarks(context.config):
        setting, _, what = remark.partition(": ")
        yield warning(setting, what)
    yield from _permissions(file, secret=permissions.holds_secret(file.read_text("utf-8")))
    password_file = context.config.transports.smtp.password_file
    if context.is_password_file_unreadable:
        yield failure(f"{password_file} cannot be read", "check its name, owner and mode")
    elif password_file:
        yield from _permissions(Path(password_file), secret=True)


def _permissions(path: Path, *, secret: bool) -> Iterator[Finding]:
    """Yields warnings about what other accounts on this machine can do with a file."""
    mode = path.stat().st_mode
    hint = f"run `chmod o-rwx {shlex.quote(str(path))}`"
    if mode & 0o002:
        yield warning(f"anybody on this machine may change {path}", hint)
    elif secret and mode & 0o004:
        yield warning(f"anybody on this machine may read {path}, which holds a secret", hint)
