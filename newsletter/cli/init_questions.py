"""The questions of `newsletter init`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter.app import setup_answers
from newsletter.app.initial_setup import Answers, Owner, Setup
from newsletter.app.source_checks import checks, local_clock
from newsletter.cli import init_mail
from newsletter.cli.base import complain
from newsletter.cli.questions import ask, choose, confirm, valid
from newsletter.cli.source_output import check_lines
from newsletter.cli.terminal import say
from newsletter.config.schema import Config, NewsletterSection, SourceSection
from newsletter.errors import UsageError

if TYPE_CHECKING:
    from newsletter.app.source_setup import NewSource

Given = Mapping[str, str | int]


def answers(setup: Setup, given: Given, sources: Sequence[NewSource]) -> Answers | None:
    """Asks what no option gives. Returns the answers, or `None` if nothing is to be written.

    Args:
        setup: the configuration, whose values are the suggestions.
        given: the settings that options give.
        sources: the sources that options give.
    """
    say(f"This {'writes' if setup.is_new else 'changes'} {shown(setup.file)}.")
    say("Enter accepts the suggestion in brackets; Ctrl-C ends, and nothing is written.")
    settings: dict[str, str | int | None] = dict(given)
    for key, about, label, suggested in _questions(setup):
        if f"newsletter.{key}" not in given:
            answer = ask(about, label, suggested(), valid(NewsletterSection, key))
            settings[f"newsletter.{key}"] = answer
    zone = str(settings["newsletter.time_zone"])
    read = [source for source in sources if _is_read(source, zone)]
    wanted = read or _source(setup, zone)
    mail = init_mail.answers(setup, settings)
    settings |= mail.settings
    found = setup_answers.completed(setup, Answers(settings, wanted, mail.password))
    setup.made(found)  # its problems are shown before the last question
    return found if confirm(f"Write {shown(setup.file)}?") else None


def shown(file: Path) -> str:
    """Returns a path as people read it: from the current folder, if it is in there."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def _questions(setup: Setup) -> list[tuple[str, str, str, Callable[[], str]]]:
    """Returns the first questions: key, what it is for, label and suggestion."""
    current = setup.current.config.newsletter
    zone = setup_answers.guessed_zone if setup.is_new else lambda: current.time_zone
    return [
        (
            "name",
            "What is the newsletter called? The name is in every mail and on the pages.",
            "Name",
            lambda: current.name,
        ),
        (
            "owner",
            "What is your email address? It gets the papers, and a report when something fails.\n"
            "Type a hyphen (-) to leave it out; editions are then only written as files.",
            "Address",
            lambda: current.owner or os.environ.get("EMAIL", ""),
        ),
        ("time_zone", "Which time zone are you in?", "Time zone", zone),
        (
            "send_at",
            "At what time of day are new papers sent?",
            "Time",
            lambda: f"{current.send_at:%H:%M}",
        ),
    ]


def _source(setup: Setup, zone: str) -> list[NewSource]:
    """Asks where papers come from, and reads it once. Nothing is added if that is not to change."""
    kept = [] if setup.is_new else [one.name for one in setup.current.config.sources]
    keep = [f"Keep what is configured: {', '.join(kept)}"] if kept else []
    about, places = "Where do the papers come from?", [line for line, _ in _PLACES]
    number = 0
    while True:
        number = choose(about, [*keep, *places], number)
        if keep and number == 0:
            return []
        place, *arguments = _PLACES[number - len(keep)][1]()
        try:
            found = setup.source(place, arguments)
        except UsageError as error:
            complain(error)
            continue
        if _is_read(found, zone):
            return [found]


def _is_read(source: NewSource, zone: str) -> bool:
    """Reads a source once, and shows its papers. Returns whether it is to be used."""
    while True:
        say("Reading it once …")
        (check,) = checks([source.section], local_clock(zone))
        for line in check_lines(check):
            say(line)
        if check.error is None:
            say(source.dates)
            return True
        complain(check.error)
        number = choose(
            "This source could not be read.",
            [
                "Choose another source",
                "Try again",
                "Use it anyway",
            ],
            0,
        )
        if number != 1:
            return number == 2


def _categories() -> list[str]:
    about = "Which categories of arXiv? All are at https://arxiv.org/category_taxonomy."
    return ["arxiv", *ask(about, "Categories", "cs.CL cs.LG").replace(",", " ").split()]


def _url() -> list[str]:
    about = "What is its URL? RSS, Atom, JSON and pages of papers are read."
    return [ask(about, "URL", "", valid(SourceSection, "url"))]


def _folder() -> list[str]:
    about = "Which folder has the saved pages? They are read in order of file name."
    folder = ask(about, "Folder", "captures")
    return [str(Path(folder).expanduser()) if folder.startswith("~/") else folder]


_PLACES: list[tuple[str, Callable[[], list[str]]]] = [
    ("Hugging Face Daily Papers", lambda: ["hf-daily"]),
    ("arXiv, the new papers of some categories", _categories),
    ("A feed, or another URL", _url),
    ("A folder of saved pages", _folder),
]


def wants_papers(config: Config, owner: Owner) -> bool:
    """Asks whether to send the latest papers at once."""
    if config.delivery.transport == "smtp":
        return confirm(f"Send the latest papers to {owner.address} now?")
    return confirm("Write an edition with the latest papers to a file now?")


def where_it_went(config: Config, owner: Owner) -> str:
    """Returns where to look for what was sent."""
    kind = config.delivery.transport
    if kind == "smtp":
        return f"Mail that was sent is in the inbox of {owner.address}, or in its spam folder."
    if kind == "null":
        return "The transport null sends nothing."
    return f"Mail that was sent is in {getattr(config.transports, kind).folder}."
