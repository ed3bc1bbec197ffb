"""Printed text cannot control a terminal, wherever it comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Here, rows_of

ACTING = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))]
ACTING += "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_nothing_printed_acts_on_a_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control characters in file names, arguments and errors are escaped in JSON and replaced
    elsewhere.
    """
    said = "a" + "".join(ACTING).replace("\0", "").replace("/", "") + "b"
    paper = {"paper": {"id": "2611.00001", "title": "Lamps"}}
    (tmp_path / f"{said}.json").write_text(json.dumps([paper]))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "feeds.opml").write_text(
        f'<opml><body><outline title="{said[-15:]}" xmlUrl="http://x/"/></body></opml>'
    )
    monkeypatch.chdir(tmp_path)
    newsletter = Here(capfd, monkeypatch)
    newsletter("init")
    commands = [
        ("replay", f"{said}.json", f"{said}.txt", "broken.json"),
        ("ingest", f"{said}.json", said, f"http://{said}/", f"gopher://{said}"),
        ("inspect", f"{said}.json"),
        ("inspect", said),
        ("sources", "import", "feeds.opml"),
        ("sources", "list"),
        ("sources", "rename", said, said),
        ("snapshots", "list"),
        ("why", said),
        ("why", "2611.00001"),
        ("subscribers", "add", f"{said}@example.org"),
        ("send-test", f"ada@{said}.example"),
        ("config", "check", said),
        (said,),
        (f"--{said}",),
        ("status", f"--{said}=1"),
    ]
    rows = []
    for words in commands:
        for form in ((), ("--json",)):
            done = newsletter(*words, *form)
            found = {one for one in done.stdout + done.stderr if one in ACTING} - {"\n"}
            assert not found, (words, done)
            assert "Traceback" not in done.stderr
            rows += rows_of(done) if form and done.returncode in (0, 3) else []
    assert f"{said}.json" in {row.get("path") for row in rows}


def test_a_traceback_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    """It contains neither control characters nor the secret of a URL."""
    code = (
        "from newsletter.cli.terminal import prepare; prepare(); import threading\n"
        "def fail(): raise ValueError('\\x9b2J\\u202e https://h.example/?token=hunter2')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join(); fail()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )
    text = done.stderr.decode()
    assert done.returncode == 1
    assert text.count("ValueError:  2J  https://h.example/?token=***\n") == 2
    assert "\x9b" not in text
