"""Content → subject, HTML and text. Writes nothing and sends nothing.

A theme's MJML is a skeleton: it is filled with settings and compiled to HTML once, and
only then are papers inserted, by Jinja with autoescape. No title can break the MJML, and
an edition renders in a few milliseconds.

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
"""Maximum nesting of MJML tags."""


@dataclass(frozen=True, slots=True)
class ThemeSettings:
    """The values a theme receives besides the papers.

    Attributes:
        name: name of the newsletter.
        accent: colour of the name and the small links on a light page.
        accent_dark: the same on a dark page.
    """

    name: str = "Daily Papers"
    theme: str = "default"
    language: str = "en"
    accent: str = "#1d4fb8"
    accent_dark: str = "#8fb4ff"
    postal_address: str = ""


class Renderer:
    """Renders contents in one theme.

    Args:
        theme_settings: the settings of the theme.
        templates_dir: the operator's templates; a file there replaces ours of the same name.

    Raises:
        RenderError: there is no such folder.
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
        """Renders the content of an edition, or of one part of it.

        Args:
            content: the content.
            web_url: URL of the edition's web page, or empty without a web server.

        Raises:
            RenderError: there is no such theme, or it does not compile or render.
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
        """A hash of all templates; changes when one of them does."""
        digest = hashlib.blake2b(digest_size=16)
        try:
            # All of them, because a theme may extend and include any other.
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
            f"its template is wrong{line} ({_said(exc)})", where=theme, hint="fix the template"
        )


def _said(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "it extends or includes itself; the one it replaces is bundled/…"
    return exc.message or "" if isinstance(exc, TemplateError) else f"{exc}"


def _depth(mjml: str) -> int:
    """Returns how deeply the tags are nested."""
    depth = deepest = 0
    for tag in re.finditer(r"<(/?)[a-zA-Z][^<>]*?(/?)>", mjml):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        deepest = max(deepest, depth)
    return deepest


def compiled(mjml: str) -> str:
    """Compiles MJML, which contains Jinja in place of papers, to HTML.

    Raises:
        RenderError: the MJML does not compile, or is nested too deeply.
    """
    if _depth(mjml) > DEEPEST:  # the compiler never returns from thousands
        raise RenderError("the theme's MJML is nested too deeply", hint="close its tags")
    try:
        html = mjml2html(mjml, disable_comments=True, fonts={})
        return re.sub(r"\n\s+", "\n", html)  # indentation would be repeated for every paper
    except ValueError as exc:
        raise RenderError(
            f"the theme's MJML does not compile ({exc})",
            hint="in it, `<` in an expression is `is lt(…)`, and `>` and quotes stay plain",
        ) from exc


def _themes(loader: BaseLoader) -> set[str]:
    parts = (name.split("/") for name in loader.list_templates())
    return {part[1] for part in parts if part[0] == "themes" and len(part) > 2}
