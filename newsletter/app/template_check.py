"""Checks all templates as the operator has them: those of the pages, the notices and the theme.

Each is compiled, and rendered with samples. What no sample reaches, such as a missing include in a
branch that is not taken, is looked for in the parsed template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, TemplateNotFound, TemplateSyntaxError, nodes

from newsletter.app import edition_factories
from newsletter.app.inspection import sample_entries
from newsletter.app.site import site
from newsletter.app.template_samples import Facts, notice_samples, page_samples
from newsletter.config.schema import Config
from newsletter.editions.template_errors import FAULTS, template_error
from newsletter.editions.templating import (
    bundled_templates,
    environment,
    loader,
    skeleton_environment,
    template_names,
)
from newsletter.errors import RenderError

_SKELETON = ".mjml.j2"
_REFERENCES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


class TemplateCheck:
    """Checks the templates of one configuration.

    Args:
        config: the configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._folder = Path(config.theme.templates_dir) if config.theme.templates_dir else None
        self._stamp: tuple[object, ...] = ()
        self._verdict: RenderError | None = None

    def faults(self) -> list[RenderError]:
        """Returns the first fault of each template that has any."""
        try:
            found = [*self._theme_faults(), *self._page_faults(), *self._notice_faults()]
        except RenderError as error:  # there is no such folder
            return [error]
        # A parent that is broken breaks all of its children, at the same place.
        return list({str(fault): fault for fault in found}.values())

    def check(self) -> None:
        """Raises an error if a template is broken; its details are in parentheses.

        Quick: templates are checked again only after a file has changed.

        Raises:
            RenderError: a template is broken.
        """
        stamp = _stamp(bundled_templates()) + (_stamp(self._folder) if self._folder else ())
        if stamp != self._stamp:
            faults = self.faults()
            self._verdict = _verdict(faults[0]) if faults else None
            self._stamp = stamp
        if self._verdict:
            raise self._verdict

    def _theme_faults(self) -> Iterator[RenderError]:
        try:
            edition_factories.builder(self._config).build(sample_entries())
        except RenderError as error:
            yield error
        yield from self._faults(f"themes/{self._config.theme.name}", {})

    def _page_faults(self) -> Iterator[RenderError]:
        about = site(self._config)
        samples = {
            f"web/{name}.html.j2": [{"site": about, **facts} for facts in sample]
            for name, sample in page_samples().items()
        }
        return self._faults("web", {"web/style.css.j2": [{"site": about}], **samples})

    def _notice_faults(self) -> Iterator[RenderError]:
        samples = notice_samples(self._config.newsletter.name)
        return self._faults(
            "mail", {f"mail/{name}.txt.j2": sample for name, sample in samples.items()}
        )

    def _faults(self, folder: str, samples: Mapping[str, Sequence[Facts]]) -> Iterator[RenderError]:
        """Yields the faults of the templates in one folder.

        Args:
            folder: the name of the folder.
            samples: the values to render each template with; one without is only compiled.
        """
        found = loader(self._folder)
        usual, skeletons = environment(found), skeleton_environment(found)
        for name in sorted({*template_names(folder, self._folder), *samples}):
            try:
                self._check(skeletons if name.endswith(_SKELETON) else usual, name, samples)
            except FAULTS as exc:
                yield template_error(exc, name, self._folder)

    def _check(
        self, templates: Environment, name: str, samples: Mapping[str, Sequence[Facts]]
    ) -> None:
        template = templates.get_template(name)
        for facts in samples.get(name, ()):
            template.render(facts)
        file = Path(template.filename or "")
        if self._folder and file.is_relative_to(self._folder):
            tree = templates.parse(file.read_text("utf-8"), name, str(file))
            for what, node in _missing(templates, tree):
                raise TemplateSyntaxError(what, node.lineno, name, str(file))


def _missing(templates: Environment, tree: nodes.Template) -> Iterator[tuple[str, nodes.Node]]:
    """Yields the templates, filters and tests that a template names and that do not exist."""
    for reference in tree.find_all(_REFERENCES):
        name = getattr(getattr(reference, "template", None), "value", None)  # if it is a constant
        if isinstance(name, str) and not getattr(reference, "ignore_missing", False):
            try:
                templates.get_template(name)
            except TemplateNotFound:
                yield f"there is no template {name}", reference
    for filter_ in tree.find_all(nodes.Filter):
        if filter_.name not in templates.filters:
            yield f"No filter named '{filter_.name}'", filter_
    for test in tree.find_all(nodes.Test):
        if test.name not in templates.tests:
            yield f"No test named '{test.name}'", test


def _stamp(folder: Path) -> tuple[object, ...]:
    """Returns a value that changes with every change of a template in a folder."""
    files = (path for name in ("web", "mail", "themes") for path in folder.glob(f"{name}/**/*"))
    found: list[tuple[str, int, int]] = []
    for path in sorted(files):
        try:
            about = path.stat()
        except OSError:  # removed meanwhile, or a link to nothing
            continue
        found.append((str(path), about.st_mtime_ns, about.st_size))
    return (str(folder), folder.is_dir(), *found)


def _verdict(fault: RenderError) -> RenderError:
    kind = "page" if "/web/" in fault.where or fault.where.startswith("web/") else "mail"
    return RenderError(f"a {kind} template is broken: see the log or `newsletter doctor` ({fault})")
