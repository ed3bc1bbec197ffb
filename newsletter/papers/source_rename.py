"""Renames a source, which continues under the new name where it stopped."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import Connection

from newsletter.errors import UsageError
from newsletter.storage import source_renames, sources
from newsletter.storage.database import Database
from newsletter.storage.source_renames import Moved
from newsletter.text.clean import clean


@dataclass(frozen=True, slots=True)
class Renamed:
    """The result of a rename.

    Attributes:
        old: the former name.
        new: the name from now on.
        configured: whether the configuration has a source of the new name.
        merged: whether there was a source of the new name, whose captures were taken over.
        moved: the captures that were taken over, if any.
        was_captured: whether the database knows it; otherwise only the configuration was changed.
    """

    old: str
    new: str
    configured: bool
    merged: bool
    moved: Moved
    was_captured: bool = True


def refuse_name(old: str, new: str) -> None:
    """Refuses a name that no source can be renamed to.

    Raises:
        UsageError: it is the old one, empty, or reserved.
    """
    if old == new:
        raise UsageError(f"the source is called {old} already", hint="give it another name")
    if not new.strip() or new != clean(new) or new == sources.MANUAL:
        raise UsageError(
            f"a source cannot be renamed to “{new}”",
            hint="use the name that its [[sources]] section has",
        )


class SourceRename:
    """Renames sources.

    Args:
        database: the newsletter's database.
        configured: the names of the configured sources.
    """

    def __init__(self, database: Database, configured: Collection[str]) -> None:
        self._database = database
        self._configured = configured

    def rename(self, old: str, new: str) -> Renamed:
        """Gives the source `old` the name `new`, with everything that is known of it.

        If the new name has been captured already, its captures become those of the source. They
        are read again by the next ingest, which announces what a source with this history would
        have announced.

        Raises:
            UsageError: there is no source `old`, it is still in the configuration, or the new
                name cannot be given to it.
        """
        self._check(old, new)
        with ExitStack() as alone:
            # In one order, so that two renames never wait for each other.
            for name in sorted((old, new)):
                alone.enter_context(self._database.alone(name))
            with self._database.write() as tx:
                return self._rename(tx, old, new)

    def _check(self, old: str, new: str) -> None:
        refuse_name(old, new)
        if old in self._configured:
            raise UsageError(
                f"the source {old} is still in the configuration and would start over there",
                hint="change its name there first, then run this command again",
            )

    def _rename(self, tx: Connection, old: str, new: str) -> Renamed:
        source, other = sources.find(tx, old), sources.find(tx, new)
        if source is None:
            known = ", ".join(sources.names(tx)) or "none"
            raise UsageError(f"there is no source {old}", hint=f"known sources: {known}")
        moved = Moved()
        if other:
            if other.opened and not source.opened:
                raise UsageError(
                    f"the first capture of {old} was never complete, so it has no history that "
                    f"{new} could continue",
                    hint=f"nothing needs to be renamed; {new} continues as it is",
                )
            moved = source_renames.take_over(tx, source.id, other.id)
        source_renames.rename(tx, source.id, new)
        return Renamed(old, new, new in self._configured, bool(other), moved)
