"""What other accounts on this machine may do with the configuration and the secrets it names."""

from __future__ import annotations

import shlex
import stat
import tomllib
from contextlib import suppress
from pathlib import Path

from newsletter.config.schema import Config
from newsletter.errors import ConfigError

_SHARED = "every account on this machine may change it, and with it what is run and sent"


def holds_secret(text: str) -> bool:
    """Returns whether the text of a configuration contains a password, a key or a secret URL."""
    tables = tomllib.loads(text)
    smtp, web = tables.get("transports", {}).get("smtp", {}), tables.get("web", {})
    newsletter = tables.get("newsletter", {})
    secrets = [smtp.get("password"), web.get("secret_keys"), web.get("metrics_token")]
    secrets += [newsletter.get(name) for name in ("alert_url", "alert_command", "ping_url")]
    urls = [tables.get("database", {}).get("url", "")]
    urls += [source.get("url", "") for source in tables.get("sources", [])]
    return any(secrets) or any("@" in url.partition("?")[0] for url in urls)


def refuse_shared(file: Path, mode: int) -> None:
    """Refuses a configuration that every account on this machine may change.

    Args:
        file: its path.
        mode: its mode.

    Raises:
        ConfigError: others may change the configuration, and so what is run and sent.
    """
    if mode & stat.S_IWOTH:
        raise ConfigError([_SHARED], where=str(file), hint=_remedy(file))


def remarks(file: Path) -> list[str]:
    """Returns what `refuse_shared` would say of a configuration that is only checked."""
    is_shared = file.stat().st_mode & stat.S_IWOTH
    return [f"{file}: {_SHARED}; {_remedy(file)}"] if is_shared else []


def tighten(file: Path, config: Config) -> None:
    """Makes the files with secrets unreadable for other accounts, where that is possible.

    Files that belong to another account, such as those that a container mounts, stay as they
    are; `doctor` warns of them.
    """
    password_file = config.transports.smtp.password_file
    secret = [file] if holds_secret(file.read_text("utf-8")) else []
    for path in [*secret, *([Path(password_file)] if password_file else [])]:
        # One that is missing or another account's is spoken of where it is read.
        with suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & stat.S_IRWXO:
                path.chmod(mode & ~stat.S_IRWXO)


def _remedy(file: Path) -> str:
    return f"run `chmod o-rwx {shlex.quote(str(file))}`"
