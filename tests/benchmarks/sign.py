"""Signing the copies of one edition, RSA-2048, against dkimpy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dkim

from newsletter.app import dkim_keys
from newsletter.config.parse import parse
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.storage.database import Database
from tests.benchmarks.measure import Row
from tests.support.personalised import MessageFactory, delivery, origin

COPIES = 1_000
PEER_COPIES = 50
GOAL = 0.1
_TEXT = '[newsletter]\nsender = "News <news@example.org>"\nowner = "owner@example.org"\n'


def run() -> Iterator[Row]:
    """CPU of a signed copy of 100 KB, personalised, against dkimpy's signature alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = folder / "rsa.pem"
        dkim_keys.generate(parse(_TEXT, {}, where="", folder=folder), "news", key)
        text = f'{_TEXT}[dkim]\nkey_file = "rsa.pem"\n'
        signer = dkim_keys.signer(parse(text, {}, where="", folder=folder))
        with Database(f"sqlite:///{folder}/news.db") as database:
            made = MessageFactory(database, replace(origin(), signer=signer), "smtp")
            edition = made.edition(Rendered("Lamps", _html(), f"lamps\n{UNSUBSCRIBE}\n"))
            mail = made.mail(delivery(edition, 1))
            began = time.process_time()
            for number in range(COPIES):
                made.message(delivery(edition, number + 2))
            ours = (time.process_time() - began) / COPIES
        began = time.process_time()
        for _ in range(PEER_COPIES):
            dkim.sign(mail, b"news", b"example.org", key.read_bytes())
        peer = (time.process_time() - began) / PEER_COPIES
        what = f"signed copy of {len(mail) // 1000} KB, CPU"
        yield Row(what, "ms", 1000 * ours, 1000 * peer, ours / peer, GOAL)


def _html() -> str:
    lines = "lamps and harbours\n" * 5_000
    return f"<p>{lines}<a href='{UNSUBSCRIBE}'>leave</a></p>"
