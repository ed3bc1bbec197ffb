"""The pages: templates of `web/` filled, with the headers that keep them safe."""

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
"""What a page may load: nothing from elsewhere, no script or style that stands in it."""


@dataclass(frozen=True, slots=True)
class Site:
    """What every page is told.

    Attributes:
        base_url: of the pages; empty where there are none but on this machine.
        owner: who can be asked, as far as that is public.
        root: the path that all of them begin with; usually empty.
        can_subscribe: whether visitors can.
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


def site(config: Config) -> Site:
    """The configured one."""
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
    )


class Pages:
    """Fills templates.

    Args:
        about: what every page is told.
        templates_dir: the operator's templates; each file there wins over ours.

    Raises:
        RenderError: there is no such folder.
    """

    def __init__(self, about: Site, templates_dir: Path | None) -> None:
        self.site = about
        self._templates: Environment = environment(loader(templates_dir))

    def text(self, name: str, **facts: object) -> str:
        """A template of `web/`, filled.

        Raises:
            RenderError: it asks for something that is not there.
        """
        try:
            return self._templates.get_template(f"web/{name}").render(site=self.site, **facts)
        except FAULTS as exc:
            raise RenderError(
                f"the template is wrong ({exc})", where=f"web/{name}", hint="mend the template"
            ) from exc

    def page(
        self, name: str, status: int = 200, *, private: bool = True, **facts: object
    ) -> Response:
        """A page.

        Args:
            private: it is one person's, or one moment's: nobody may keep it.
        """
        kept = "no-store" if private else "public, max-age=60"
        text = self.text(f"{name}.html.j2", **facts)
        return HTMLResponse(text, status, {"Cache-Control": kept})

    def address(self, path: str, **asks: object) -> str:
        """The address of a page on this site."""
        query = f"?{urlencode({name: str(value) for name, value in asks.items()})}" if asks else ""
        return f"{self.site.root}{path}{query}"

    def say(self, heading: str, text: str, status: int = 200) -> Response:
        """A page with one sentence, and the way back to the front page."""
        return self.page(
            "message",
            status,
            heading=heading,
            text=text,
            link_url=f"{self.site.root}/",
            link_label=self.site.name,
        )
