"""Where templates are found, and the Jinja environment. Shared by themes and notices."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)

import newsletter
from newsletter.errors import RenderError
from newsletter.text.clean import isolate, wrap

TEXT_COLUMNS = 72


def bundled_templates() -> Path:
    """Returns our templates' folder: inside the wheel, or beside the package in a checkout."""
    packaged = Path(newsletter.__file__).parent / "templates"
    return packaged if packaged.is_dir() else packaged.parent.parent / "templates"


def loader(templates_dir: Path | None) -> BaseLoader:
    """Returns a loader that looks for each file in the operator's folder first, then in ours.

    Raises:
        RenderError: there is no such folder.
    """
    bundled = _Folder(bundled_templates())
    # The prefix lets a template extend the one it replaces.
    ours: list[BaseLoader] = [PrefixLoader({"bundled": bundled}), bundled]
    if templates_dir is None:
        return ChoiceLoader(ours)
    if not templates_dir.is_dir():
        raise RenderError(
            "no such folder", where=str(templates_dir), hint="check [theme] templates_dir"
        )
    return ChoiceLoader([_Folder(templates_dir), *ours])


class _Folder(FileSystemLoader):
    """Loads files; one that cannot be read is a mistake in a template like any other."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        try:
            return super().get_source(environment, template)
        except TemplateNotFound:  # which is an OSError
            raise
        except UnicodeDecodeError as exc:
            line = exc.object[: exc.start].count(b"\n") + 1
            file = str(Path(self.searchpath[0], *template.split("/")))
            raise TemplateSyntaxError("it is not UTF-8 text", line, template, file) from exc
        except OSError as exc:
            what = f"it cannot be read ({exc.strerror})"
            raise TemplateSyntaxError(what, 1, template, exc.filename) from exc


class _Undefined(StrictUndefined):
    """A missing value, whose use is an error that names it, also in a format string."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return str(self)  # raises the error


class TemplateEnvironment(Environment):
    """A Jinja environment in which a block that no parent has is a syntax error.

    Jinja itself ignores such a block, so that a misspelt name would silently change nothing.
    """

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        self._check_blocks(source, name, filename)
        return super()._generate(source, name, filename, defer_init)

    def _check_blocks(self, tree: nodes.Template, name: str | None, filename: str | None) -> None:
        # The operator's own base may leave out blocks that our pages fill.
        is_ours = Path(filename or "").is_relative_to(bundled_templates())
        known = None if is_ours else self._inherited_blocks(tree)
        if known is None:
            return
        for block in _outermost_blocks(tree):
            if block.name not in known:
                near = difflib.get_close_matches(block.name, known, n=1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                there = ", ".join(sorted(known)) or "none"
                raise TemplateSyntaxError(
                    f"its parent has no block {block.name}{meant}; its blocks are: {there}",
                    block.lineno,
                    name,
                    filename,
                )

    def _inherited_blocks(self, tree: nodes.Template) -> set[str] | None:
        """Returns the blocks of all parents, or `None` if there is none, or not all are known."""
        found: set[str] = set()
        seen: set[str] = set()
        parent = _parent(tree)
        if parent is None or self.loader is None:
            return None
        while parent is not None:
            if parent in seen:
                return None  # it extends itself, which fails as soon as it is rendered
            seen.add(parent)
            try:
                source, file, _ = self.loader.get_source(self, parent)
            except TemplateNotFound:
                return None
            tree = self._parse(source, parent, file)
            found |= {block.name for block in tree.find_all(nodes.Block)}
            if tree.find(nodes.Extends) and _parent(tree) is None:
                return None
            parent = _parent(tree)
        return found


def _parent(tree: nodes.Template) -> str | None:
    """Returns the name of the template that this one always extends, if it is a constant."""
    for node in tree.body:
        if isinstance(node, nodes.Extends):
            name = node.template.value if isinstance(node.template, nodes.Const) else None
            return name if isinstance(name, str) else None
    return None


def _outermost_blocks(node: nodes.Node) -> Iterator[nodes.Block]:
    """Yields the blocks that are inside no other: only these have to be known to a parent."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Block):
            yield child
        else:
            yield from _outermost_blocks(child)


def template_names(folder: str, templates_dir: Path | None) -> list[str]:
    """Returns the names of all templates in a folder of ours, and in the operator's of that name.

    Raises:
        RenderError: there is no such folder of the operator's.
    """
    names = loader(templates_dir).list_templates()
    return sorted(
        name for name in names if name.startswith(f"{folder}/") and name.endswith((".j2", ".js"))
    )


def environment(loader: BaseLoader) -> TemplateEnvironment:
    """Returns a Jinja environment with our filters and autoescape for all but text templates."""
    environment = TemplateEnvironment(
        loader=loader,
        # `select_autoescape` knows neither `.mjml.j2` nor a template without a name.
        autoescape=_escapes,  # on for all but text
        undefined=_Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: Mapping[str, Any] = {"isolate": isolate, "hang": _hang, "grouped": _grouped}
    environment.filters.update(filters)
    return environment


def skeleton_environment(loader: BaseLoader) -> TemplateEnvironment:
    """Returns a Jinja environment for MJML: its tags are `[[ … ]]`, `[% … %]` and `[# … #]`."""
    return TemplateEnvironment(
        loader=loader,
        autoescape=True,
        undefined=_Undefined,
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
    )


def _escapes(name: str | None) -> bool:
    """Returns whether to autoescape: everything but text, including a template without a name."""
    return not (name or "").endswith(".txt.j2")


def _hang(text: str, indent: int = 0, first: str = "", *, whole: bool = False) -> str:
    """Wraps text to 72 columns with a hanging indent of `indent`; `first` precedes line one.

    With `whole`, the text is broken at spaces only, so that rejoining the lines restores it.
    """
    lines = wrap(text, TEXT_COLUMNS - indent, whole=whole)
    padded = [" " * indent + line for line in lines]
    if padded and first:
        padded[0] = first.rjust(indent - 1) + " " + padded[0][indent:]
    return "\n".join(padded)


def _grouped(number: int) -> str:
    return f"{number:,}"
