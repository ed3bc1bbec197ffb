"""Logs are safe to print on a terminal and contain no secrets of URLs."""

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
value = "a" + "".join(map(chr, [*range(32), *range(0x7F, 0xA0), *map(ord, MARKS)])) + "b"
url = "https://me:hunter2@h.example/?token=hunter2"
log = structlog.get_logger()
log.warning(value, reply=value, file=Path("/x") / value, several=[value, {value: value}], count=3)
log.warning(url, origin=url, several=(url, {"a": url}), error=ValueError(url))
for logger in (log, logging.getLogger("library")):
    try:
        raise ValueError(f"{value} {url}")
    except ValueError:
        logger.exception(value)
        logger.error("%s", url)
logging.getLogger("library").warning("with values %s", value)
"""
MARKS = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def logged(form: str) -> str:
    """Returns a log in that form."""
    code = f"MARKS = {MARKS!a}\n{LOGGING}"
    done = subprocess.run(
        [sys.executable, "-c", code, form], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stdout
    return done.stderr.decode()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_is_safe_to_print(form: str) -> None:
    """Controls (C0 and C1), bidi marks and Unicode line ends are escaped or replaced."""
    text = logged(form)
    unsafe = {one for one in text if not one.isprintable() and one != "\n"}
    assert not unsafe
    assert "hunter2" not in text
    assert "https://***@h.example/?token=***" in text
    assert text.count("ValueError") == 2
    assert "with values a" in text


def test_json_preserves_the_logged_values() -> None:
    """Each line is one object; text from outside is unchanged in it."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in logged("json").splitlines()]
    value = "a" + "".join(map(chr, [*range(32), *range(0x7F, 0xA0)])) + MARKS + "b"
    assert len(rows) == 7
    assert rows[0]["event"] == rows[0]["reply"] == value
    assert rows[0]["several"] == [value, {value: value}]
    assert rows[0]["file"] == f"/x/{value}"
    assert rows[0]["count"] == 3
    assert rows[0]["level"] == "warning"
    assert rows[1]["error"] == "https://***@h.example/?token=***"
    assert "Traceback" in rows[2]["exception"]
    assert "Traceback" in rows[4]["exception"]


def test_readable_lines_indent_a_traceback() -> None:
    """Text from outside never starts a line that looks like another entry."""
    lines = logged("console").splitlines()
    entries = [line for line in lines if not line.startswith("    ")]
    assert len(entries) == 7
    assert all(re.match(r"[\dT:.-]+Z \[(warning|error) ", line) for line in entries)
    assert lines.count("    Traceback (most recent call last):") == 2
