"""Writes a new configuration, or changes one, and adds its owner as a subscriber."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from newsletter.app.composition import opened
from newsletter.app.source_setup import NewSource, new_source
from newsletter.config.edit import ConfigDraft, draft
from newsletter.config.file import config_path, example_config
from newsletter.config.parse import parse
from newsletter.config.schema import Config, SmtpSection, SourceSection
from newsletter.config.toml_settings import with_settings
from newsletter.config.toml_sources import with_sources, without_source
from newsletter.config.values import name_and_address
from newsletter.errors import NewsletterError
from newsletter.models import SubscriberState
from newsletter.storage import subscribers
from newsletter.storage.database import Database
from newsletter.subscribers.lifecycle import line_of
from newsletter.text import files
from newsletter.transports.opening import opened as connected
from newsletter.transports.wire import BROKEN, SmtpSettings

_TIMEOUT = 10.0
"""Seconds to wait for the mail server."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the configuration is to contain.

    Attributes:
        settings: values by section and key, such as `newsletter.name`; `None` removes one.
        sources: the sources to read. A new configuration has only these, if there are any.
        password: the mail server's password, which is kept in a file of its own; `None` if there
            is none, or the configured one stays.
    """

    settings: Mapping[str, str | int | None]
    sources: Sequence[NewSource] = ()
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration that is to be written or changed.

    Attributes:
        found: the configuration as it is; the example if there is none yet.
        is_new: whether there is none yet.
    """

    found: ConfigDraft
    is_new: bool

    @property
    def file(self) -> Path:
        """The file that is written."""
        return self.found.file

    def shown(self, file: Path) -> str:
        """Returns a path as people read it: from the current folder, if it is in there."""
        return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)

    def is_path(self, place: str) -> bool:
        """Returns whether a place is a file or folder, whose name may contain spaces."""
        return Path(place).exists()

    def source(self, place: str, arguments: Sequence[str]) -> list[NewSource]:
        """Returns the source that a place stands for; nothing if it is configured already.

        Args:
            place: a URL, a path, or the name of a preset.
            arguments: the arguments of the preset.

        Raises:
            UsageError: there is no such place.
        """
        others = self.found.config.model_copy(update={"sources": ()})
        alone = replace(self.found, config=others)
        made = new_source(alone, place, arguments, name=None, every=None, format=None)
        if not self.is_new and _place(made.section) in self._places:
            return []
        if self.is_new:
            return [made]
        return [new_source(self.found, place, arguments, name=None, every=None, format=None)]

    @property
    def _places(self) -> set[tuple[str, str]]:
        return {_place(section) for section in self.found.config.sources}

    def text(self, answers: Answers) -> str:
        """Returns the configuration with the answers.

        Raises:
            ConfigError: the existing one is written in a way that cannot be changed.
        """
        text, settings = self.found.text, dict(answers.settings)
        if answers.password is not None and not self._password_file:
            settings["transports.smtp.password_file"] = self.password_file().name
        tables = [one.keys for one in answers.sources if _place(one.section) not in self._places]
        if tables:
            text = with_sources(text, tables)
        if answers.sources and self.is_new:
            kept = {_place(one.section) for one in answers.sources}
            for example in self.found.config.sources:
                if _place(example) not in kept:
                    text = without_source(text, example.name)
        return with_settings(text, settings)

    def config(self, answers: Answers) -> Config:
        """Returns the configuration that the answers make.

        Raises:
            ConfigError: it has problems; lists all of them.
        """
        text = self.text(answers)
        return parse(text, os.environ, where=str(self.found.file), folder=self.found.folder)

    def password_file(self) -> Path:
        """Returns where the password is kept: the configured file, or a new one."""
        if self._password_file:
            return Path(self._password_file)
        names = (f"smtp-password{f'-{number}' if number > 1 else ''}" for number in count(1))
        return next(path for name in names if not (path := self.found.folder / name).exists())

    def write(self, answers: Answers) -> list[Path]:
        """Writes the configuration, and before it the password. Returns the files written.

        Raises:
            ConfigError: the configuration would have problems.
            OutputError: a file cannot be written, or was changed meanwhile.
        """
        self.config(answers)
        text = self.text(answers)
        if answers.password is None:
            return self._write_config(text)
        secret = self.password_file()
        files.write(secret, f"{answers.password}\n".encode(), 0o600)
        try:
            return [*self._write_config(text), secret]
        except NewsletterError:
            if not self._password_file:
                files.remove(secret)
            raise

    def _write_config(self, text: str) -> list[Path]:
        if self.is_new:
            files.create(self.found.file, text.encode(), 0o600)
        elif text != self.found.text:
            self.found.replace(text)
        else:
            return []
        return [self.found.file]

    @property
    def _password_file(self) -> str:
        return self.found.config.transports.smtp.password_file


def begun(path: str | None) -> Setup:
    """Returns the configuration at `path` as it is, or a new one that is to be written there.

    Raises:
        ConfigError: there is one, and it is invalid.
    """
    file = config_path(path)
    if file.exists() or file.is_symlink():
        return Setup(draft(path), is_new=False)
    text = example_config()
    folder = file.absolute().parent
    config = parse(text, {}, where=str(file), folder=folder)
    return Setup(ConfigDraft(file, folder, text.encode(), config), is_new=True)


def try_login(section: SmtpSection, password: str) -> None:
    """Connects to the mail server and logs in. Sends nothing.

    Raises:
        SessionFailed: that is not possible; says why.
    """
    settings = SmtpSettings(
        section.host,
        section.port,
        section.security,
        section.username,
        password,
        section.token_command,
        timeout=_TIMEOUT,
    )
    wire = connected(settings, None, time.monotonic)
    try:
        wire.quit()
    except BROKEN:  # it was connected and logged in, which is all that was asked
        wire.close()


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner as a subscriber.

    Attributes:
        address: the owner's address.
        state: the state of the subscription.
        is_new: whether it was added now.
        is_alone: whether there is no other subscriber.
    """

    address: str
    state: SubscriberState
    is_new: bool
    is_alone: bool


def subscribe_owner(config: Config) -> Owner | None:
    """Creates the database and adds the owner, if there is one, as a subscriber.

    One who has left stays unsubscribed.

    Raises:
        UsageError: the address is suppressed.
        StorageError: the database cannot be used.
    """
    _, address = name_and_address(config.newsletter.owner)
    if not address:
        Database(config.database.url).close()
        return None
    line = line_of(address)
    with opened(config) as app:
        with app.database.read() as tx:
            known = subscribers.find(tx, line.address.normal)
            others = [one.normal for one in islice(subscribers.listed(tx), 2)]
        row = known or app.subscribers.lifecycle.add(line)[0]
        is_alone = all(other == line.address.normal for other in others)
        return Owner(address, row.state, is_new=known is None, is_alone=is_alone)


def _place(section: SourceSection) -> tuple[str, str]:
    return section.url, section.path
