"""Renders the templates of `web/` to responses with the appropriate headers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

from newsletter.config.schema import Config
from newsletter.config.values import name_and_address
from newsletter.editions.templating import FAULTS, environment, loader
from newsletter.errors import RenderError

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The content security policy: no external resources, no inline scripts or styles."""


@dataclass(frozen=True, slots=True)
class Site:
    """The values available to every page.

    Attributes:
        base_url: the public URL of the pages; empty if they are only served on this machine.
        root: the path prefix of all pages; usually empty.
        owner: the public contact address; empty if there is none.
        can_subscribe: whether visitors can subscribe.
        send_at: the time of day at which editions are sent, in each subscriber's time zone.
    """

    name: str
    base_url: str
    root: str
    accent: str
    accent_dark: str
    postal_address: str
    owner: str
    language: str
    can_subscribe: bool
    send_at: str


def site(config: Config) -> Site:
    """Returns the configured site."""
    section = config.newsletter
    return Site(
        name=section.name,
        base_url=section.base_url,
        root=urlsplit(section.base_url).path.rstrip("/"),
        accent=config.theme.accent,
        accent_dark=config.theme.dark,
        postal_address=section.postal_address,
        owner=name_and_address(section.reply_to)[1],
        language=section.language,
        can_subscribe=bool(section.base_url),
        send_at=f"{section.send_at:%H:%M}",
    )


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
        self._templates: Environment = environment(loader(templates_dir))

    def text(self, name: str, **facts: object) -> str:
        """Renders a template of `web/`.

        Raises:
            RenderError: the template is wrong, or uses a value that does not exist.
        """
        try:
            return self._templates.get_template(f"web/{name}").render(site=self.site, **facts)
        except FAULTS as exc:
            raise RenderError(
                f"the template is wrong ({exc})", where=f"web/{name}", hint="fix the template"
            ) from exc

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
