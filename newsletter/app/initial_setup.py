"""Writes a new configuration, or changes one, and adds its owner as a subscriber."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from newsletter.errors import DatabaseMissing, OutputError
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
class NewConfig:
    """A configuration that is to be written.

    Attributes:
        text: its TOML.
        config: the same, parsed.
        secret: the file for the password; `None` if there is no new one.
        password: the password.
    """

    text: str
    config: Config
    secret: Path | None
    password: str


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration that is to be written or changed.

    Attributes:
        current: the configuration as it is; the example if there is none yet.
        is_new: whether there is none yet.
    """

    current: ConfigDraft
    is_new: bool

    @property
    def file(self) -> Path:
        """The file that is written."""
        return self.current.file

    def relative(self, path: str) -> str:
        """Returns a path as it is written: relative to the configuration if it is beside it."""
        absolute, folder = Path(path).absolute(), self.current.folder
        inside = absolute.is_relative_to(folder)
        return str(absolute.relative_to(folder) if inside else absolute)

    def source(
        self, place: str, arguments: Sequence[str], beside: Sequence[NewSource] = ()
    ) -> NewSource:
        """Returns the source that a place stands for.

        Args:
            place: a URL, a path, or the name of a preset.
            arguments: the arguments of the preset.
            beside: the sources that are added with it.

        Raises:
            UsageError: there is no such place.
            SourceKnown: it is configured already, or among those beside it.
        """
        config = self.current.config
        others = (*(() if self.is_new else config.sources), *(one.section for one in beside))
        known = replace(self.current, config=config.model_copy(update={"sources": others}))
        return new_source(known, place, arguments, name=None, every=None, format=None)

    def made(self, answers: Answers) -> NewConfig:
        """Returns the configuration that the answers make.

        Raises:
            ConfigError: it has problems, or the existing one cannot be changed; lists all of them.
        """
        settings, secret = dict(answers.settings), None
        if answers.password is not None:
            configured = self.current.config.transports.smtp.password_file
            secret = Path(configured) if configured else self._free_file()
            if not configured:
                settings["transports.smtp.password_file"] = secret.name
        text = with_settings(self._with_sources(answers.sources), settings)
        where, folder = str(self.file), self.current.folder
        config = parse(text, os.environ, where=where, folder=folder)
        return NewConfig(text, config, secret, answers.password or "")

    def _with_sources(self, sources: Sequence[NewSource]) -> str:
        """Returns the text with these sources; the example's are left out, unless among them."""
        text, held = self.current.text, self.current.config.sources
        for example in held if self.is_new and sources else ():
            if all(_place(one.section) != _place(example) for one in sources):
                text = without_source(text, example.name)
        places = [_place(section) for section in held]
        return with_sources(
            text, [one.keys for one in sources if _place(one.section) not in places]
        )

    def _free_file(self) -> Path:
        """Returns the path of a new file for the password."""
        names = (f"smtp-password{f'-{number}' if number > 1 else ''}" for number in count(1))
        return next(path for name in names if not (path := self.current.folder / name).exists())

    def write(self, new: NewConfig) -> list[Path]:
        """Writes the configuration, and before it the password. Returns the files written.

        Raises:
            OutputError: a file cannot be written, or was changed meanwhile; none is changed then.
        """
        if new.secret is None:
            return self._write_config(new.text)
        with _secret_written(new.secret, f"{new.password}\n".encode()):
            return [*self._write_config(new.text), new.secret]

    def _write_config(self, text: str) -> list[Path]:
        if self.is_new:
            files.create(self.file, text.encode(), 0o600)
        elif text != self.current.text:
            self.current.replace(text)
        else:
            return []
        return [self.file]


def begun(path: str | None) -> Setup:
    """Returns the configuration at `path` as it is, or a new one that is to be written there.

    Raises:
        ConfigError: there is one, and it is invalid.
        OutputError: nothing can be written there.
    """
    file = config_path(path)
    folder = file.absolute().parent
    if not folder.is_dir():
        hint = "create it, or name another"
        raise OutputError("its folder does not exist", where=str(file), hint=hint)
    if not os.access(folder, os.W_OK):
        hint = "choose a folder that may be written to"
        raise OutputError("its folder cannot be written to", where=str(file), hint=hint)
    if file.exists() or file.is_symlink():
        return Setup(draft(path), is_new=False)
    text = example_config()
    config = parse(text, {}, where=str(file), folder=folder)
    return Setup(ConfigDraft(file, folder, text.encode(), config), is_new=True)


@contextmanager
def _secret_written(secret: Path, data: bytes) -> Iterator[None]:
    """Writes a password, and takes that back if what follows fails."""
    old = secret.read_bytes() if secret.exists() else None
    if old is None:
        files.create(secret, data, 0o600)
    else:
        files.rewrite_private(secret, data)
    try:
        yield
    except BaseException:
        if old is None:
            files.remove(secret)
        else:
            files.rewrite_private(secret, old)
        raise


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
        is_alone: whether no other subscriber is active.
    """

    address: str
    state: SubscriberState
    is_new: bool
    is_alone: bool


def subscribe_owner(config: Config, *, add: bool) -> Owner | None:
    """Creates the database, and returns the owner as a subscriber, if they are one.

    Args:
        config: the configuration.
        add: whether to add an unknown owner also if there is a database already; a known one keeps
            their state.

    Raises:
        UsageError: the address is suppressed.
        StorageError: the database cannot be used.
    """
    _, address = name_and_address(config.newsletter.owner)
    if not address:
        Database(config.database.url).close()
        return None
    line = line_of(address)
    add = add or _is_without_database(config)
    with opened(config) as app:
        with app.database.read() as tx:
            known = subscribers.find(tx, line.address.normal)
            active = subscribers.listed(tx, SubscriberState.ACTIVE)
            others = [one.normal for one in islice(active, 2)]
        if not (known or add):
            return None
        row = known or app.subscribers.lifecycle.add(line)[0]
        is_alone = all(other == line.address.normal for other in others)
        return Owner(address, row.state, is_new=known is None, is_alone=is_alone)


def _is_without_database(config: Config) -> bool:
    try:
        Database(config.database.url, create=False).close()
    except DatabaseMissing:
        return True
    return False


def _place(section: SourceSection) -> tuple[str, str]:
    return section.url, section.path
