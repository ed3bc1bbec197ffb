"""Subject and text of notices, the transactional mail."""

from __future__ import annotations

from pathlib import Path

from newsletter.editions.template_errors import FAULTS, template_error
from newsletter.editions.templating import environment, loader


class Notices:
    """Renders the templates in `mail/`. The first line of each is the subject.

    Args:
        templates_dir: the operator's templates; a file there replaces ours of the same name.

    Raises:
        RenderError: there is no such folder.
    """

    def __init__(self, templates_dir: Path | None = None) -> None:
        self._folder = templates_dir
        self._templates = environment(loader(templates_dir))

    def words(self, kind: str, **facts: object) -> tuple[str, str]:
        """Returns subject and text of a notice of this kind.

        Raises:
            RenderError: its template is missing, or fails to render with `facts`.
        """
        name = f"mail/{kind}.txt.j2"
        try:
            filled = self._templates.get_template(name).render(**facts)
        except FAULTS as exc:
            raise template_error(exc, name, self._folder) from exc
        subject, _, text = filled.partition("\n")
        return subject.strip(), text.strip() + "\n"
