"""How mail leaves. A transport takes finished bytes; what they say is not its business.

To add one: a module here with a class that has `send` and `close`, and its line in
`TRANSPORTS`. The contract test in `tests/contracts` runs over the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from newsletter.transports.eml import EmlFolder


class Transport(Protocol):
    """A way for mail to leave."""

    def send(self, name: str, data: bytes) -> str:
        """Hands over one message; what the other side said.

        Args:
            name: the message's name, unique among those sent.
            data: the whole message, CRLF line ends.

        Raises:
            OutputError: it was not taken.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds."""
        ...


TRANSPORTS: Mapping[str, Callable[[Path], Transport]] = {"eml": EmlFolder}
"""Every transport that is configured by a folder, by its name in the configuration."""
