"""Configurations that other accounts on the machine may read or change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import Here, newsletter, rows_of

PLAIN = '[newsletter]\nowner = "o@example.org"\n[delivery]\ntransport = "eml"\n'
KEY = '[web]\nmetrics_token = "a-token-of-some-length"\n'
SOURCE = '[[sources]]\nname = "s"\nurl = "http://user:secret@127.0.0.1:1/"\n'
REPORT = PLAIN.replace("[delivery]", 'alert_url = "https://example.org/hook"\n[delivery]')


@pytest.fixture
def here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Here:
    """Commands in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return Here(capfd, monkeypatch)


def started(folder: Path, text: str, mode: int) -> tuple[int, int, str]:
    """Returns the configuration's mode after `run`, the exit status, and the output."""
    file = folder / "config.toml"
    file.write_text(text)
    file.chmod(mode)
    done = newsletter("run", "--json", cwd=folder)
    return file.stat().st_mode & 0o777, done.returncode, done.stderr


@pytest.mark.parametrize("text", [PLAIN + KEY, PLAIN + SOURCE, REPORT])
def test_a_configuration_with_secrets_becomes_private(tmp_path: Path, text: str) -> None:
    """The permissions of the group are kept."""
    assert started(tmp_path, text, 0o644)[0] == 0o640


def test_a_configuration_without_secrets_may_be_read(tmp_path: Path) -> None:
    """Its mode is left to the operator."""
    mode, _, said = started(tmp_path, PLAIN, 0o644)
    assert (mode, "private" in said) == (0o644, False)


def test_a_configuration_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """It contains commands that are run."""
    mode, status, said = started(tmp_path, PLAIN, 0o666)
    assert (mode, status) == (0o666, 2)
    assert "every account on this machine may change it" in said
    assert "chmod o-rwx" in said


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("subscribers", "add", "ada@example.org"),
        ("subscribers", "list"),
        ("subscribers", "import", "nothing.csv"),
        ("ingest",),
        ("preview",),
        ("backup", "copy.db"),
        ("restore", "copy.db"),
        ("restored",),
        ("prune",),
        ("sources",),
        ("sources", "import", "nothing.opml"),
        ("send-test", "ada@example.org"),
        ("serve",),
        ("web",),
    ],
)
def test_no_command_uses_a_configuration_that_others_may_change(
    tmp_path: Path, here: Here, command: tuple[str, ...]
) -> None:
    """Nothing is created, and it says what to do."""
    file = tmp_path / "config.toml"
    file.write_text(PLAIN)
    (tmp_path / "nothing.opml").write_text("<opml/>")
    file.chmod(0o666)
    done = here(*command)
    assert done.returncode == 2
    assert f"chmod o-rwx {file.name}" in done.stderr
    assert not (tmp_path / "newsletter.db").exists()


def test_commands_that_check_it_warn(tmp_path: Path, here: Here) -> None:
    """They are what an operator runs to find out."""
    (tmp_path / "config.toml").write_text(PLAIN)
    (tmp_path / "config.toml").chmod(0o666)
    assert "may change" in here("doctor", "--offline").stdout
    checked = here("config", "check", "--json")
    assert checked.returncode == 0
    assert "every account on this machine may change" in rows_of(checked)[0]["remarks"][0]
    assert here("status", "--help").returncode == 0


def test_a_password_file_becomes_private(tmp_path: Path) -> None:
    """It contains only a secret."""
    (tmp_path / "password").write_text("s3cret-words")
    (tmp_path / "password").chmod(0o644)
    text = PLAIN + '[transports.smtp]\nhost = "localhost"\nport = 25\nsecurity = "none"\n'
    started(tmp_path, text + 'username = "u"\npassword_file = "password"\n', 0o600)
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o640
