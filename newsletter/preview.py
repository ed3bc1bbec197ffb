"""A folder of preview files, served to this machine only."""

from __future__ import annotations

import http.server
from functools import partial
from pathlib import Path

import click


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing about each request."""

    def end_headers(self) -> None:
        """Adds that nothing is to be kept: the files change."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def serve_folder(folder: Path, page: str, port: int = 0) -> None:
    """Serves `folder` on a loopback port until Ctrl-C, and says where."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        click.echo(f"http://127.0.0.1:{server.server_address[1]}/{page}  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("")
