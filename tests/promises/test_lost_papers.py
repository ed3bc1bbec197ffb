"""Papers that were once lost between two sources, or when a source was renamed, are all mailed.

Runs the real commands, with captures as the sources write them.
"""

from __future__ import annotations

import email
import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from newsletter.models import Capture
from tests.support.announcements import Row, arxiv, daily, title_of
from tests.support.commands import newsletter, rows_of

FRIDAY, MONDAY, TUESDAY = 4, 7, 8
"""Days counted from the first Monday."""
SOME, OTHERS = [Row(90), Row(91)], [Row(92), Row(93)]


class CommandRoom:
    """A newsletter with folders as sources, operated by commands."""

    def __init__(self, folder: Path, *sources: str) -> None:
        self.folder = folder
        self.serial = 0
        self.configure(dict(zip(sources, sources, strict=True)))

    def __call__(self, *command: str) -> Any:
        """Runs a command and returns its output."""
        done = newsletter(*command, cwd=self.folder)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def configure(self, sources: dict[str, str]) -> None:
        """Configures these sources from now on, each with its folder."""
        lines = [
            '[newsletter]\nsender = "Lamps <lamps@papers.example>"\nowner = "me@papers.example"',
            '[database]\nurl = "sqlite:///papers.db"',
            '[delivery]\ntransport = "eml"',
        ]
        for name, folder in sources.items():
            (self.folder / folder).mkdir(exist_ok=True)
            lines.append(f'[[sources]]\nname = "{name}"\npath = "{folder}"')
        (self.folder / "config.toml").write_text("\n".join(lines) + "\n")

    def gives(self, folder: str, *captures: Capture) -> None:
        """Saves captures in a folder."""
        for capture in captures:
            self.serial += 1
            path = self.folder / folder / f"{self.serial:03}-{capture.origin}"
            path.write_bytes(capture.data)
            at = capture.captured_at.timestamp()
            os.utime(path, (at, at))

    def begins(self) -> None:
        """Ingests the first captures, then adds a subscriber and sends them the papers."""
        assert self("ingest").returncode == 0
        assert self("subscribers", "add", "mira@example.org").returncode == 0
        self.run()

    def lists(self, folder: str, day: int, rows: Sequence[Row]) -> None:
        """Saves a list of Daily Papers with these papers."""
        self.gives(folder, daily(rows, day, day))

    def run(self) -> dict[str, Any]:
        """Runs the whole job once. Returns its last row of output."""
        done = self("run", "--due-now", "--json")
        assert done.returncode == 0, done.stderr
        return rows_of(done)[-1]

    def status(self, source: str) -> dict[str, Any]:
        """Returns the row of a source in `status`."""
        rows = rows_of(self("status", "--json"))
        (row,) = (row for row in rows if row.get("source") == source)
        return row

    def mailed(self) -> Counter[str]:
        """Returns the number of times that each title is in all mails."""
        found = Counter[str]()
        for path in (self.folder / "outbox").glob("*.eml"):
            message = email.message_from_bytes(path.read_bytes(), policy=default)
            body = message.get_body(("plain",))
            assert body
            for line in body.get_content().splitlines():
                number, _, title = line.strip().partition(". ")
                if number.isdigit():
                    found[title] += 1
        return found


def _counted(*numbers: int) -> Counter[str]:
    return Counter(title_of(number) for number in numbers)


@pytest.fixture
def two(tmp_path: Path) -> CommandRoom:
    """Daily Papers and arXiv, both opened, and a subscriber who has every paper until now."""
    desk = CommandRoom(tmp_path, "daily", "arxiv")
    desk.lists("daily", 2, SOME)
    desk.gives("arxiv", arxiv(OTHERS, 2, 1))
    desk.begins()
    assert desk.mailed() == _counted(90, 91, 92, 93)
    return desk


def test_an_old_paper_revised_on_arxiv_is_listed_the_next_day(two: CommandRoom) -> None:
    """A new version on arXiv does not mean that the paper was announced."""
    two.gives("arxiv", arxiv([Row(1), Row(2, "replace")], 3, 2))
    two.run()
    two.lists("daily", FRIDAY, [Row(2), Row(3)])
    two.run()
    assert two.mailed() == _counted(90, 91, 92, 93, 1, 2, 3)


def test_papers_backfilled_by_a_second_source_are_announced_on_monday(two: CommandRoom) -> None:
    """Its first capture has six older papers; the first source announces all six."""
    six = [Row(number) for number in range(10, 16)]
    two.configure({"daily": "daily", "arxiv": "arxiv", "lab": "lab"})
    two.gives("lab", daily(six, 3, 1), daily([Row(20)], FRIDAY, 2))
    two.run()
    assert two.mailed() == _counted(90, 91, 92, 93, 20)
    two.lists("daily", MONDAY, six)
    two.run()
    assert two.mailed() == _counted(90, 91, 92, 93, 20, *range(10, 16))


def test_papers_backfilled_by_a_first_capture_are_reported(tmp_path: Path) -> None:
    """`status` has their number, and says why they were not announced."""
    desk = CommandRoom(tmp_path, "lab")
    several = json.loads(daily([Row(1), Row(2)], 1, 1).data)
    several += json.loads(daily([Row(3)], 2, 1).data)
    at = datetime(2026, 11, 4, 7, tzinfo=UTC)
    desk.gives("lab", Capture(json.dumps(several).encode(), "a.json", at))
    assert desk("ingest").returncode == 0
    row = desk.status("lab")
    assert (row["papers"], row["new"], row["learnt"], row["first_capture"]) == (3, 1, 2, True)
    said = desk("status").stdout
    assert "1 new of 3 in the newest · 2 learnt and not announced: this was its first" in said


def test_a_withdrawn_paper_that_is_listed_after_all(two: CommandRoom) -> None:
    """A withdrawal notice does not list a paper; when the paper is listed, it is new."""
    two.gives("arxiv", arxiv([Row(1), Row(5, "withdrawn")], 3, 2))
    two.run()
    two.gives("arxiv", arxiv([Row(5)], FRIDAY, 3))
    two.run()
    assert two.mailed() == _counted(90, 91, 92, 93, 1, 5)


def test_a_page_that_shows_another_paper_each_day(tmp_path: Path) -> None:
    """Each day's title is another paper, although all have the same URL and no id."""
    desk = CommandRoom(tmp_path, "pick")
    titles = ["Harbour Lights at Dawn", "Why Robots Drop Cups", "Oil, and Who Pays for It"]
    for number, title in enumerate(titles):
        item = (
            f"<item><title>{title}</title><link>https://lab.example.org/pick-of-the-day</link>"
            f"<description>We study {title.lower()} for a winter.</description>"
            f"<pubDate>{2 + number:02} Nov 2026 06:00:00 +0000</pubDate></item>"
        )
        data = f"<rss version='2.0'><channel><title>Pick</title>{item}</channel></rss>"
        at = datetime(2026, 11, 2 + number, 7, tzinfo=UTC)
        desk.gives("pick", Capture(data.encode(), f"{number}.xml", at))
        desk.run() if number else desk.begins()
    assert desk.mailed() == Counter(titles)


# --- a renamed source


LOST = [Row(number) for number in range(30, 36)]
"""Papers of the days before the first run under the new name."""


@pytest.fixture
def renamed(tmp_path: Path) -> CommandRoom:
    """A source that was captured, and then renamed in the configuration."""
    desk = CommandRoom(tmp_path, "daily")
    desk.lists("daily", 3, SOME)
    desk.begins()
    desk.configure({"hf": "daily"})
    desk.lists("daily", FRIDAY, LOST[:3])
    desk.lists("daily", MONDAY, LOST[3:])
    desk.lists("daily", TUESDAY, [Row(40)])
    return desk


COMMAND = "`newsletter sources rename daily hf`"


def test_a_new_name_is_reported_before_anything_is_lost(renamed: CommandRoom) -> None:
    """`config check`, `status` and `run` report it with the command that helps."""
    before = (renamed.folder / "papers.db").read_bytes()
    checked = renamed("config", "check")
    assert checked.returncode == 0
    gone, begins = checked.stderr.splitlines()
    assert "daily was captured before, but is not in the configuration" in gone
    assert COMMAND in gone
    assert "hf is new: its first capture announces only the papers of its latest day" in begins
    (row,) = rows_of(renamed("config", "check", "--json"))
    assert [f"note: {one}" for one in row["remarks"]] == [gone, begins]
    assert (renamed.folder / "papers.db").read_bytes() == before
    assert (renamed.status("daily")["configured"], renamed.status("daily")["rename_to"]) == (
        False,
        "hf",
    )
    assert renamed.status("hf")["remark"] in begins
    assert COMMAND in renamed("status").stdout
    shown = renamed("run")
    assert [line for line in shown.stderr.splitlines() if line.startswith("note:")] == [
        gone,
        begins,
    ]


def test_a_source_renamed_in_time_loses_nothing(renamed: CommandRoom) -> None:
    """Its captures continue where they stopped."""
    done = renamed("sources", "rename", "daily", "hf")
    assert done.returncode == 0, done.stderr
    assert renamed.run()["remarks"] == []
    assert renamed.mailed() == _counted(90, 91, *range(30, 36), 40)


def test_a_source_renamed_after_its_first_run_loses_nothing(renamed: CommandRoom) -> None:
    """The next run announces what that run only backfilled, and nothing twice."""
    assert len(renamed.run()["remarks"]) == 2
    assert renamed.mailed() == _counted(90, 91, 40)
    assert COMMAND in renamed("config", "check").stderr
    (row,) = rows_of(renamed("sources", "rename", "daily", "hf", "--json"))
    assert (row["merged"], row["captures"], row["again"], row["pruned"]) == (True, 4, 4, 0)
    summary = renamed.run()
    assert (summary["sent"], summary["remarks"]) == (1, [])
    assert renamed.mailed() == _counted(90, 91, *range(30, 36), 40)
    assert renamed.run()["sent"] == 0
    assert [row["source"] for row in rows_of(renamed("sources", "--json"))] == ["hf"]
