"""Presets: well-known sources by name, each of which is one URL that a format reads. Pure.

URLs are built as the site documents them. OpenReview has none: see `_WITHOUT_PRESET`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus

from newsletter.errors import UsageError

MOST_RESULTS = 100
"""Papers that a query asks for. arXiv would send up to 2,000 at a time."""

_CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)?(?:\.(?:[A-Z]{2}|[a-z]+-[a-z]+|[a-z]{4,}))?")
_SUBJECT = re.compile(r"[a-z]+(?:_[a-z]+)*")

_WITHOUT_PRESET = {
    "openreview": (
        "OpenReview answers its API only for browsers and signed-in users",
        "save https://api2.openreview.net/notes?content.venueid=VENUE from your browser in a "
        "folder, and add that",
    ),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a preset stands for with its arguments.

    Attributes:
        name: the name of the source unless another is given.
        url: where it is read.
        every: how often.
        dates: what the dates of its papers mean, as one sentence.
    """

    name: str
    url: str
    every: str
    dates: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A well-known source.

    Attributes:
        usage: its name and arguments.
        choose: builds the source from the arguments.
    """

    usage: str
    choose: Callable[[Sequence[str]], Chosen]


def chosen(name: str, arguments: Sequence[str]) -> Chosen | None:
    """Returns the source of a preset; `None` if there is no preset with that name.

    Raises:
        UsageError: the arguments do not fit, or the site cannot be read by one URL.
    """
    if name in _WITHOUT_PRESET:
        what, hint = _WITHOUT_PRESET[name]
        raise UsageError(what, where=name, hint=hint)
    preset = PRESETS.get(name)
    return preset.choose(arguments) if preset else None


def _hugging_face(arguments: Sequence[str]) -> Chosen:
    if arguments:
        raise _wrong("hf-daily", "it takes no arguments")
    return Chosen(
        "hf-daily",
        "https://huggingface.co/api/daily_papers?date={date}",
        "3h",
        "The date is the day on which Hugging Face listed the papers.",
    )


def _arxiv(arguments: Sequence[str]) -> Chosen:
    wrong = [one for one in arguments if not _CATEGORY.fullmatch(one)]
    if wrong:
        raise _wrong("arxiv", f"“{wrong[0]}” is not a category such as cs.CL or hep-ph")
    if not arguments:
        raise _wrong("arxiv", "it needs a category")
    categories = list(dict.fromkeys(arguments))
    return Chosen(
        "-".join(("arxiv", *categories)),
        f"https://rss.arxiv.org/rss/{'+'.join(categories)}",
        "6h",
        "The date is the day on which arXiv announced the papers; the feed has only the latest "
        "day, and none on weekends.",
    )


def _arxiv_query(arguments: Sequence[str]) -> Chosen:
    query = " ".join(" ".join(arguments).split())
    if not query:
        raise _wrong("arxiv-query", "it needs a query")
    return Chosen(
        "arxiv-query",
        f"https://export.arxiv.org/api/query?search_query={quote_plus(query, safe=':')}"
        f"&sortBy=submittedDate&sortOrder=descending&max_results={MOST_RESULTS}",
        "12h",
        "The date is the day on which the first version was submitted; arXiv lists a paper a few "
        "days later.",
    )


def _pubmed(arguments: Sequence[str]) -> Chosen:
    query = " ".join(" ".join(arguments).split())
    if not query:
        raise _wrong("pubmed", "it needs a query")
    searched = quote_plus(f"({query}) AND SRC:MED", safe=":")
    return Chosen(
        "pubmed",
        f"https://www.ebi.ac.uk/europepmc/webservices/rest/search?query={searched}"
        f"&resultType=core&format=json&pageSize={MOST_RESULTS}&sort=P_PDATE_D+desc",
        "12h",
        "The date is the day on which the paper was first published; PubMed lists it days or "
        "weeks later. PubMed is searched through Europe PMC, whose query syntax applies.",
    )


def _preprints(server: str, called: str) -> Callable[[Sequence[str]], Chosen]:
    def choose(arguments: Sequence[str]) -> Chosen:
        subject = re.sub(r"[\s_-]+", "_", " ".join(arguments).strip().lower()) or "all"
        if not _SUBJECT.fullmatch(subject):
            raise _wrong(server, f"“{' '.join(arguments)}” is not a subject such as {example}")
        return Chosen(
            f"{server}-{subject.replace('_', '-')}",
            f"https://connect.{server}.org/{server}_xml.php?subject={subject}",
            "3h",
            f"The date is the day on which {called} posted the paper; the feed has only the "
            "newest ones.",
        )

    example = "neuroscience" if server == "biorxiv" else "epidemiology"
    return choose


def _wrong(name: str, what: str) -> UsageError:
    hint = f"write `newsletter sources add {PRESETS[name].usage}`"
    return UsageError(what, where=name, hint=hint)


PRESETS = {
    "hf-daily": Preset("hf-daily", _hugging_face),
    "arxiv": Preset("arxiv CATEGORY…", _arxiv),
    "arxiv-query": Preset("arxiv-query QUERY", _arxiv_query),
    "pubmed": Preset("pubmed QUERY", _pubmed),
    "biorxiv": Preset("biorxiv [SUBJECT]", _preprints("biorxiv", "bioRxiv")),
    "medrxiv": Preset("medrxiv [SUBJECT]", _preprints("medrxiv", "medRxiv")),
}
"""The presets by name."""

NAMES = (*PRESETS, *_WITHOUT_PRESET)
"""The names that are not taken for paths."""
