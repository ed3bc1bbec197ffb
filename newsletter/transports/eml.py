"""Mail as files: one `.eml` a message, to look at or to hand on by other means."""

from __future__ import annotations

from pathlib import Path

from newsletter import files


class EmlFolder:
    """Writes each message to a file of its own.

    Args:
        folder: where; made if missing.
        mode: of the files. They hold live links, so only the owner reads them.
    """

    def __init__(self, folder: Path, mode: int = 0o600) -> None:
        self._folder = files.folder(folder)
        self._mode = mode

    def send(self, name: str, data: bytes) -> str:
        """The file's path."""
        path = self._folder / f"{name}.eml"
        files.write(path, data, self._mode)
        return str(path)

    def close(self) -> None:
        """Nothing is held."""
