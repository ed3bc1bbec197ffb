"""Notifications to systemd, if it started the process: ready, alive, or stopping."""

from __future__ import annotations

import os
import socket

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"


def notify(word: str) -> None:
    """Sends a notification. Does nothing without systemd, or if it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
        try:
            wire.sendto(word.encode(), name)
        except OSError:
            return


def watchdog_seconds() -> float | None:
    """Returns systemd's watchdog timeout, or `None` if the watchdog is not enabled."""
    asked = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(asked) / 1e6 if asked.isdecimal() and int(asked) and mine else None
