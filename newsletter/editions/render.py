"""Content → subject, HTML and text. Writes nothing and sends nothing.

A theme's MJML is a skeleton: it is filled with settings and compiled to HTML once, and
only then are papers inserted, by Jinja with autoescape. No title can break the MJML, and
an edition renders in a few milliseconds.

    edition.mjml.j2 ─ [[ settings ]] → MJML ─ mrml → HTML template ─ {{ papers }} → HTML
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import BaseLoader, Template, TemplateNotFound, TemplateSyntaxError

from newsletter.editions.content import Content
from newsletter.editions.mjml import MjmlFaulty, compiled
from newsletter.editions.skeleton import Skeleton, Trace, unclosed_tag
from newsletter.editions.template_errors import FAULTS, Place, fault_at, said, template_error
from newsletter.editions.templating import environment, loader
from newsletter.errors import RenderError
from newsletter.models import UNSUBSCRIBE, Rendered

FONTS = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_GENERATED = "<template>"
"""What Jinja calls the file of a template that is in none."""


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
        self._folder = templates_dir
        self._loader = loader(templates_dir)
        self._skeleton = Skeleton(self._loader, self._name("edition.mjml.j2"))
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
        return Rendered(
            subject=" ".join(self._filled("subject.txt.j2", values).split()),
            html=self._filled_html(values),
            text=self._filled("edition.txt.j2", values),
        )

    def _filled(self, file: str, values: Mapping[str, object]) -> str:
        name = self._name(file)
        try:
            return self._templates.get_template(name).render(values)
        except FAULTS as exc:
            raise self._fault(exc, name) from exc

    def _filled_html(self, values: Mapping[str, object]) -> str:
        template = self.html
        try:
            return template.render(values)
        except FAULTS as exc:
            raise self._html_fault(exc, values) from exc

    @cached_property
    def html(self) -> Template:
        """The compiled HTML template.

        Raises:
            RenderError: there is no such theme, or it does not compile.
        """
        try:
            mjml = self._skeleton.fill(self._settings)
        except FAULTS as exc:
            raise self._fault(exc, self._skeleton.name) from exc
        try:
            html = compiled(mjml)
        except MjmlFaulty as fault:
            trace = self._trace()
            place = trace.at(fault.at) if trace and fault.at is not None else None
            raise fault_at(place, fault.what, self._skeleton.name) from fault
        try:
            return self._templates.from_string(html)
        except FAULTS as exc:
            raise self._html_fault(exc, None) from exc

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all templates; changes when one of them does."""
        digest = hashlib.blake2b(digest_size=16)
        # All of them, because a theme may extend and include any other.
        for name in sorted(self._loader.list_templates()):
            if "themes/" in name:
                try:
                    digest.update(self._loader.get_source(self._templates, name)[0].encode())
                except FAULTS as exc:
                    raise self._fault(exc, name) from exc
        return digest.hexdigest()

    @property
    def _settings(self) -> Mapping[str, object]:
        return {"look": self._theme_settings, "fonts": FONTS}

    def _name(self, file: str) -> str:
        return f"themes/{self._theme_settings.theme}/{file}"

    def _trace(self) -> Trace | None:
        return self._skeleton.trace(self._settings)

    def _html_fault(self, exc: Exception, values: Mapping[str, object] | None) -> RenderError:
        """Returns the error for an exception of the HTML template, which is in no file.

        The MJML contains the same expressions, and its lines can be traced. So it is rendered
        instead, each piece on a line of its own, to see where the same exception comes from.
        """
        name, trace = self._skeleton.name, self._trace()
        if trace is None:
            return self._fault(exc, name)
        text, places = trace.apart()

        def mapped(place: Place) -> Place | None:
            if place.file != _GENERATED:
                return place
            return places[place.line - 1] if place.line <= len(places) else None

        try:
            template = self._templates.from_string(text)
            if values is not None:
                template.render(values)
        except FAULTS as again:
            if said(again) == said(exc):
                if isinstance(again, TemplateSyntaxError) and again.filename is None:
                    line = self._syntax_line(again, text)
                    return fault_at(mapped(Place(_GENERATED, line)), said(exc), name)
                return template_error(again, name, self._folder, mapped)
        return fault_at(None, said(exc), name)

    def _syntax_line(self, exc: TemplateSyntaxError, text: str) -> int:
        is_nesting = re.match(r"Unexpected end of template|Encountered unknown tag 'end", said(exc))
        return (is_nesting and unclosed_tag(self._templates, text)) or exc.lineno

    def _fault(self, exc: Exception, name: str) -> RenderError:
        if isinstance(exc, TemplateNotFound) and exc.name == name:
            known = ", ".join(sorted(_themes(self._loader)))
            return RenderError(
                f"there is no template {exc.name}",
                where=f"theme {self._theme_settings.theme}",
                hint=f"themes here: {known}; check [theme] name and templates_dir",
            )
        return template_error(exc, name, self._folder)


def _themes(loader: BaseLoader) -> set[str]:
    parts = (name.split("/") for name in loader.list_templates())
    return {part[1] for part in parts if part[0] == "themes" and len(part) > 2}
