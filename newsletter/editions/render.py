"""Content in, subject, HTML and text out. Writes nothing and sends nothing.

A theme's MJML is a skeleton: it is filled with settings and compiled to HTML once,
and only then are papers put in, by Jinja with autoescape. So no title can break the
MJML, and an edition renders in a few milliseconds.

    edition.mjml.j2 ─ [[ settings ]] → MJML ─ mrml → HTML template ─ {{ papers }} → HTML
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from mjml import mjml2html

from newsletter.editions.content import Content
from newsletter.editions.templating import FAULTS, environment, loader
from newsletter.errors import RenderError
from newsletter.models import UNSUBSCRIBE, Rendered

FONTS = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

DEEPEST = 500
"""Tags of MJML inside each other."""


@dataclass(frozen=True, slots=True)
class ThemeSettings:
    """What a theme is told besides the papers.

    Attributes:
        name: the newsletter's.
        accent: colour of the name and the small links, on light and on dark.
    """

    name: str = "Daily Papers"
    theme: str = "default"
    language: str = "en"
    accent: str = "#1d4fb8"
    accent_dark: str = "#8fb4ff"
    postal_address: str = ""


class Renderer:
    """Turns contents into editions in one theme.

    Args:
        look: settings.
        templates_dir: the operator's templates; each file there wins over ours.

    Raises:
        RenderError: there is no such theme, or it does not compile.
    """

    def __init__(self, theme_settings: ThemeSettings, templates_dir: Path | None = None) -> None:
        self._theme_settings = theme_settings
        self._loader = loader(templates_dir)
        self._skeletons = Environment(
            loader=self._loader,
            autoescape=True,
            undefined=StrictUndefined,
            block_start_string="[%",
            block_end_string="%]",
            variable_start_string="[[",
            variable_end_string="]]",
            comment_start_string="[#",
            comment_end_string="#]",
        )
        self._templates = environment(self._loader)

    def render(self, content: Content, web_url: str = "") -> Rendered:
        """The edition that says this content.

        Args:
            content: what it says.
            web_url: the edition's page, if there is a web side.

        Raises:
            RenderError: the theme asks for something that is not there.
        """
        values = {
            "content": content,
            "look": self._theme_settings,
            "web_url": web_url,
            "unsubscribe": UNSUBSCRIBE,
        }
        try:
            return Rendered(
                subject=" ".join(self._file("subject.txt.j2").render(values).split()),
                html=self.html.render(values),
                text=self._file("edition.txt.j2").render(values),
            )
        except FAULTS as exc:
            raise self._fault(exc) from exc

    @cached_property
    def html(self) -> Template:
        """The compiled HTML template."""
        name = f"themes/{self._theme_settings.theme}/edition.mjml.j2"
        try:
            skeleton = self._skeletons.get_template(name).render(
                look=self._theme_settings, fonts=FONTS
            )
            return self._templates.from_string(compiled(skeleton))
        except FAULTS as exc:
            raise self._fault(exc) from exc

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all templates: it changes when any of them does."""
        digest = hashlib.blake2b(digest_size=16)
        try:
            # All of them: a theme may extend and include what it likes.
            for name in sorted(self._loader.list_templates()):
                if "themes/" in name:
                    digest.update(self._loader.get_source(self._templates, name)[0].encode())
        except FAULTS as exc:
            raise self._fault(exc) from exc
        return digest.hexdigest()

    def _file(self, name: str) -> Template:
        return self._templates.get_template(f"themes/{self._theme_settings.theme}/{name}")

    def _fault(self, exc: Exception) -> RenderError:
        theme = f"theme {self._theme_settings.theme}"
        if isinstance(exc, TemplateNotFound):
            known = ", ".join(sorted(_themes(self._loader)))
            return RenderError(
                f"there is no template {exc.name}",
                where=theme,
                hint=f"themes here: {known}; check [theme] name and templates_dir",
            )
        line = f", line {exc.lineno}" if isinstance(exc, TemplateSyntaxError) else ""
        return RenderError(
            f"its template is wrong{line} ({_said(exc)})", where=theme, hint="mend the template"
        )


def _said(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "it extends or includes itself; the one it replaces is bundled/…"
    return exc.message or "" if isinstance(exc, TemplateError) else f"{exc}"


def _depth(mjml: str) -> int:
    """How deeply its tags are nested."""
    depth = deepest = 0
    for tag in re.finditer(r"<(/?)[a-zA-Z][^<>]*?(/?)>", mjml):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        deepest = max(deepest, depth)
    return deepest


def compiled(mjml: str) -> str:
    """HTML of MJML that holds no papers, only Jinja for them.

    Raises:
        RenderError: it is no MJML.
    """
    if _depth(mjml) > DEEPEST:  # the compiler would not come back from thousands
        raise RenderError("the theme's MJML is nested too deeply", hint="close its tags")
    try:
        html = mjml2html(mjml, disable_comments=True, fonts={})
        return re.sub(r"\n\s+", "\n", html)  # indentation would be sent with every paper
    except ValueError as exc:
        raise RenderError(
            f"the theme's MJML does not compile ({exc})",
            hint="in it, `<` in an expression is `is lt(…)`, and `>` and quotes stay plain",
        ) from exc


def _themes(loader: BaseLoader) -> set[str]:
    parts = (name.split("/") for name in loader.list_templates())
    return {part[1] for part in parts if part[0] == "themes" and len(part) > 2}
