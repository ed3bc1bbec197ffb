"""What makes a machine run the newsletter: a systemd unit, a launchd job or a cron line. Pure."""

from __future__ import annotations

import plistlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

MARKER = "Written by newsletter install-service."
"""Part of every installed file: only files that contain it are replaced or removed."""
LABEL = "paper-newsletter"
"""Label of the launchd job."""

Kind = Literal["systemd", "launchd", "cron"]

_HOMES = ("/home", "/root", "/run/user")
"""What `ProtectHome=` hides."""
_SYSTEM_ONLY = [
    *("Wants", "After", "User", "LoadCredential", "Environment", "CapabilityBoundingSet"),
    *("DevicePolicy", "KeyringMode", "PrivateDevices", "PrivateTmp", "ProtectClock"),
    *("ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs"),
    *("ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem"),
    "RemoveIPC",
]
"""Settings that a user's own systemd cannot apply: they need root, or namespaces, which some
distributions deny to other accounts. A unit with them would not start there."""


@dataclass(frozen=True, slots=True)
class Service:
    """A newsletter to be run as a service. All paths are absolute.

    Attributes:
        program: the command line that starts the program, without its arguments.
        config: the configuration file.
        folder: the folder to run in.
        writable: the folders that it writes to.
        reads: other files and folders that it reads.
        password_file: the file with the mail password, or empty.
        user: the account that a system-wide service runs as; empty for a service of the current
            account.
    """

    program: tuple[str, ...]
    config: str
    folder: str
    writable: tuple[str, ...]
    reads: tuple[str, ...] = ()
    password_file: str = ""
    user: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths."""
        named = (*self.program, self.config, self.folder, *self.writable, *self.reads)
        return tuple(path for path in (*named, self.password_file) if path.startswith("/"))


def unusable(service: Service) -> str | None:
    """Returns the first path that cannot be written in a unit or a crontab, or `None`."""
    return next((path for path in service.paths if not _is_usable(path)), None)


def _is_usable(path: str) -> bool:
    control = re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", path)
    # systemd removes white space at the end, and reads a backslash there as a continued line.
    return not control and path == path.rstrip() and not path.endswith("\\")


def place(kind: Kind, home: str, config_home: str, *, system: bool) -> Path | None:
    """Returns the file to install, or `None` for a user's crontab, which is not a file to write.

    Args:
        home: the home folder of the account.
        config_home: its folder of configurations, such as `$XDG_CONFIG_HOME`.
        system: whether the service is system-wide.
    """
    if kind == "cron":
        return Path("/etc/cron.d/newsletter") if system else None
    if kind == "launchd":
        name = f"{LABEL}.plist"
        return (
            Path("/Library/LaunchDaemons", name)
            if system
            else Path(home, "Library/LaunchAgents", name)
        )
    return (
        Path("/etc/systemd/system/newsletter.service")
        if system
        else Path(config_home, "systemd/user/newsletter.service")
    )


def text(kind: Kind, service: Service, template: str, log: str) -> str:
    """Returns the content of the file to install, or the line for the crontab.

    Args:
        template: the systemd unit to adapt, `deploy/newsletter.service`.
        log: the log file of a launchd job.
    """
    if kind == "cron":
        return cron_line(service)
    return systemd_unit(template, service) if kind == "systemd" else launchd_job(service, log)


def systemd_unit(template: str, service: Service) -> str:
    """Returns the unit `template` with the paths and the account of a service.

    For a service of the current account, it leaves out what only root's systemd can apply.
    """
    changes = _changes(service)
    lines = [f"# {MARKER}", ""]
    comment: list[str] = []
    for line in template[template.index("[Unit]") :].splitlines():
        if line.startswith("#"):
            comment.append(line)
            continue
        key, equals, value = line.partition("=")
        found = changes.get(key) if equals else None
        new = [line] if found is None else [f"{key}={found}"] if found else []
        if key == "ExecStart":
            new = [f"{key}={_command(service, value)}"]
        elif key == "WorkingDirectory":
            new += [f"ReadWritePaths={_words(service.writable)}"] if service.user else []
        lines += [*comment, *new] if new else []
        comment = []
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n"


def _changes(service: Service) -> Mapping[str, str]:
    """Returns the new values of settings; empty for those to leave out."""
    changes = {
        "StateDirectory": "",
        "StateDirectoryMode": "",
        "WorkingDirectory": _specifier_free(service.folder),
    }
    if not service.user:
        return changes | dict.fromkeys(_SYSTEM_ONLY, "") | {"WantedBy": "default.target"}
    changes["User"] = service.user
    # The files that it needs may be in a home folder, and stay readable there.
    if any(_is_below(path, _HOMES) for path in service.paths):
        changes["ProtectHome"] = "read-only"
    if service.password_file:
        changes["LoadCredential"] = f"smtp-password:{_specifier_free(service.password_file)}"
    else:
        changes |= {"LoadCredential": "", "Environment": ""}
    return changes


def _command(service: Service, value: str) -> str:
    """Returns a command line for `ExecStart=` with the arguments that the template's has."""
    words = value.split()
    program, *options = service.program
    if re.search(r"""["'\\]""", program):
        # systemd runs no program whose path has these characters.
        program, options = "/bin/sh", ["-c", 'exec "$0" "$@"', *service.program]
    rest = [*options, "--config", service.config, *words[words.index("--config") + 2 :]]
    # Variables are expanded in the arguments, but not in the path of the program.
    return " ".join([_word(program), *(_word(word).replace("$", "$$") for word in rest)])


def _words(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    """Quotes a word for systemd."""
    word = _specifier_free(word)
    if re.fullmatch(r"[\w%+,./:=@$-]+", word, re.ASCII):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _specifier_free(word: str) -> str:
    return word.replace("%", "%%")


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(PurePath(path).is_relative_to(folder) for folder in folders)


def launchd_job(service: Service, log: str) -> str:
    """Returns a launchd job that keeps the service running.

    Args:
        log: the file for its log.
    """
    job: dict[str, Any] = {
        "Label": LABEL,
        "ProgramArguments": [*service.program, "--config", service.config, "serve"],
        "WorkingDirectory": service.folder,
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 30,
        "Umask": 0o077,
        "StandardErrorPath": log,
    }
    if service.user:
        job["UserName"] = service.user
    head, tag, rest = plistlib.dumps(job, sort_keys=False).decode().partition("<plist ")
    return f"{head}<!-- {MARKER} -->\n{tag}{rest}"


def cron_line(service: Service) -> str:
    """Returns a line that starts a run every ten minutes, with the account if it is system-wide.

    It is for a crontab that /bin/sh runs.
    """
    program = shlex.join([*service.program, "--config", service.config, "--quiet", "run"])
    command = f"cd {shlex.quote(service.folder)} && {program}"
    # cron ends the command at a "%" without a backslash. The quotation marks keep the backslash
    # apart from one that belongs to the path.
    command = command.replace("%", r"'\%'")
    line = " ".join(filter(None, ["*/10 * * * *", service.user, command]))
    return f"# {MARKER}\n{line}\n" if service.user else f"{line}\n"


def start_commands(kind: Kind, path: Path | None, *, system: bool, uid: int) -> list[str]:
    """Returns the shell commands that start the service once its file is installed.

    Args:
        path: the installed file.
        uid: the id of the account.
    """
    if kind == "cron":
        return [] if system else ["crontab -e"]
    if kind == "launchd":
        domain = "system" if system else f"gui/{uid}"
        return [
            f"launchctl enable {domain}/{LABEL}",
            f"launchctl bootstrap {domain} {shlex.quote(str(path))}",
        ]
    if system:
        return ["systemctl daemon-reload", "systemctl enable --now newsletter"]
    return ["systemctl --user enable --now newsletter", "loginctl enable-linger"]


def stop_commands(kind: Kind, *, system: bool, uid: int) -> list[str]:
    """Returns the shell commands that end the service once its file is removed."""
    if kind == "cron":
        return [] if system else ["crontab -e"]
    if kind == "launchd":
        return [f"launchctl bootout {'system' if system else f'gui/{uid}'}/{LABEL}"]
    systemctl = "systemctl" if system else "systemctl --user"
    return [f"{systemctl} stop newsletter", f"{systemctl} daemon-reload"]
