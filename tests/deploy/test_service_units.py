"""`newsletter install-service`: what it prints is accepted by systemd, launchd and cron, and it
replaces and removes only files of its own.
"""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from newsletter.app import service_units
from newsletter.app.service_install import ServiceFile, install, uninstall
from newsletter.app.service_units import MARKER, Service
from newsletter.errors import UsageError
from tests.support.commands import Here, rows_of

TEMPLATE = (Path(__file__).parents[2] / "deploy" / "newsletter.service").read_text("utf-8")
ODD = "my 100% \"new\" 'papers' & <co> $HOME \\%n"
"""The name of a folder with everything that needs quoting somewhere."""
END = "serve --log json"
"""The arguments in the published unit."""
PROGRAM = """#!/bin/sh
printf '%s\\n' "$PWD" "$@" > "$0.ran"
"""


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """Runs commands in this process, in an empty folder that is also the home folder."""
    monkeypatch.setenv("HOME", os.getcwd())  # noqa: PTH109
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return Here(capfd, monkeypatch)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service whose program and data are in a folder with an odd name."""
    folder = tmp_path / ODD
    folder.mkdir()
    program = folder / "news letter"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return Service(
        program=(str(program),),
        config=str(folder / "config.toml"),
        folder=str(folder),
        writable=(str(folder), str(tmp_path / "outbox")),
    )


def settings(unit: str) -> dict[str, list[str]]:
    """Returns the values of all settings of a unit."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def verified(unit: str, folder: Path, *options: str) -> str:
    """Returns what systemd's checker says of a unit."""
    if not shutil.which("systemd-analyze"):
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing")
        pytest.skip("systemd-analyze is not installed here")
    (folder / "newsletter.service").write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", *options, "./newsletter.service"],
        cwd=folder,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


VERIFY = ("verify", "--man=no", "--recursive-errors=yes")


@pytest.mark.parametrize(("user", "options"), [("", ["--user"]), ("daemon", [])])
def test_systemd_accepts_the_unit(
    tmp_path: Path, service: Service, user: str, options: list[str]
) -> None:
    """It accepts every path, and finds a program that has a space and a percent sign in its own."""
    unit = service_units.systemd_unit(TEMPLATE, replace(service, user=user))
    assert verified(unit, tmp_path, *VERIFY, *options) == ""
    program = tmp_path / "100% a$b"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    unit = service_units.systemd_unit(TEMPLATE, replace(service, program=(str(program),)))
    assert verified(unit, tmp_path, *VERIFY, *options) == ""
    program.unlink()
    assert "is not executable" in verified(unit, tmp_path, *VERIFY, *options)


def test_systemd_runs_a_program_with_quotation_marks_in_its_path(service: Service) -> None:
    """It would refuse the path of the program itself, so a shell is replaced by it."""
    unit = service_units.systemd_unit(TEMPLATE, service)
    (command,) = settings(unit)["ExecStart"]
    words = shlex.split(command.replace("%%", "%").replace("$$", "$"))
    assert words == [
        *("/bin/sh", "-c", 'exec "$0" "$@"', *service.program),
        *("--config", service.config, *END.split()),
    ]
    assert subprocess.run(words, cwd=service.folder, check=False).returncode == 0
    ran = Path(f"{service.program[0]}.ran").read_text().splitlines()
    assert ran == [service.folder, *words[4:]]


def test_the_system_unit_is_the_published_one_with_other_paths(service: Service) -> None:
    """Only what depends on the machine differs; the sandbox is the same."""
    service = replace(
        service,
        program=("/opt/my$news",),
        user="ada",
        password_file="/etc/pass 100%",
        reads=("/home/ada/captures",),
    )
    unit = settings(service_units.systemd_unit(TEMPLATE, service))
    published = settings(TEMPLATE)
    escaped = service.folder.replace("%", "%%")
    quoted = escaped.replace("\\", "\\\\").replace('"', '\\"')
    changed = {
        "User": ["ada"],
        "WorkingDirectory": [escaped],
        "ReadWritePaths": [f'"{quoted}" {service.writable[1]}'],
        "ProtectHome": ["read-only"],
        "LoadCredential": ["smtp-password:/etc/pass 100%%"],
        "ExecStart": [f'/opt/my$news --config "{quoted.replace("$", "$$")}/config.toml" {END}'],
    }
    gone = {"StateDirectory", "StateDirectoryMode"}
    kept = {key: value for key, value in published.items() if key not in gone}
    assert unit == kept | changed


def test_the_user_unit_needs_no_root(service: Service) -> None:
    """It has the limits of the published unit, but nothing that only root's systemd can apply."""
    unit = settings(service_units.systemd_unit(TEMPLATE, service))
    assert unit["WantedBy"] == ["default.target"]
    assert {"MemoryMax", "NoNewPrivileges", "SystemCallFilter", "WatchdogSec"} < unit.keys()
    assert not unit.keys() & {"User", "CapabilityBoundingSet", "ProtectSystem", "LoadCredential"}
    assert unit.keys() <= settings(TEMPLATE).keys()


@pytest.mark.parametrize("path", ["/a\nExecStartPre=/bin/id", "/a ", "/a\\", "/a\udcff"])
def test_paths_that_no_unit_can_have_are_refused(service: Service, path: str) -> None:
    """A line end would begin another setting."""
    assert service_units.unusable(service) is None
    assert service_units.unusable(replace(service, config=path)) == path


@pytest.mark.parametrize("user", ["", "ada"])
def test_launchd_reads_the_job(service: Service, user: str) -> None:
    """All characters survive, and the marker is a comment."""
    text = service_units.launchd_job(replace(service, user=user), "/log")
    job = plistlib.loads(text.encode())
    assert job["ProgramArguments"] == [*service.program, "--config", service.config, "serve"]
    assert job["WorkingDirectory"] == service.folder
    assert job.get("UserName", "") == user
    assert job["KeepAlive"] is True
    assert f"<!-- {MARKER} -->" in text


def as_cron_runs(line: str) -> str:
    r"""Returns the command of a crontab line: up to a "%", of which "\%" is the plain one."""
    command, escaped = "", False
    for character in line.split(maxsplit=5)[5]:
        if escaped and character == "%":
            command = command[:-1]
        elif character == "%":
            break
        escaped = character == "\\" and not escaped
        command += character
    return command


def test_the_cron_line_runs(service: Service) -> None:
    """The shell that cron starts runs the program in its folder, with the configuration."""
    command = as_cron_runs(service_units.cron_line(service).rstrip("\n"))
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ran = Path(f"{service.program[0]}.ran").read_text().splitlines()
    assert ran == [service.folder, "--config", service.config, "--quiet", "run"]


def test_the_cron_line_of_the_machine_has_the_account(service: Service) -> None:
    """Files in /etc/cron.d name it before the command."""
    marker, line = service_units.cron_line(replace(service, user="ada")).splitlines()
    assert marker == f"# {MARKER}"
    assert line.startswith("*/10 * * * * ada cd ")


def test_the_unit_of_this_machine_is_printed(here: Here, tmp_path: Path) -> None:
    """It names this program, the configuration and the folders; `--json` has the commands."""
    assert here("init").returncode == 0
    (row,) = rows_of(here("install-service", "--user", "--json"))
    assert row["kind"] == ("launchd" if sys.platform == "darwin" else "systemd")
    if row["kind"] == "systemd":
        assert row["path"] == str(tmp_path / ".config/systemd/user/newsletter.service")
        assert row["commands"][-2:] == [
            "systemctl --user enable --now newsletter",
            "loginctl enable-linger",
        ]
        assert settings(row["text"])["WorkingDirectory"] == [str(tmp_path)]
        assert here("install-service", "--user").stdout == row["text"]
        assert verified(row["text"], tmp_path, *VERIFY, "--user") == ""
    (row,) = rows_of(here("install-service", "--cron", "--system", "--json"))
    assert row["path"] == "/etc/cron.d/newsletter"
    (row,) = rows_of(here("install-service", "--launchd", "--user", "--json"))
    assert row["path"] == str(tmp_path / "Library/LaunchAgents/paper-newsletter.plist")
    assert f" --config {tmp_path}/config.toml " in here("install-service", "--cron").stdout
    default = rows_of(here("install-service", "--json"))
    forced = "--system" if os.geteuid() == 0 else "--user"
    assert default == rows_of(here("install-service", forced, "--json"))


@pytest.mark.parametrize("transport", ["eml", "maildir", "smtp"])
def test_the_folders_of_mail_are_writable(here: Here, tmp_path: Path, transport: str) -> None:
    """The database's folder has the backups as well; a missing folder is created first."""
    Path("config.toml").write_text(
        '[database]\nurl = "sqlite:///data/newsletter.db"\n'
        '[transports.eml]\nfolder = "data/outbox"\n[transports.maildir]\nfolder = "mail dir"\n'
        f'[delivery]\ntransport = "{transport}"\n[transports.smtp]\nhost = "localhost"\n'
        '[newsletter]\nsender = "news@example.org"\n'
    )
    (row,) = rows_of(here("install-service", "--system", "--json"))
    paths = f"{tmp_path}/data" + (f' "{tmp_path}/mail dir"' if transport == "maildir" else "")
    assert settings(row["text"])["ReadWritePaths"] == [paths]
    assert row["commands"][0].startswith("install -d -m 700 -o ")
    assert row["commands"][0].endswith(f" {tmp_path}/data")
    assert [command for command in row["commands"] if command.endswith(" ingest")]


def test_a_file_is_written_replaced_and_removed(here: Here, tmp_path: Path) -> None:
    """Another file at its place is neither replaced nor removed, except with `--force`."""
    here("init")
    job = ("install-service", "--launchd", "--user")
    path = tmp_path / "Library/LaunchAgents/paper-newsletter.plist"
    done = here(*job, "--write")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"Wrote {path}. Now run:"
    assert path.read_text() == here(*job).stdout
    assert here(*job, "--write").returncode == 0

    path.write_text("mine")
    for word in ("--write", "--uninstall"):
        done = here(*job, word)
        assert done.returncode == 2
        assert f"{path}: was not written by this command" in done.stderr
        assert path.read_text() == "mine"
    assert here(*job, "--write", "--force").returncode == 0
    assert MARKER in path.read_text()

    (row,) = rows_of(here(*job, "--uninstall", "--json"))
    assert MARKER in row["text"]
    assert row["commands"] == [f"launchctl bootout gui/{os.geteuid()}/paper-newsletter"]
    assert list(path.parent.iterdir()) == []
    assert here(*job, "--uninstall").returncode == 2


def test_the_link_to_a_removed_unit_is_removed(tmp_path: Path) -> None:
    """It is the one that `systemctl enable` made; links of others stay."""
    path = tmp_path / "newsletter.service"
    found = ServiceFile("systemd", path, f"# {MARKER}\n", [], system=False)
    install(found, force=False)
    wants = tmp_path / "default.target.wants"
    wants.mkdir()
    (wants / path.name).symlink_to(path)
    (wants / "other.service").symlink_to(tmp_path / "other.service")
    assert uninstall(found).commands[0] == "systemctl --user stop newsletter"
    assert [entry.name for entry in wants.iterdir()] == ["other.service"]


def test_a_masked_unit_is_not_replaced(tmp_path: Path) -> None:
    """`systemctl mask` links it to /dev/null."""
    path = tmp_path / "newsletter.service"
    path.symlink_to("/dev/null")
    with pytest.raises(UsageError, match="was not written"):
        install(ServiceFile("systemd", path, "", [], system=False), force=False)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--cron", "--user", "--write"], "does not change a crontab"),
        (["--write", "--uninstall"], "exclude each other"),
        (["--user", "--system"], "exclude each other"),
        (["--cron", "--launchd"], "exclude each other"),
    ],
)
def test_what_cannot_be_done_is_refused(here: Here, words: list[str], what: str) -> None:
    """Nothing is written."""
    here("init")
    done = here("install-service", *words)
    assert done.returncode == 2
    assert what in done.stderr
