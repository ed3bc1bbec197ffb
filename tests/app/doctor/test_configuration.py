"""The check of the configuration, and that of the templates, which share its problems."""

from __future__ import annotations

from pathlib import Path

from newsletter.app.doctor.findings import Level
from tests.support.doctor import PASSWORD, configure, findings


def test_configuration_problems(tmp_path: Path) -> None:
    """An unknown format, mail without a sender, a missing password file."""
    file = configure(
        tmp_path,
        newsletter={"sender": "", "owner": "", "base_url": "", "postal_address": ""},
        delivery={"transport": "smtp"},
        transports_smtp={"password_file": "nowhere", "host": "smtp.relay.quay"},
    )
    file.write_text(file.read_text().replace("path =", 'format = "nope"\npath ='))
    found = findings(tmp_path)
    said = "\n".join(one.what for one in found["config"])
    for words in ("sources[1].format", "newsletter.sender", "newsletter.owner", "nowhere"):
        assert words in said
    assert {one.level for one in found["config"]} == {Level.FAILURE}
    assert [one.level for one in found["sender"]] == [Level.WARNING] * 2


def test_a_broken_theme(tmp_path: Path) -> None:
    """The trial edition reports it as a separate check."""
    folder = tmp_path / "mine" / "themes" / "default"
    folder.mkdir(parents=True)
    (folder / "subject.txt.j2").write_text("{% broken")
    configure(tmp_path, theme={"templates_dir": "mine"})
    found = findings(tmp_path)
    assert found["templates"][0].level is Level.FAILURE
    assert found["config"][0].level is Level.OK


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    """In the configuration and in a file; a configuration without secrets may be readable."""
    file = configure(tmp_path)
    file.chmod(0o644)
    assert [one.level for one in findings(tmp_path)["config"]] == [Level.OK]
    configure(tmp_path, transports_smtp={"password": PASSWORD})
    warned = findings(tmp_path)["config"][1]
    assert "may read" in warned.what
    assert f"chmod o-rwx {file}" in warned.hint
    file.chmod(0o666)
    assert "may change" in findings(tmp_path)["config"][1].what
    file.chmod(0o640)
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o644)
    configure(tmp_path, transports_smtp={"password_file": "secret"})
    assert "secret, which holds a secret" in findings(tmp_path)["config"][1].what
