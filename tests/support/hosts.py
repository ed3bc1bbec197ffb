"""Other addresses for host names, for one command; this needs the permission to mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def with_hosts(file: Path, addresses: dict[str, str]) -> Sequence[str]:
    """Returns the command that runs another one with these addresses of host names.

    Args:
        file: the file to write them to.
        addresses: an IP address for each name.
    """
    lines = [f"{address} {name}\n" for name, address in addresses.items()]
    file.write_text("127.0.0.1 localhost\n" + "".join(lines))
    mount = f'mount --bind {file} /etc/hosts && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", mount, "sh")
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        problem = f"cannot replace /etc/hosts here: {done.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    return command
