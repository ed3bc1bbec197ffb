"""Entries → frozen edition: built once, validated, and stored before it is planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from newsletter.editions.build import EditionBuilder
from newsletter.editions.render import ThemeSettings
from newsletter.errors import EditionFaulty
from newsletter.models import EditionState, Entry, Rendered
from newsletter.papers import review
from newsletter.planning.view import View
from newsletter.storage import editions, log
from newsletter.storage.database import Database
from newsletter.storage.editions import EditionRow


class EditionFreezer:
    """Freezes editions.

    Args:
        database: the newsletter's database.
        make_builder: returns the edition builder; called when the first edition is needed.
        theme_settings: the settings of the theme.
        domain: domain of the Message-IDs, or `None` for that of the sender.
    """

    def __init__(
        self,
        database: Database,
        make_builder: Callable[[], EditionBuilder],
        theme_settings: ThemeSettings,
        domain: str | None,
    ) -> None:
        self._database = database
        self._make_builder = make_builder
        self._theme_settings = theme_settings
        self._domain = domain

    def frozen(self, entries: Sequence[Entry], view: View) -> EditionRow:
        """Returns the stored edition of these entries; it is held if it looks wrong.

        Raises:
            RenderError: no edition can be rendered.
        """
        key, positions, parts, fault = self._made(entries)
        with self._database.read() as tx:
            known = editions.find(tx, key)
        if known and known.state is not EditionState.REJECTED:
            return known
        with self._database.read() as tx:
            seen = editions.planned_since(tx, log.came_at(tx, min(positions)))
        # Papers already sent in smaller editions are not reviewed again when a slower cadence
        # or a returning subscriber gets many of them at once.
        fresh = set(positions) - view.released - seen
        reason = fault or review.reason_to_hold_edition(len(fresh), view.sizes)
        with self._database.write() as tx:
            return editions.freeze(
                tx,
                key,
                positions,
                self._theme_settings.language,
                self._theme_settings.theme,
                parts,
                view.now,
                held=reason,
                domain=self._domain,
                public=not seen.issuperset(positions),
            )

    def _made(
        self, entries: Sequence[Entry]
    ) -> tuple[str, list[int], Sequence[Rendered], str | None]:
        try:
            edition, fault = self._make_builder().build_unchecked(entries)
        except EditionFaulty as unmade:
            positions = [entry.position for entry in entries]
            language, theme = self._theme_settings.language, self._theme_settings.theme
            return editions.key_of(positions, language, theme, "unmade"), positions, (), str(unmade)
        positions = [entry.position for entry in edition.entries]
        return edition.key, positions, edition.parts, str(fault) if fault else None
