"""The theme: whether a trial edition renders and passes validation."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, failure, ok


def check(context: Context) -> Iterator[Finding]:
    """Checks the configured theme on a trial edition of the bundled sample."""
    problems = context.theme_problems
    hint = "fix it, or choose another under [theme]"
    yield from (failure(problem, hint) for problem in problems)
    if not problems:
        yield ok(f"a trial edition in the theme {context.config.theme.name} passes its checks")
