"""`newsletter install-service`: makes this machine run the newsletter all the time."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newsletter.cli.base import json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import note, say, write
from newsletter.errors import UsageError

if TYPE_CHECKING:
    from newsletter.app.service_units import Kind, Service
    from newsletter.config.schema import Config


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed on this machine.

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

    def row(self) -> dict[str, Any]:
        """Returns it as a JSON row."""
        path = str(self.path) if self.path else None
        return {"kind": self.kind, "path": path, "text": self.text, "commands": self.commands}


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for name, about in reversed(_FLAGS.items()):
        command = click.option(name, is_flag=True, help=about)(command)
    return command


_FLAGS = {
    "--system": "A service of the whole machine; the default for root.",
    "--user": "A service of this account; the default for all others.",
    "--cron": "A line for a crontab.",
    "--launchd": "A launchd job; the default on macOS.",
    "--write": "Write the file to where it belongs, and show the commands that start it.",
    "--force": "With --write, replace a file that this command did not write.",
    "--uninstall": "Remove the file that --write wrote.",
}


@click.command("install-service")
@_options
@json_option
def install_service(*, as_json: bool, **flags: bool) -> None:
    """Print or install a service that runs the newsletter.

    That is a systemd unit, on macOS a launchd job, or with --cron a line for a crontab.
    It starts and stops nothing itself.
    """
    from newsletter.cli.output import print_json
    from newsletter.config.file import load_config

    for one, other in (("system", "user"), ("cron", "launchd"), ("write", "uninstall")):
        if flags[one] and flags[other]:
            raise click.UsageError(f"--{one} and --{other} exclude each other")
    found = _installation(load_config(config_option()), flags)
    if flags["write"]:
        install(found, force=flags["force"])
    elif flags["uninstall"]:
        found = uninstall(found)
    if as_json:
        print_json(found.row())
    elif flags["write"] or flags["uninstall"]:
        done = "Wrote" if flags["write"] else "Removed"
        say(f"{done} {found.path}." + (" Now run:" if found.commands else ""))
        for command in found.commands:
            say(f"  {command}")
    else:
        write(found.text, end=False)
        note(f"--write writes it to {found.path}" if found.path else "add it with `crontab -e`")


def _installation(config: Config, flags: dict[str, bool]) -> Installation:
    """Decides what to install on this machine.

    Raises:
        UsageError: a path cannot be written in a unit or a crontab.
    """
    from newsletter.app import service_units as units

    uid = os.geteuid()
    system = flags["system"] or (uid == 0 and not flags["user"])
    launchd = flags["launchd"] or (sys.platform == "darwin")
    kind: Kind = "cron" if flags["cron"] else "launchd" if launchd else "systemd"
    service = _service(config, system=system)
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
    return Installation(kind, place, text, commands, system)


def install(found: Installation, *, force: bool) -> None:
    """Writes the file.

    Raises:
        UsageError: it is a crontab, only root may write it, or the file there was not written
            by this command.
        OutputError: it cannot be written.
    """
    from newsletter.text import files

    path = _writable(found)
    if os.path.lexists(path) and not force and not _is_ours(path):
        hint = "look at it; --force replaces it"
        raise UsageError("was not written by this command", where=str(path), hint=hint)
    files.folder(path.parent)
    files.write(path, found.text.encode())


def uninstall(found: Installation) -> Installation:
    """Removes the file, and returns what was installed.

    Raises:
        UsageError: there is no such file, or it was not written by this command.
        OutputError: it cannot be removed.
    """
    from newsletter.app.service_units import stop_commands
    from newsletter.text import files

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
    commands = stop_commands(found.kind, system=found.system, uid=os.geteuid())
    return Installation(found.kind, path, text, commands, found.system)


def _writable(found: Installation) -> Path:
    if found.path is None:
        hint = "`crontab -e` does; without --write, the line is printed"
        raise UsageError("does not change a crontab", where="--cron", hint=hint)
    if found.system and os.geteuid() != 0:
        hint = "run this with sudo, or with --user"
        raise UsageError("only root can change it", where=str(found.path), hint=hint)
    return found.path


def _is_ours(path: Path) -> bool:
    from newsletter.app.service_units import MARKER

    try:
        return MARKER in path.read_text("utf-8", errors="replace")
    except OSError:
        return False


def _template() -> str:
    """Returns the systemd unit of the repository, from the wheel or the checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "newsletter.service"
    path = packaged if packaged.is_file() else package.parent / "deploy" / packaged.name
    return path.read_text("utf-8")


def _service(config: Config, *, system: bool) -> Service:
    from newsletter.app.service_units import Service
    from newsletter.config.file import config_path
    from newsletter.storage.database_file import sqlite_path

    file = config_path(config_option())
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
    from newsletter.storage.database_file import sqlite_path

    become = ["sudo", "-u", service.user] if service.user not in ("", "root") else []
    for folder in service.writable:
        if not Path(folder).exists():
            owner = ["-o", service.user] if service.user else []
            yield shlex.join(["install", "-d", "-m", "700", *owner, folder])
    if not sqlite_path(config.database.url).exists():
        yield shlex.join([*become, *service.program, "--config", service.config, "ingest"])
