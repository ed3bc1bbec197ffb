"""What is logged cannot act on a terminal, and no secret of a URL is in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

LOGGING = r"""
import logging, sys
from pathlib import Path
import structlog
from newsletter.cli.terminal import prepare
from newsletter.service import logs
prepare()
logs.configure(sys.argv[1])
said = "a" + "".join(map(chr, [*range(32), *range(0x7F, 0xA0), *map(ord, MARKS)])) + "b"
url = "https://me:hunter2@h.example/?token=hunter2"
log = structlog.get_logger()
log.warning(said, reply=said, file=Path("/x") / said, several=[said, {said: said}], count=3)
log.warning(url, origin=url, several=(url, {"a": url}), error=ValueError(url))
for logger in (log, logging.getLogger("library")):
    try:
        raise ValueError(f"{said} {url}")
    except ValueError:
        logger.exception(said)
        logger.error("%s", url)
logging.getLogger("library").warning("with values %s", said)
"""
MARKS = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def logged(form: str) -> str:
    """What is logged in that form."""
    code = f"MARKS = {MARKS!a}\n{LOGGING}"
    done = subprocess.run(
        [sys.executable, "-c", code, form], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stdout
    return done.stderr.decode()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_is_safe_to_print(form: str) -> None:
    """Controls, C1 too, bidi marks and foreign line ends are escaped or replaced."""
    text = logged(form)
    acting = {one for one in text if not one.isprintable() and one != "\n"}
    assert not acting
    assert "hunter2" not in text
    assert "https://***@h.example/?token=***" in text
    assert text.count("ValueError") == 2
    assert "with values a" in text


def test_json_holds_what_was_logged() -> None:
    """One object a line, whose text is the text that came from outside."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in logged("json").splitlines()]
    said = "a" + "".join(map(chr, [*range(32), *range(0x7F, 0xA0)])) + MARKS + "b"
    assert len(rows) == 7
    assert rows[0]["event"] == rows[0]["reply"] == said
    assert rows[0]["several"] == [said, {said: said}]
    assert rows[0]["file"] == f"/x/{said}"
    assert rows[0]["count"] == 3
    assert rows[0]["level"] == "warning"
    assert rows[1]["error"] == "https://***@h.example/?token=***"
    assert "Traceback" in rows[2]["exception"]
    assert "Traceback" in rows[4]["exception"]


def test_readable_lines_keep_a_traceback_apart() -> None:
    """What came from outside begins no line that looks like another entry."""
    lines = logged("console").splitlines()
    entries = [line for line in lines if not line.startswith("    ")]
    assert len(entries) == 7
    assert all(re.match(r"[\dT:.-]+Z \[(warning|error) ", line) for line in entries)
    assert lines.count("    Traceback (most recent call last):") == 2
