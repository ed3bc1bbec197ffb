"""URLs of papers: ids in them, which of them are safe as links, and where they end in text.

Makes no network requests. Based on real captures: see `tests/text/test_urls.py`.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlencode, urljoin, urlsplit

from newsletter.text.clean import is_plain

_ARXIV = r"(\d{4}\.\d{4,5}|[a-z][a-z-]*(?:\.[A-Z]{2})?/\d{7})"
_BARE_ARXIV = re.compile(rf"(?:arxiv:\s*)?{_ARXIV}(?:v\d+)?(?:\.pdf)?", re.IGNORECASE)
_OAI_ARXIV = re.compile(rf"oai:arxiv\.org:{_ARXIV}(?:v\d+)?", re.IGNORECASE)
_ARXIV_PATHS = re.compile(
    rf"/(?:abs|pdf|html|format|overview|papers|p)/{_ARXIV}(?:v\d++)?(?![\d.]*\d)"
)
_ARXIV_HOSTS = ("arxiv.org", "alphaxiv.org", "huggingface.co", "tldr.takara.ai")
_DOI_HOSTS = ("doi.org", "dx.doi.org")
_DOI = re.compile(r"(?:doi:\s*)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_ARXIV_DOI = re.compile(rf"(?:doi:\s*)?10\.48550/arxiv\.{_ARXIV}(?:v\d+)?", re.IGNORECASE)
_TRACKING = re.compile(r"^(utm_\w+|fbclid|gclid|mc_[ce]id)$")
_PUBMED_PAPER = re.compile(r"pubmed\.ncbi\.nlm\.nih\.gov/\d+")

_URL = re.compile(
    r"(?:https?://|(?<![\w./@-])(?=(?:www\.|github\.com/)))[^\s{}<>\"\\^`|]+", re.IGNORECASE
)
_RAISED = re.compile(
    r"^http://((?:[\w-]+\.)*(?:arxiv\.org|doi\.org|github\.com))(?=[/?#]|$)", re.IGNORECASE
)
LONGEST = 1_000
"""Maximum characters of a link; no paper has a longer URL."""

_HOST = re.compile(r"/[\t\r\n]*+/([^/?#]*+)")
_LONGEST_HOST = 1_000
_CODE_HOSTS = ("github.com", "gitlab.com", "codeberg.org", "bitbucket.org")


def arxiv_id(text: str) -> str | None:
    """Returns the version-free arXiv id of an id, OAI name, DOI or URL, or `None`.

    The whole text must be one: ids inside running text are citations and are not found.
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
    """Normalises old ids: `math.GT/0309136` and `math/0309136` are one paper."""
    archive, slash, number = found.partition("/")
    return f"{archive.partition('.')[0].lower()}/{number}" if slash else found


def doi(text: str) -> str | None:
    """Returns the DOI of a text or a doi.org URL in lower case, or `None` if it is neither."""
    text = text.strip()
    if parts := _split(text):
        if _host(text) not in _DOI_HOSTS:
            return None
        text = unquote(parts.path).lstrip("/")
    match = _DOI.fullmatch(text)
    return match[1].lower() if match else None


def openreview_id(url: str) -> str | None:
    """Returns the forum id of an OpenReview URL, or `None` for any other."""
    parts = _split(url)
    if parts is None or _host(url) != "openreview.net":
        return None
    if parts.path not in ("/forum", "/pdf", "/attachment"):
        return None
    return next(iter(parse_qs(parts.query).get("id", [])), None)


def canonical(url: str) -> str | None:
    """Returns the normal form of an http(s) URL, without scheme, or `None` for other text."""
    parts = _split(url.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = parts.hostname.removeprefix("www.")
    if parts.port and parts.port not in (80, 443):
        host = f"{host}:{parts.port}"
    query = [(k, v) for k, v in parse_qsl(parts.query, True) if not _TRACKING.match(k)]
    page = host + parts.path.rstrip("/")
    if _PUBMED_PAPER.fullmatch(page):  # in its feeds, followed by the time of the fetch
        return page
    return page + (f"?{urlencode(query)}" if query else "")


def safe(url: str | None) -> str | None:
    """Returns the URL if an edition may link to it, otherwise `None`.

    Only `https:` with a real host and no user name is allowed; `http:` links to arXiv, DOI
    and GitHub are upgraded to `https:`.
    """
    if not url or len(url) > LONGEST or not is_plain(url):
        return None
    url = _RAISED.sub(r"https://\1", url)
    parts = _split(url)
    if parts is None or parts.scheme != "https" or "@" in parts.netloc:
        return None
    return f"https{url[5:]}" if "." in (parts.hostname or "") else None


def found_in(text: str) -> list[str]:
    """Returns the URLs in running text; a missing scheme is added.

    A URL ends at the first brace, bracket `<>`, quote or space. Trailing punctuation and
    unbalanced closing brackets are not part of it.
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
    """Returns the first URL of a code repository in an abstract, or `None`."""
    for url in found_in(abstract):
        link = safe(url)
        if link and _within(_host(link), _CODE_HOSTS) and urlsplit(link).path.strip("/"):
            return link
    return None


def joined(base: str, url: str) -> str | None:
    """Returns a URL made absolute with that of its page, or `None` if it is not valid.

    A base longer than `LONGEST` is not used.
    """
    if _is_hostile(url):
        return None
    try:
        return urljoin("" if len(base) > LONGEST else base, url)
    except ValueError:
        return None


def _trimmed(url: str) -> str:
    end, extra = (
        len(url),
        {")": url.count(")") - url.count("("), "]": url.count("]") - url.count("[")},
    )
    while end:
        last = url[end - 1]
        if extra.get(last, 0) > 0:
            extra[last] -= 1
        elif last not in ".,;:!?'*":
            break
        end -= 1
    return url[:end]


def _is_hostile(url: str) -> bool:
    """Returns whether the host is too long to be one: normalising it can take quadratic time."""
    host = _HOST.search(url) if len(url) > _LONGEST_HOST else None
    return host is not None and len(host[1]) > _LONGEST_HOST


def _split(url: str) -> SplitResult | None:
    """Returns the parts of an absolute URL, or `None` if it is not one."""
    if "://" not in url or _is_hostile(url):
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
