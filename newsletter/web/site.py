"""Renders the templates of `web/` to responses with the appropriate headers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

from newsletter.app.site import Site
from newsletter.editions.template_errors import FAULTS, template_error
from newsletter.editions.templating import environment, loader

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy: no external resources, no inline scripts or styles."""


class Pages:
    """Renders pages from templates.

    Args:
        about: the values available to every page.
        templates_dir: the operator's templates; each file there overrides the bundled one.

    Raises:
        RenderError: the folder does not exist.
    """

    def __init__(self, about: Site, templates_dir: Path | None) -> None:
        self.site = about
        self._folder = templates_dir
        self._templates: Environment = environment(loader(templates_dir))

    def text(self, name: str, **facts: object) -> str:
        """Renders a template of `web/`.

        Raises:
            RenderError: the template is wrong, or uses a value that does not exist.
        """
        try:
            return self._templates.get_template(f"web/{name}").render(site=self.site, **facts)
        except FAULTS as exc:
            raise template_error(exc, f"web/{name}", self._folder) from exc

    def page(
        self, name: str, status: int = 200, *, private: bool = True, **facts: object
    ) -> Response:
        """Renders a page.

        Args:
            name: the name of the template.
            status: the HTTP status.
            private: whether the page is personal or momentary, so that it must not be cached.
        """
        kept = "no-store" if private else "public, max-age=60"
        text = self.text(f"{name}.html.j2", **facts)
        return HTMLResponse(text, status, {"Cache-Control": kept})

    def address(self, path: str, **asks: object) -> str:
        """Returns the path of a page on this site, with a query string."""
        query = f"?{urlencode({name: str(value) for name, value in asks.items()})}" if asks else ""
        return f"{self.site.root}{path}{query}"

    def say(self, heading: str, text: str, status: int = 200) -> Response:
        """Renders a page with a short message and a link to the front page."""
        return self.page(
            "message",
            status,
            heading=heading,
            text=text,
            link_url=f"{self.site.root}/",
            link_label=self.site.name,
        )
