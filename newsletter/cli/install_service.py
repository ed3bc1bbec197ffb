"""`newsletter install-service`: makes this machine run the newsletter all the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from newsletter.cli.base import json_option
from newsletter.cli.options import config_option
from newsletter.cli.terminal import note, say, write

if TYPE_CHECKING:
    from newsletter.app.service_install import ServiceFile


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
    from newsletter.app import service_install
    from newsletter.cli.output import print_json
    from newsletter.config.file import config_path, load_config

    for one, other in (("system", "user"), ("cron", "launchd"), ("write", "uninstall")):
        if flags[one] and flags[other]:
            raise click.UsageError(f"--{one} and --{other} exclude each other")
    path = config_option()
    found = service_install.service_file(load_config(path), config_path(path), flags)
    if flags["write"]:
        service_install.install(found, force=flags["force"])
    elif flags["uninstall"]:
        found = service_install.uninstall(found)
    if as_json:
        print_json(_row(found))
    elif flags["write"] or flags["uninstall"]:
        done = "Wrote" if flags["write"] else "Removed"
        say(f"{done} {found.path}." + (" Now run:" if found.commands else ""))
        for command in found.commands:
            say(f"  {command}")
    else:
        write(found.text, end=False)
        note(f"--write writes it to {found.path}" if found.path else "add it with `crontab -e`")


def _row(found: ServiceFile) -> dict[str, Any]:
    path = str(found.path) if found.path else None
    return {"kind": found.kind, "path": path, "text": found.text, "commands": found.commands}
