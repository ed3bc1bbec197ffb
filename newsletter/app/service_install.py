"""Decides which service file belongs to this machine, and installs or removes it."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from newsletter.app import service_units as units
from newsletter.app.service_units import Kind, Service
from newsletter.config.schema import Config
from newsletter.errors import UsageError
from newsletter.storage.database_file import sqlite_path
from newsletter.text import files


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """What is installed on this machine, or printed.

    Attributes:
        path: the file; `None` if it is a line of a crontab.
        text: its content.
        commands: shell commands that start the service afterwards.
        system: whether it is system-wide.
    """

    kind: Kind
    path: Path | None
    text: str
    commands: list[str]
    system: bool


def service_file(config: Config, config_file: Path, flags: Mapping[str, bool]) -> ServiceFile:
    """Decides what to install on this machine.

    Args:
        config: the configuration.
        config_file: the file that it was loaded from.
        flags: `system`, `user`, `cron`, `launchd`: what the operator asks for.

    Raises:
        UsageError: a path cannot be written in a unit or a crontab.
    """
    uid = os.geteuid()
    system = flags["system"] or (uid == 0 and not flags["user"])
    launchd = flags["launchd"] or (sys.platform == "darwin")
    kind: Kind = "cron" if flags["cron"] else "launchd" if launchd else "systemd"
    service = _service(config, config_file, system=system)
    if path := units.unusable(service):
        what = "a service cannot have a path with such characters, or with a space at its end"
        raise UsageError(what, where=path, hint="rename it")
    home = Path.home()
    config_home = os.environ.get("XDG_CONFIG_HOME") or str(home / ".config")
    log = Path("/Library/Logs") if system else home / "Library/Logs"
    place = units.place(kind, str(home), config_home, system=system)
    text = units.text(kind, service, _template(), str(log / "newsletter.log"))
    commands = [
        *_preparation(config, service),
        *units.start_commands(kind, place, system=system, uid=uid),
    ]
    return ServiceFile(kind, place, text, commands, system)


def install(found: ServiceFile, *, force: bool) -> None:
    """Writes the file.

    Raises:
        UsageError: it is a crontab, only root may write it, or the file there was not written
            by this command.
        OutputError: it cannot be written.
    """
    path = _writable(found)
    if os.path.lexists(path) and not force and not _is_ours(path):
        hint = "look at it; --force replaces it"
        raise UsageError("was not written by this command", where=str(path), hint=hint)
    files.folder(path.parent)
    files.write(path, found.text.encode())


def uninstall(found: ServiceFile) -> ServiceFile:
    """Removes the file, and returns what was installed.

    Raises:
        UsageError: there is no such file, or it was not written by this command.
        OutputError: it cannot be removed.
    """
    path = _writable(found)
    if not os.path.lexists(path):
        raise UsageError("there is no such file", where=str(path), hint="nothing is installed")
    if not _is_ours(path):
        hint = "look at it, and remove it yourself"
        raise UsageError("was not written by this command", where=str(path), hint=hint)
    text = path.read_text("utf-8")
    files.remove(path)
    # `systemctl enable` made this link, and `disable` needs the unit.
    for wants in path.parent.glob("*.wants"):
        link = wants / path.name
        if link.is_symlink() and link.readlink() == path:
            files.remove(link)
    commands = units.stop_commands(found.kind, system=found.system, uid=os.geteuid())
    return ServiceFile(found.kind, path, text, commands, found.system)


def _writable(found: ServiceFile) -> Path:
    if found.path is None:
        hint = "`crontab -e` does; without --write, the line is printed"
        raise UsageError("does not change a crontab", where="--cron", hint=hint)
    if found.system and os.geteuid() != 0:
        hint = "run this with sudo, or with --user"
        raise UsageError("only root can change it", where=str(found.path), hint=hint)
    return found.path


def _is_ours(path: Path) -> bool:
    try:
        return units.MARKER in path.read_text("utf-8", errors="replace")
    except OSError:
        return False


def _template() -> str:
    """Returns the systemd unit of the repository, from the wheel or the checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "newsletter.service"
    path = packaged if packaged.is_file() else package.parent / "deploy" / packaged.name
    return path.read_text("utf-8")


def _service(config: Config, file: Path, *, system: bool) -> Service:
    folder = file.absolute().parent.resolve()
    data = sqlite_path(config.database.url).absolute().parent
    return Service(
        program=_program(),
        config=str(folder / file.name),
        folder=str(folder),
        writable=tuple(map(str, _outermost([data, *_outbox(config)]))),
        reads=tuple(_reads(config)),
        password_file=config.transports.smtp.password_file,
        user=_owner(data) if system else "",
    )


def _program() -> tuple[str, ...]:
    script = Path(sys.executable).with_name("newsletter")
    if os.access(script, os.X_OK):
        return (str(script),)
    return sys.executable, "-P", "-m", "newsletter"


def _outbox(config: Config) -> Iterator[Path]:
    kind = config.delivery.transport
    if kind in ("eml", "maildir"):
        yield Path(getattr(config.transports, kind).folder)


def _outermost(folders: list[Path]) -> list[Path]:
    """Leaves out folders within others."""
    return [
        one
        for one in dict.fromkeys(folders)
        if not any(one != other and one.is_relative_to(other) for other in folders)
    ]


def _reads(config: Config) -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[1]))
    yield from (source.path for source in config.sources)
    yield config.theme.templates_dir
    yield from (config.dkim.key_file, config.dkim.ed25519_key_file)


def _owner(folder: Path) -> str:
    """Returns the account that owns the folder, or the nearest one that exists."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    uid = there.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _preparation(config: Config, service: Service) -> Iterator[str]:
    """Yields the commands without which the service cannot start."""
    become = ["sudo", "-u", service.user] if service.user not in ("", "root") else []
    for folder in service.writable:
        if not Path(folder).exists():
            owner = ["-o", service.user] if service.user else []
            yield shlex.join(["install", "-d", "-m", "700", *owner, folder])
    if not sqlite_path(config.database.url).exists():
        yield shlex.join([*become, *service.program, "--config", service.config, "ingest"])
