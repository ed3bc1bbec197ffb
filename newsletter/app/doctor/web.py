"""The web pages: their public address, and whether visitors can be told apart there."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app import open_files
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, ok, warning
from newsletter.config.values import LOOPBACK


def check(context: Context) -> Iterator[Finding]:
    """Checks the public address against the address that `newsletter serve` listens on."""
    yield from _open_files()
    base_url, web = context.config.newsletter.base_url, context.config.web
    if not base_url:
        yield ok("no base_url: the pages are served to this machine only, without sign-up")
    elif base_url.startswith("https:") and web.host in LOOPBACK and not web.trusted_hops:
        yield warning(
            f"{base_url} leads through a web server here, which counts as the only visitor",
            "set trusted_hops = 1 under [web], and let it add X-Forwarded-For",
        )
    else:
        yield ok(f"`newsletter serve` answers for {base_url} on {web.host}:{web.port}")


def _open_files() -> Iterator[Finding]:
    files = open_files.allowed()
    if files < open_files.ENOUGH:
        yield warning(
            f"a process may open {files} files at most, which is enough for "
            f"{open_files.connections(files)} connections to the pages",
            f"raise it to {open_files.ENOUGH} (`ulimit -Hn`, or LimitNOFILE in systemd)",
        )
