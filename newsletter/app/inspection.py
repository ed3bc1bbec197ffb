"""Inspects captures, the configuration and the bundled sample. Changes no database."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.resources import files as resource_files
from pathlib import Path

from newsletter import formats
from newsletter.app.clock import now
from newsletter.app.factories import sending_problems
from newsletter.app.source_remarks import Remark
from newsletter.app.status import remarks
from newsletter.config.schema import Config
from newsletter.errors import SnapshotUnreadable, SourceError, StorageError, UsageError
from newsletter.masks import masked_url
from newsletter.models import Entry, EntryKind, Snapshot
from newsletter.papers.parsers import Parsers
from newsletter.sources.files import read
from newsletter.sources.stdin import STANDARD_INPUT, StdinSource, standard_input
from newsletter.storage import sources
from newsletter.storage.read_only import read_only


def deeper_problems(config: Config) -> list[str]:
    """Returns problems that validating values does not find, except broken templates."""
    problems = []
    for number, section in enumerate(config.sources, 1):
        try:
            _ = formats.named(section.format) if section.format else None
        except UsageError as error:
            problems.append(f"sources[{number}].format: {error}")
    return problems + sending_problems(config)


def remarks_on_sources(config: Config) -> list[Remark]:
    """Returns the remarks about sources that are new in the configuration or gone from it.

    There are none if there is no database yet, or it cannot be read: nothing is known then.
    """
    with suppress(StorageError), read_only(config.database.url) as tx:
        return remarks(config, sources.all_status(tx), now())
    return []


def inspect(place: str, format: str | None) -> tuple[str, str, Snapshot]:
    """Returns the format of a file or of standard input, how it was recognised, and its papers.

    Raises:
        SourceError: the file cannot be read.
        SnapshotUnreadable: no format recognises it, no list of papers is found, or a limit is
            reached.
        UsageError: the requested format does not exist.
        ParserFailed: it could not be parsed.
    """
    if place == STANDARD_INPUT:
        (found,) = StdinSource(standard_input(), now).captures()
    elif re.match(r"https?://", place, re.IGNORECASE):
        raise UsageError(
            "only files can be inspected",
            where=masked_url(place),
            hint="save the page, and give that file",
        )
    else:
        found = read(Path(place))
    if isinstance(found, SourceError):
        raise found
    with Parsers() as parsers:
        try:
            one = parsers.read(found.data, day=found.day, dated_by=found.dated_by, format=format)
        except SnapshotUnreadable as error:
            error.where = error.where or masked_url(place)
            raise
    return one.format, one.sign, one.snapshot


def sample() -> list[Path]:
    """Returns the files of the bundled sample: captures of fictitious papers on two days."""
    folder = Path(str(resource_files("newsletter"))) / "sample"
    return sorted(folder.glob("*.json"))


def sample_entries() -> list[Entry]:
    """Returns the papers of the first day of the sample, as new ones."""
    papers = formats.parse(sample()[0].read_bytes()).papers
    return [
        Entry(position, EntryKind.NEW, paper, "sample", "api-json")
        for position, paper in enumerate(papers, 1)
    ]
