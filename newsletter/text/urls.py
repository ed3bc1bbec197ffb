"""Addresses in papers: the ids they carry, which may be links, where they end in running text.

Touches no network. Follows what real captures hold: see `tests/test_links.py`.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlencode, urlsplit

from newsletter.text.clean import is_plain

_ARXIV = r"(\d{4}\.\d{4,5}|[a-z][a-z-]*(?:\.[A-Z]{2})?/\d{7})"
_BARE_ARXIV = re.compile(rf"(?:arxiv:\s*)?{_ARXIV}(?:v\d+)?(?:\.pdf)?", re.IGNORECASE)
_OAI_ARXIV = re.compile(rf"oai:arxiv\.org:{_ARXIV}(?:v\d+)?", re.IGNORECASE)
_ARXIV_PATHS = re.compile(
    rf"/(?:abs|pdf|html|format|overview|papers|p)/{_ARXIV}(?:v\d+)?(?![\d.]*\d)"
)
_ARXIV_HOSTS = ("arxiv.org", "alphaxiv.org", "huggingface.co", "tldr.takara.ai")
_DOI_HOSTS = ("doi.org", "dx.doi.org")
_DOI = re.compile(r"(?:doi:\s*)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_ARXIV_DOI = re.compile(rf"(?:doi:\s*)?10\.48550/arxiv\.{_ARXIV}(?:v\d+)?", re.IGNORECASE)
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
            return _one_case(match[1])
    parts = _split(text)
    if parts is None:
        return None
    host, path = _host(text), unquote(parts.path)
    if host in _DOI_HOSTS:
        return arxiv_id(path.lstrip("/"))
    if not _within(host, _ARXIV_HOSTS):
        return None
    match = _ARXIV_PATHS.search(path) or _ARXIV_PATHS.search(unquote(parts.query))
    return _one_case(match[1]) if match else None


def _one_case(found: str) -> str:
    """One spelling for old ids: `math.GT/0309136` and `math/0309136` are one paper."""
    archive, slash, number = found.partition("/")
    return f"{archive.partition('.')[0].lower()}/{number}" if slash else found


def doi(text: str) -> str | None:
    """The DOI that a text or a doi.org URL is, in lower case; `None` when it is none."""
    text = text.strip()
    if parts := _split(text):
        if _host(text) not in _DOI_HOSTS:
            return None
        text = unquote(parts.path).lstrip("/")
    match = _DOI.fullmatch(text)
    return match[1].lower() if match else None


def openreview_id(url: str) -> str | None:
    """The forum id of an OpenReview URL; `None` for any other."""
    parts = _split(url)
    if parts is None or _host(url) != "openreview.net":
        return None
    if parts.path not in ("/forum", "/pdf", "/attachment"):
        return None
    return next(iter(parse_qs(parts.query).get("id", [])), None)


def canonical(url: str) -> str | None:
    """One spelling for all spellings of an http(s) address, without scheme; `None` for others."""
    parts = _split(url.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = parts.hostname.removeprefix("www.")
    if parts.port and parts.port not in (80, 443):
        host = f"{host}:{parts.port}"
    query = [(k, v) for k, v in parse_qsl(parts.query, True) if not _TRACKING.match(k)]
    path = parts.path.rstrip("/")
    return host + path + (f"?{urlencode(query)}" if query else "")


def safe(url: str | None) -> str | None:
    """The address if a reader's mail may link to it, otherwise `None`.

    Only `https:` with a real host and no user name; `http:` links to arXiv, DOI and
    GitHub are raised to `https:`.
    """
    if not url or len(url) > LONGEST or not is_plain(url):
        return None
    url = _RAISED.sub(r"https://\1", url)
    parts = _split(url)
    if parts is None or parts.scheme != "https" or "@" in parts.netloc:
        return None
    return f"https{url[5:]}" if "." in (parts.hostname or "") else None


def found_in(text: str) -> list[str]:
    """The addresses in running text, each cut where it ends, with a scheme.

    An address ends at the first brace, bracket `<>`, quote or space; then trailing
    punctuation and unbalanced closing brackets are not part of it.
    """
    found = []
    for match in _URL.finditer(text):
        url = _trimmed(match[0][: LONGEST + 1])
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


def _split(url: str) -> SplitResult | None:
    """The parts of an absolute address; `None` for what is none."""
    if "://" not in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _host(url: str) -> str:
    parts = _split(url)
    return (parts.hostname or "").removeprefix("www.") if parts else ""


def _within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
