"""Renames a source in the configuration and in the database."""

from __future__ import annotations

from newsletter.app.composition import opened
from newsletter.config.edit import ConfigDraft, draft
from newsletter.config.schema import Config
from newsletter.config.toml_sources import with_source_renamed
from newsletter.errors import DatabaseMissing, UsageError
from newsletter.papers.source_rename import Renamed, refuse_name
from newsletter.storage import sources
from newsletter.storage.source_renames import Moved


def rename(config_path: str | None, old: str, new: str) -> Renamed:
    """Gives a source another name, with everything that is known of it.

    The configuration is changed first: after a crash, the same command continues.

    Raises:
        ConfigError: the configuration is invalid, or cannot be changed.
        UsageError: there is no such source, or the new name cannot be given to it.
        OutputError: the configuration cannot be written, or was changed meanwhile.
        DatabaseMissing: the name was changed in the configuration already, and there is no
            database to change it in.
    """
    refuse_name(old, new)
    found = draft(config_path)
    names = [section.name for section in found.config.sources]
    if old in names and new in names:
        raise UsageError(
            f"there is a source {new} in the configuration already", hint="give it another name"
        )
    if old not in names:  # its name was changed by hand, or it was removed
        with opened(found.config, create=False) as app:
            return app.sources.rename(old, new)
    found.replace(with_source_renamed(found.text, old, new))
    changed = draft(config_path)
    try:
        return _in_database(changed.config, old, new)
    except BaseException:
        _undo(config_path, changed, found.text)
        raise


def _in_database(config: Config, old: str, new: str) -> Renamed:
    try:
        with opened(config, create=False) as app:
            with app.database.read() as tx:
                is_known = sources.find(tx, old) is not None
            if is_known:
                return app.sources.rename(old, new)
    except DatabaseMissing:
        pass
    return Renamed(old, new, configured=True, merged=False, moved=Moved(), was_captured=False)


def _undo(config_path: str | None, changed: ConfigDraft, text: str) -> None:
    """Restores the configuration, unless it was changed again."""
    now = draft(config_path)
    if now.content == changed.content:
        now.replace(text)
