"""Serves a preview to this machine only, and nothing but the files of an edition."""

from __future__ import annotations

import http.server
from functools import partial
from pathlib import Path

from newsletter.cli.output import print_json
from newsletter.cli.terminal import say
from newsletter.editions.preview import EDITION_FILE


class _Editions(http.server.SimpleHTTPRequestHandler):
    @property
    def _port(self) -> int:
        return int(self.connection.getsockname()[1])

    def do_GET(self) -> None:
        """Serves a file of an edition to a browser on this machine."""
        here = {f"{name}:{self._port}" for name in ("127.0.0.1", "localhost")}
        if self.headers.get("Host") not in here or not EDITION_FILE.fullmatch(self.path[1:]):
            self.send_error(404)
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815  # the name http.server asks for

    def log_message(self, format: str, *args: object) -> None:
        """Suppresses the request log."""

    def end_headers(self) -> None:
        """Disables caching, because the files change."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def serve_folder(folder: Path, page: str, port: int = 0, *, as_json: bool = False) -> None:
    """Serves the editions in `folder` on a loopback port until Ctrl-C, and prints the URL."""
    handler = partial(_Editions, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/{page}"
        try:
            print_json({"url": url}) if as_json else say(f"{url}  (Ctrl-C ends it)")
            server.serve_forever()
        except KeyboardInterrupt:
            say(err=as_json)
