"""The configuration file: finds and reads it.

Does not interpret the text: `parse` does.
"""

from __future__ import annotations

import os
from pathlib import Path

from newsletter.config.parse import parse
from newsletter.config.permissions import refuse_shared
from newsletter.config.schema import Config
from newsletter.errors import ConfigError

CONFIG_VARIABLE = "NEWSLETTER_CONFIG"
CONFIG_FILE = "config.toml"


def config_path(path: str | None) -> Path:
    """Returns `path`, else `$NEWSLETTER_CONFIG`, else `config.toml`."""
    return Path(path or os.environ.get(CONFIG_VARIABLE) or CONFIG_FILE)


def load_config(path: str | None, *, to_check: bool = False) -> Config:
    """Loads the configuration at `path`, else `$NEWSLETTER_CONFIG`, else `./config.toml`.

    Args:
        to_check: only check it, so load it also if every account on this machine may change it.

    Raises:
        ConfigError: the file is missing or unreadable, others may change it, or the configuration
            has problems.
    """
    file = config_path(path)
    try:
        if file.exists() and not file.is_file():
            raise ConfigError(["not a file"], where=str(file), hint="name a file")
        with file.open(encoding="utf-8") as opened:
            if not to_check:
                refuse_shared(file, os.fstat(opened.fileno()).st_mode)
            text = opened.read()
    except FileNotFoundError as exc:
        raise ConfigError(
            ["there is no configuration"],
            where=str(file),
            hint="`newsletter init` writes one, `--config FILE` names another",
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(["not UTF-8 text"], where=str(file), hint="save it as UTF-8") from exc
    except OSError as exc:
        raise ConfigError(
            [f"cannot be read ({exc.strerror})"], where=str(file), hint="check its owner and mode"
        ) from exc
    folder = file.absolute().parent
    return parse(text, os.environ, where=str(file), folder=folder)


def load_named_config(path: str | None) -> Config | None:
    """Loads the configuration at `path`, else at `$NEWSLETTER_CONFIG` if it exists.

    Returns `None` if there is neither: a container names its configuration before it has one.

    Raises:
        ConfigError: the file is missing or unreadable, or the configuration has problems.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if not path and not (named and Path(named).exists()):
        return None
    return load_config(path)


def with_theme(config: Config, theme: str) -> Config:
    """Returns the same configuration with another theme."""
    return config.model_copy(update={"theme": config.theme.model_copy(update={"name": theme})})


def configured_locations(config: Config) -> list[str]:
    """Returns the URL or path of each configured source."""
    return [section.url or section.path for section in config.sources]


def example_config() -> str:
    """Returns the commented example configuration, from the wheel or the checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "config.example.toml"
    path = packaged if packaged.is_file() else package.parent / "config.example.toml"
    return path.read_text("utf-8")
