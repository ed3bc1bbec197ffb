"""The list of checks is complete and ordered, and the checks are independent of each other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from newsletter.app.doctor.checks import CHECKS, Check, run_checks
from newsletter.app.doctor.context import Context, Options
from newsletter.app.doctor.resolver import Resolver
from newsletter.config.file import load_config
from newsletter.transports.table import TRANSPORTS
from tests.support.doctor import (
    HOME,
    NOW,
    NameServer,
    by_smtp,
    configure,
    ingest_sample,
)
from tests.support.smtp_server import Server


def test_every_transport_has_a_check() -> None:
    """A new transport needs a line in the list under its own name."""
    assert set(TRANSPORTS) <= {name for name, _ in CHECKS}


@pytest.mark.parametrize(("name", "check"), CHECKS)
def test_a_check_finds_the_same_alone_as_after_all_others(
    name: str,
    check: Check,
    tmp_path: Path,
    mail: Callable[..., Server],
    names: Callable[..., NameServer],
) -> None:
    """No check depends on another one having run."""
    resolver = Resolver("127.0.0.1", names().port)
    bounces = {"bounce_domain": f"bounces.{HOME}"}
    configure(tmp_path, newsletter=bounces, **by_smtp(mail(size="50000")))
    ingest_sample(tmp_path, at=NOW)
    if name in ("eml", "maildir", "null"):
        configure(tmp_path, delivery={"transport": name})

    def context() -> Context:
        (tmp_path / "newsletter.db").chmod(0o644)  # opening it makes it private
        file = tmp_path / "config.toml"
        options = Options(dkim_selector="s1")
        hostname = "mail.quay"
        return Context(
            load_config(str(file)), file, options, lambda: NOW, resolver, lambda: hostname
        )

    with closing(context()) as shared:
        among_others = [finding for one, finding in run_checks(shared) if one == name]
    with closing(context()) as own:
        assert list(check(own)) == among_others
    if name not in ("DNS", "test"):  # these say nothing here
        assert among_others
