"""Changes the configuration file, unless it was changed meanwhile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from newsletter.config.file import config_path, load_config
from newsletter.config.parse import parse
from newsletter.config.schema import Config
from newsletter.errors import OutputError
from newsletter.text import files


@dataclass(frozen=True, slots=True)
class ConfigDraft:
    """A configuration file that is to be changed.

    Attributes:
        file: the file itself, which may have been reached through a link.
        folder: the folder to which the paths in it are relative.
        content: its bytes as they were read.
        config: the configuration in them.
    """

    file: Path
    folder: Path
    content: bytes
    config: Config

    @property
    def text(self) -> str:
        """The TOML, with its line ends."""
        return self.content.decode()

    def replace(self, text: str) -> None:
        """Writes the changed text. The file keeps its owner and its mode.

        Raises:
            ConfigError: the text is not a valid configuration.
            OutputError: the file was changed since it was read, or cannot be written.
        """
        parse(text, os.environ, where=str(self.file), folder=self.folder)
        try:
            found = self.file.stat()
            with files.replacing(self.file, found.st_mode & 0o777) as written:
                written.write(text.encode())
                files.keep_owner(written.fileno(), found, found.st_mode & 0o777)
                if self.file.read_bytes() != self.content:
                    raise OutputError(
                        "was changed meanwhile, so nothing was written",
                        where=str(self.file),
                        hint="run the command again",
                    )
        except OSError as exc:
            raise OutputError(
                f"cannot be written ({exc.strerror})",
                where=str(self.file),
                hint="check the disk, and the owner and mode of the file and its folder",
            ) from exc


def draft(path: str | None) -> ConfigDraft:
    """Reads the configuration at `path` to change it.

    Raises:
        ConfigError: it is missing, unreadable or invalid.
    """
    load_config(path)
    named = config_path(path).absolute()
    file = named.resolve()
    content = file.read_bytes()
    config = parse(content.decode(), os.environ, where=str(file), folder=named.parent)
    return ConfigDraft(file, named.parent, content, config)
