"""Addresses in papers: the ids they carry, which may be links, where they end in running text.

Touches no network. Follows what real captures hold: see `tests/test_links.py`.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

_ARXIV = r"(\d{4}\.\d{4,5}|[a-z][a-z-]*(?:\.[A-Z]{2})?/\d{7})"
_BARE_ARXIV = re.compile(rf"(?:arxiv:\s*)?{_ARXIV}(?:v\d+)?(?:\.pdf)?", re.IGNORECASE)
_OAI_ARXIV = re.compile(rf"oai:arxiv\.org:{_ARXIV}(?:v\d+)?", re.IGNORECASE)
_ARXIV_PATHS = re.compile(
    rf"/(?:abs|pdf|html|format|overview|papers|p)/{_ARXIV}(?:v\d+)?(?![\d.]*\d)"
)
_ARXIV_HOSTS = ("arxiv.org", "alphaxiv.org", "huggingface.co", "tldr.takara.ai")
_DOI = re.compile(r"(?:doi:\s*)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_ARXIV_DOI = re.compile(rf"10\.48550/arxiv\.{_ARXIV}(?:v\d+)?", re.IGNORECASE)
_TRACKING = re.compile(r"^(utm_\w+|fbclid|gclid|mc_[ce]id)$")

_URL = re.compile(
    r"(?:https?://|(?<![\w./@-])(?=(?:www\.|github\.com/)))[^\s{}<>\"\\^`|]+", re.IGNORECASE
)
_RAISED = re.compile(
    r"^http://((?:[\w-]+\.)*(?:arxiv\.org|doi\.org|github\.com))(?=[/?#]|$)", re.IGNORECASE
)
LONGEST = 1_000
"""Characters of a link; a longer one is no address of a paper."""

_CODE_HOSTS = ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org")


def arxiv_id(text: str) -> str | None:
    """The version-free arXiv id that an id, OAI name, DOI or URL *is*; `None` when it is none.

    Ids inside running text are citations and are not found.
    """
    text = text.strip()
    for pattern in (_BARE_ARXIV, _OAI_ARXIV, _ARXIV_DOI):
        if match := pattern.fullmatch(text):
            return match[1]
    if "://" not in text:
        return None
    host, path = _host(text), unquote(urlsplit(text).path)
    if host in ("doi.org", "dx.doi.org"):
        return arxiv_id(path.lstrip("/"))
    match = _ARXIV_PATHS.search(path) if _within(host, _ARXIV_HOSTS) else None
    return match[1] if match else None


def doi(text: str) -> str | None:
    """The DOI that a text or a doi.org URL is, in lower case; `None` when it is none."""
    text = text.strip()
    if "://" in text:
        if _host(text) not in ("doi.org", "dx.doi.org"):
            return None
        text = unquote(urlsplit(text).path).lstrip("/")
    match = _DOI.fullmatch(text)
    return match[1].lower() if match else None


def openreview_id(url: str) -> str | None:
    """The forum id of an OpenReview URL; `None` for any other."""
    if _host(url) != "openreview.net":
        return None
    parts = urlsplit(url)
    if parts.path not in ("/forum", "/pdf", "/attachment"):
        return None
    return next(iter(parse_qs(parts.query).get("id", [])), None)


def canonical(url: str) -> str | None:
    """One spelling for all spellings of an http(s) address, without scheme; `None` for others."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = parts.hostname.removeprefix("www.")
    if port and port not in (80, 443):
        host = f"{host}:{port}"
    query = [(k, v) for k, v in parse_qsl(parts.query, True) if not _TRACKING.match(k)]
    path = parts.path.rstrip("/")
    return host + path + (f"?{urlencode(query)}" if query else "")


def safe(url: str | None) -> str | None:
    """The address if a reader's mail may link to it, otherwise `None`.

    Only `https:` with a real host and no user name; `http:` links to arXiv, DOI and
    GitHub are raised to `https:`.
    """
    if not url or len(url) > LONGEST or re.search(r"[\s<>\"\\\x00-\x20\x7f]", url):
        return None
    url = _RAISED.sub(r"https://\1", url)
    try:
        parts = urlsplit(url)
        fine = parts.scheme == "https" and "." in (parts.hostname or "") and "@" not in parts.netloc
    except ValueError:
        return None
    return url if fine else None


def found_in(text: str) -> list[str]:
    """The addresses in running text, each cut where it ends, with a scheme.

    An address ends at the first brace, bracket `<>`, quote or space; then trailing
    punctuation and unbalanced closing brackets are not part of it.
    """
    found = []
    for match in _URL.finditer(text):
        url = _trimmed(match[0])
        if "://" not in url:
            url = f"https://{url}"
        if _host(url):
            found.append(url)
    return found


def code_in(abstract: str) -> str | None:
    """The first address of a code repository in an abstract, if it names one."""
    for url in found_in(abstract):
        link = safe(url)
        if link and _within(_host(link), _CODE_HOSTS) and urlsplit(link).path.strip("/"):
            return link
    return None


def _trimmed(url: str) -> str:
    while url:
        last = url[-1]
        unbalanced = (last == ")" and url.count("(") < url.count(")")) or (
            last == "]" and url.count("[") < url.count("]")
        )
        if last not in ".,;:!?'*" and not unbalanced:
            break
        url = url[:-1]
    return url


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
