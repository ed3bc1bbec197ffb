"""Which parts of a URL are shown, and which are hidden."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.errors import ConfigError, NewsletterError
from newsletter.masks import masked, masked_url, without_addresses


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("550 5.1.1 <ada@quillwharf.example>: no such user", "550 5.1.1 <***>: no such user"),
        ("no mailbox ada+x@quillwharf.example.", "no mailbox ***."),
        ('550 "a.b"@quillwharf.example, unknown', "550 ***, unknown"),
        ("rcpt:ada@xn--80a.example refused", "rcpt:*** refused"),
        ("451 try again @ 10:00; see https://a.example/@b", None),
    ],
)
def test_addresses_are_hidden(text: str, shown: str | None) -> None:
    """In replies of mail servers, and nothing else is."""
    assert without_addresses(text) == (shown or text)


HEX = "9f86d081884c7d659a2feaa0c55ad015"
BASE64 = "dGhlIGtlZXBlcidz-IHNlY3JldA_QxZ7"
BASE32 = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
SHORT = "k3p7Qz9XvB2mLw4T"

READABLE = [
    "https://huggingface.co/api/daily_papers?date=2026-11-20",
    "https://huggingface.co/api/daily_papers?date={date}",
    "https://export.arxiv.org/api/query?search_query=cat:cs.CL+AND+"
    "submittedDate:[202301010600+TO+202401010600]&sortBy=lastUpdatedDate&start=0&max_results=100",
    "https://export.arxiv.org/api/query?id_list=2606.11176v2,math.GT/0309136",
    "https://rss.arxiv.org/rss/cs.CL",
    "https://arxiv.org/abs/2606.11176",
    "https://medium.com/@user/how-to-do-it-in-a-day-or-two-large-language-models-in-2026",
    "https://papers.example/PaperMoonOneStepImageSynthesis2026.rss",
    "https://papers.example/2026-11-20T10-00-00-daily_papers_v2.json",
    "https://www.nature.com/articles/s41586-024-07487-w.rss",
    "https://www.biorxiv.org/content/10.1101/2024.01.01.573806v1",
    "https://openreview.net/forum?id=aBcDeFgHiJ&noteId=xyz",
    "https://dblp.org/rec/conf/nips/VaswaniSPUJGKP17.html",
    "https://api.crossref.org/works?filter=from-pub-date:2026-11-20,type:journal-article",
    "https://api.semanticscholar.org/graph/v1/paper/search?query=large+language"
    "&fields=title,abstract,externalIds,publicationDate",
    "https://papers.example/?author=ada&authors=b&keywords=lamp&design=1&q=%22oil%22&page=3",
    "https://papers.example/list?since=20261120T100000Z",
    "https://[2001:db8::1]:8080/feed",
    "/srv/captures/9f86d081884c7d659a2feaa0c55ad015/2026-11-20.json",
    "captures/list of papers?.json",
    "standard input",
]


@pytest.mark.parametrize("url", READABLE)
def test_ordinary_urls_and_paths_are_unchanged(url: str) -> None:
    """The operator needs their dates, searches, ids and file names."""
    assert masked_url(url) == url
    assert masked(f"see ({url}).") == f"see ({url})."


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@h.example/feed", "https://***@h.example/feed"),
        ("https://hunter2@h.example:8080/feed", "https://***@h.example:8080/feed"),
        ("https://user:p@ss@h.example/", "https://***@h.example/"),
        ("https://user:hun/ter2@h.example/feed", "https://***@h.example/feed"),
        ("https://user:hun?t=er#2@h.example", "https://***@h.example"),
        ("postgresql+psycopg://me:hunter2@db/papers", "postgresql+psycopg://***@db/papers"),
        ("https:/user:hunter2@h.example/feed", "https://***@h.example/feed"),
        ("user:hunter2@h.example/feed", "***@h.example/feed"),
        ("//user:hunter2@h.example/feed", "//***@h.example/feed"),
    ],
)
def test_user_names_and_passwords_are_hidden(url: str, shown: str) -> None:
    """This includes malformed and mistyped URLs."""
    assert masked_url(url) == shown


NAMES = [
    *("token", "access_token", "TOKEN", "authToken", "x-amz-security-token", "secret"),
    *("client_secret", "key", "api_key", "apikey", "api-key", "AWSAccessKeyId", "subscription-key"),
    *("sig", "signature", "X-Amz-Signature", "auth", "oauth_nonce", "authorization", "sid"),
    *("PHPSESSID_session", "password", "passwd", "pwd", "access", "credential", "jwt", "hmac"),
    *("%74oken", "user[token]"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lead", ["?", "?page=3&", "#", "?page=3;", ";"])
def test_parameters_with_secret_names_are_hidden(name: str, lead: str) -> None:
    """Even short and plain values are hidden; other parameters are shown."""
    url = f"https://h.example/feed{lead}{name}=abcdeab;c,d e&datedate=2026-11-20"
    if lead == ";":
        url = f"https://h.example/feed;{name}=abcde?date=2026-11-20"
    shown = masked_url(url)
    assert f"{name}=***" in shown
    assert shown.endswith("date=2026-11-20")
    assert "abcde" not in shown


@pytest.mark.parametrize("secret", [HEX, BASE64, BASE32, SHORT, "1234567890123456"])
@pytest.mark.parametrize("place", ["?feed={}", "?{}", "?a=b&feed={}&c=d", "#{}", "?u=x;f={}"])
def test_values_that_look_random_are_hidden(secret: str, place: str) -> None:
    """This holds for every name."""
    url = f"https://h.example/rss{place.format(secret)}"
    assert secret not in masked_url(url)
    assert masked_url(url).startswith("https://h.example/rss")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://h.example/private/{HEX}/feed", "https://h.example/private/***/feed"),
        (f"https://h.example/{BASE64}.rss", "https://h.example/***.rss"),
        (f"https://h.example/feed-{BASE32}", "https://h.example/***"),
        (f"https://h.example/{HEX[:8]}-{HEX[:4]}-4{HEX[:3]}-a{HEX[:3]}-{HEX[:12]}/x",
         "https://h.example/***/x"),
        (f"https://h.example/%39{HEX[1:]}/feed", "https://h.example/***/feed"),
        (f"https:/h.example/{HEX}/feed", "https://h.example/***/feed"),
    ],
)  # fmt: skip
def test_path_segments_that_look_random_are_hidden(url: str, shown: str) -> None:
    """The rest of the path is shown, including a file extension."""
    assert masked_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://proxy.example/?url=https://me:hunter2@h.example/",
        "https://proxy.example/?url=https%3A%2F%2Fme%3Ahunter2%40h.example%2F",
        "https://proxy.example/?url=https%3A%2F%2Fh.example%2F%3Ftoken%3Dhunter2",
        "https://proxy.example/https://me:hunter2@h.example/",
        "https://proxy.example/https://h.example/?token=hunter2",
        "https://h.example/feed?q=" + "hunter2," * 1_000,
    ],
)
def test_urls_within_urls_are_masked_too(url: str) -> None:
    """They may be plain or encoded; very long values are hidden without being examined."""
    assert "hunter2" not in masked_url(url)
    assert "hunter2" not in masked(f"error: {url}: no page")


def test_text_around_urls_is_unchanged() -> None:
    """Examples are brackets, full stops and text that is not a URL."""
    text = "see https://h.example/?token=a; or (https://h.example/?sig=b), a=b and v=DKIM1;p=MIIB"
    assert masked(text) == (
        "see https://h.example/?token=***; or (https://h.example/?sig=***), a=b and v=DKIM1;p=MIIB"
    )
    assert masked("h.example/feed?token=abc is no URL") == "h.example/feed?token=*** is no URL"


PIECES = [
    "https://",
    "http:",
    "http:/",
    "//",
    "@",
    ":",
    "/",
    "?",
    "#",
    "&",
    ";",
    "=",
    "%",
    "%3D",
    "***",
    ".",
]
PIECES += ["token", "date", "a", " ", "[", "]", HEX, SHORT, "(", ")", "…", "2026-11-20"]
URLS = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


@given(URLS)
@example("https://a:/b@c?token=https://x")
def test_masking_is_idempotent(text: str) -> None:
    """Text may be masked at several places."""
    assert masked(masked(text)) == masked(text)
    assert masked_url(masked_url(text)) == masked_url(text)


@given(URLS.filter(lambda text: "=" not in text and ":/" not in text))
def test_text_without_a_url_is_unchanged(text: str) -> None:
    """It also has no parameters."""
    assert masked(text) == text


@pytest.mark.parametrize("piece", ["a", "?", "&a=", ";a=", "/", "https://", "%3D", ".", "@", "a1-"])
def test_long_text_takes_linear_time(piece: str) -> None:
    """Quadratic time would be minutes."""
    text = "https://h.example/" + piece * 100_000
    assert masked(text)
    assert masked_url(text + "!")


def test_errors_are_masked() -> None:
    """The URL may be anywhere in the message, or in a problem of a configuration."""
    url = "https://me:hunter2@h.example/"
    error = NewsletterError(f"no page at {url}", where=url, hint=f"try {url}")
    assert "hunter2" not in str(error)
    assert str(error).count("***@h.example") == 3
    assert ConfigError([f"x: {url}"]).problems == ("x: https://***@h.example/",)
