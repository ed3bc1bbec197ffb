"""Ids in URLs, which URLs are safe as links, and where a URL in running text ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.text import urls
from tests.support.soak import SOAK

ID = "2611.01234"

NEW_IDS = st.from_regex(r"[0-9]{4}\.[0-9]{4,5}", fullmatch=True)
OLD_IDS = st.from_regex(r"(cs|hep-ph|astro-ph|cond-mat)/[0-9]{7}", fullmatch=True)
IDS = NEW_IDS | OLD_IDS
VERSIONS = st.sampled_from(["", "v1", "v2", "v13"])
SPELLINGS = (
    "{}",
    "arXiv:{}",
    "arxiv:{}",
    "oai:arXiv.org:{}",
    "10.48550/arXiv.{}",
    "https://doi.org/10.48550/arXiv.{}",
    "https://dx.doi.org/10.48550/arxiv.{}",
    "https://arxiv.org/abs/{}",
    "http://arxiv.org/abs/{}",
    "https://www.arxiv.org/abs/{}",
    "https://arxiv.org/pdf/{}",
    "https://arxiv.org/pdf/{}.pdf",
    "https://arxiv.org/html/{}",
    "https://arxiv.org/format/{}",
    "https://rss.arxiv.org/abs/{}",
    "https://export.arxiv.org/abs/{}",
    "https://ar5iv.labs.arxiv.org/html/{}",
    "https://www.alphaxiv.org/abs/{}",
    "https://alphaxiv.org/overview/{}",
    "https://tldr.takara.ai/p/{}",
    "https://huggingface.co/papers/{}",
    "https://huggingface.co/papers/{}#community",
    "https://huggingface.co/papers/{}?ref=daily",
    "https://cdn-thumbnails.huggingface.co/social-thumbnails/papers/{}.png",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=5_000 if SOAK else 20)
@given(arxiv=IDS, version=VERSIONS)
def test_an_arxiv_id_is_found_in_all_its_spellings(spelling: str, arxiv: str, version: str) -> None:
    """Ids, OAI names, DOIs and the URLs of known sites yield the id without its version."""
    assert urls.arxiv_id(spelling.format(arxiv + version)) == arxiv


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/login?next=%2Fpapers%2F2611.01234",
        "https://huggingface.co/login?next=/papers/2611.01234",
        "doi:10.48550/arXiv.2611.01234",
        "DOI: 10.48550/arXiv.2611.01234",
    ],
)
def test_an_arxiv_id_is_found_in_a_login_link_and_after_a_doi_prefix(text: str) -> None:
    """The login link contains the path of the paper."""
    assert urls.arxiv_id(text) == ID


@pytest.mark.parametrize("text", ["math.GT/0309136", "https://arxiv.org/abs/math.GT/0309136v1"])
def test_an_old_id_may_contain_its_subject_class(text: str) -> None:
    """It is found with or without one."""
    assert urls.arxiv_id(text) in ("math.GT/0309136", "math/0309136")


def test_an_old_id_is_one_id_in_any_case() -> None:
    """Many sources write DOIs in lower case."""
    assert urls.arxiv_id("10.48550/arxiv.math.gt/0309136") == urls.arxiv_id("math.GT/0309136")
    assert urls.arxiv_id("HEP-TH/9901001") == urls.arxiv_id("hep-th/9901001")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2611",
        "2611.123",
        "2611.123456",
        "12611.01234",
        "as shown in arXiv:2611.01234, lamps help",
        "see https://arxiv.org/abs/2611.01234",
        "https://arxiv.org/list/cs.AI/recent",
        "https://arxiv.org/abs/2611.0123456",
        "https://example.org/papers/2611.01234",
        "https://arxiv.org.example.org/abs/2611.01234",
        "https://notarxiv.org/abs/2611.01234",
        "https://www.alphaxiv.org/abs/small-lamps-1",
        "https://huggingface.co/papers/trending",
        "https://huggingface.co/papers/date/2026-11-20",
        "https://huggingface.co/papers/week/2026-W47",
        "https://openreview.net/forum?id=aBcDeF1234",
        "10.1000/182",
        "mai-lamps-1",
    ],
)
def test_other_text_has_no_arxiv_id(text: str) -> None:
    """Citations, other pages of the known sites and other hosts yield `None`."""
    assert urls.arxiv_id(text) is None


ANYTHING = st.text(st.characters())  # including surrogates


@given(ANYTHING | ANYTHING.map("https://{}".format))
@pytest.mark.parametrize(
    "ask",
    [
        urls.arxiv_id,
        urls.doi,
        urls.openreview_id,
        urls.canonical,
        urls.safe,
        urls.found_in,
        urls.code_in,
    ],
)
def test_no_text_raises(ask: object, text: str) -> None:
    """Any text is accepted."""
    assert callable(ask)
    ask(text)


@pytest.mark.parametrize("broken", ["https://[bad", "http://[::1/abs/2611.01234", "https://a]b/c"])
@pytest.mark.parametrize(
    "ask", [urls.arxiv_id, urls.doi, urls.openreview_id, urls.canonical, urls.safe]
)
def test_a_malformed_url_yields_none(ask: object, broken: str) -> None:
    """It does not raise."""
    assert callable(ask)
    assert ask(broken) is None


@pytest.mark.parametrize(
    "text",
    [
        "10.1000/Lamp.182",
        "doi:10.1000/lamp.182",
        "https://doi.org/10.1000/lamp.182",
        "http://dx.doi.org/10.1000/LAMP.182",
        "https://doi.org/10.1000%2Flamp.182",
    ],
)
def test_a_doi_is_found_in_all_its_spellings(text: str) -> None:
    """It may have a prefix or a resolver, in upper or lower case."""
    assert urls.doi(text) == "10.1000/lamp.182"


@pytest.mark.parametrize(
    "text", ["", "10.1000", "https://example.org/10.1000/lamp.182", "see 10.1000/lamp.182", ID]
)
def test_other_text_has_no_doi(text: str) -> None:
    """Other hosts and running text yield `None`."""
    assert urls.doi(text) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://openreview.net/forum?id=aBcDeF1234",
        "https://openreview.net/pdf?id=aBcDeF1234",
        "https://openreview.net/forum?id=aBcDeF1234&noteId=other",
    ],
)
def test_an_openreview_id_is_found(url: str) -> None:
    """URLs of forums and PDFs contain it."""
    assert urls.openreview_id(url) == "aBcDeF1234"


@pytest.mark.parametrize(
    "url", ["", "https://openreview.net/group?id=a", "https://example.org/forum?id=a"]
)
def test_other_urls_have_no_openreview_id(url: str) -> None:
    """Groups and other hosts yield `None`."""
    assert urls.openreview_id(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/p/1",
        "http://example.org/p/1",
        "https://www.example.org/p/1/",
        "https://EXAMPLE.org/p/1#part",
        "https://example.org:443/p/1",
        "https://example.org/p/1?utm_source=mail&fbclid=x",
        " https://example.org/p/1 ",
    ],
)
def test_one_page_has_one_canonical_url(url: str) -> None:
    """Scheme, `www.`, case of the host, fragment, final slash and tracking do not matter."""
    assert urls.canonical(url) == "example.org/p/1"


def test_links_in_a_pubmed_feed_are_the_same_at_every_fetch() -> None:
    """They contain the time of the fetch and the version of the site."""
    page = "pubmed.ncbi.nlm.nih.gov/40000001"
    for query in ("?utm_source=x&fc=20261117&ff=20261117020000&v=2.18", "?ff=20261118020000", ""):
        assert urls.canonical(f"https://{page}/{query}") == page
    assert urls.canonical("https://pubmed.ncbi.nlm.nih.gov/?term=lamps") != (
        urls.canonical("https://pubmed.ncbi.nlm.nih.gov/?term=oil")
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/p/2",
        "https://example.org/P/1",
        "https://example.org:8443/p/1",
        "https://example.org/p/1?id=2",
        "https://other.example.org/p/1",
    ],
)
def test_other_pages_have_other_canonical_urls(url: str) -> None:
    """Path, port, query and host matter."""
    assert urls.canonical(url) not in (None, "example.org/p/1")


@pytest.mark.parametrize("url", ["", "mailto:a@example.org", "javascript:x()", "p/1", "https://"])
def test_only_web_pages_have_a_canonical_url(url: str) -> None:
    """Other schemes and relative URLs yield `None`."""
    assert urls.canonical(url) is None


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,hello",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://example.org/a",
        "mailto:a@example.org",
        "//example.org/a",
        "/papers/1",
        "example.org/a",
        "http://example.org/a",
        "https://",
        "https:///a",
        "https://localhost/a",
        "https://user@example.org/a",
        "https://user:secret@example.org/a",
        "https://arxiv.org@example.org/a",
        "https://example.org/a b",
        "https://example.org/a\tb",
        "https://example.org/a\x00b",
        "https://example.org/a\x7fb",
        "https://example.org/\r\nBcc:x",
        'https://example.org/"onclick="x',
        "https://example.org/<script>",
        "https://example.org\\@arxiv.org/",
        "https://[bad",
        "https://example.org/" + "x" * 1_000,
    ],
)
def test_unsafe_urls_are_not_linked(url: str | None) -> None:
    """Safe is only `https:` with a real host, without user name, spaces, quotes or controls."""
    assert urls.safe(url) is None


@pytest.mark.parametrize("character", ["\x85", "\x9f", "\u2028", "\u202e", "\u2066", "\ud800"])
def test_urls_with_invisible_characters_are_not_linked(character: str) -> None:
    """Controls of any kind, bidi marks and surrogates are unsafe."""
    assert urls.safe(f"https://example.org/a{character}b") is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org/a?b=c&d=%20#e",
        "https://example.org/fomo_in_lamps_(2026)",
        "https://例え.example/灯台",
        "https://example.org:8443/a",
    ],
)
def test_a_safe_url_is_unchanged(url: str) -> None:
    """Its scheme is `https:`."""
    assert urls.safe(url) == url


@pytest.mark.parametrize("scheme", ["HTTPS", "Https", "hTTps"])
def test_a_safe_url_begins_with_https_in_lower_case(scheme: str) -> None:
    """Later checks rely on it."""
    assert urls.safe(f"{scheme}://example.org/A") in (None, "https://example.org/A")


@pytest.mark.parametrize(
    "host",
    [
        "arxiv.org",
        "www.arxiv.org",
        "export.arxiv.org",
        "doi.org",
        "dx.doi.org",
        "github.com",
        "GitHub.com",
        "gist.github.com",
    ],
)
def test_links_to_known_hosts_are_upgraded_to_https(host: str) -> None:
    """`http:` links to arXiv, DOI and GitHub become `https:`."""
    assert urls.safe(f"http://{host}/abs/x?y#z") == f"https://{host}/abs/x?y#z"


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "arxiv.org.example.org",
        "notarxiv.org",
        "github.com@example.org",
        "user@github.com",
        "github.community",
        "githubxcom",
        "huggingface.co",
    ],
)
def test_links_to_other_hosts_are_not_upgraded(host: str) -> None:
    """Look-alikes and all other hosts stay `http:`, so they are not linked."""
    assert urls.safe(f"http://{host}/a") is None


@given(ANYTHING, st.sampled_from(["https://", "http://github.com/", "", "HTTPS://"]))
def test_every_safe_url_can_be_linked(text: str, start: str) -> None:
    """It is `https://`, without a character that could end an attribute or a line."""
    url = urls.safe(start + text)
    if url is not None:
        assert url.startswith("https://")
        assert not set(url) & set('<>"\\ \t\r\n\x00\x7f')
        assert "@" not in url.split("/")[2]
        url.encode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Code at https://github.com/lamps/harbour.", ["https://github.com/lamps/harbour"]),
        ("(see https://example.org/a).", ["https://example.org/a"]),
        ("[https://example.org/a]", ["https://example.org/a"]),
        ("https://example.org/a_(b) is", ["https://example.org/a_(b)"]),
        (
            "https://example.org/a, https://example.org/b;",
            ["https://example.org/a", "https://example.org/b"],
        ),
        ("is it https://example.org/a?", ["https://example.org/a"]),
        ("wow https://example.org/a!", ["https://example.org/a"]),
        ("at 'https://example.org/a'", ["https://example.org/a"]),
        ('at "https://example.org/a".', ["https://example.org/a"]),
        ("https://example.org/a}.", ["https://example.org/a"]),
        ("\\url{https://example.org/a}.", ["https://example.org/a"]),
        ("https://github.com/lamps/World{mypink{Github}}.", ["https://github.com/lamps/World"]),
        ("<https://example.org/this>.", ["https://example.org/this"]),
        ('<a href="https://example.org/x/">this https URL</a>', ["https://example.org/x/"]),
        ("https://example.org/fomo_in_lamps", ["https://example.org/fomo_in_lamps"]),
        ("https://github.com/lamps/harbour.git", ["https://github.com/lamps/harbour.git"]),
        ("github.com/lamps/harbour/.", ["https://github.com/lamps/harbour/"]),
        ("www.example.org/a.", ["https://www.example.org/a"]),
        ("split (github.com/lamps/efficient- harbour)", ["https://github.com/lamps/efficient-"]),
        ("[Github](https://github.com/lamps/harbour)", ["https://github.com/lamps/harbour"]),
        ("http://example.org/a.", ["http://example.org/a"]),
        ("mail me@github.com/x or notgithub.com/y", []),
        ("85.3% of https:// and http://. is", []),
        ("", []),
    ],
)
def test_where_a_url_in_running_text_ends(text: str, found: list[str]) -> None:
    """It is cut at braces, angle brackets and quotes, then trailing punctuation is removed."""
    assert urls.found_in(text) == found


def test_a_url_repeated_by_a_macro_is_found_once() -> None:
    """`https://x{https://x}` is `https://x`."""
    assert set(urls.found_in("https://example.org/x{https://example.org/x}.")) == {
        "https://example.org/x"
    }


@given(st.text("abcdefgh0123/_-", min_size=1, max_size=20), st.text(".,;:!?'", max_size=4))
def test_trailing_punctuation_is_never_part_of_a_url(path: str, signs: str) -> None:
    """Full stops and similar signs are removed."""
    assert urls.found_in(f"at https://example.org/{path}{signs} x") == [
        f"https://example.org/{path}"
    ]


@pytest.mark.parametrize(
    ("abstract", "code"),
    [
        ("Code: https://github.com/lamps/harbour.", "https://github.com/lamps/harbour"),
        ("Code: http://github.com/lamps/harbour", "https://github.com/lamps/harbour"),
        ("Code: github.com/lamps/harbour/", "https://github.com/lamps/harbour/"),
        ("https://example.org and https://gitlab.com/lamps/a", "https://gitlab.com/lamps/a"),
        ("https://codeberg.org/lamps/a", "https://codeberg.org/lamps/a"),
        ("https://lamps.example.org", None),
        ("https://github.com/", None),
        ("https://github.com.example.org/lamps", None),
        ("https://user@github.com/lamps/a", None),
        ("No code yet.", None),
    ],
)
def test_code_is_the_first_url_of_a_repository(abstract: str, code: str | None) -> None:
    """Its host is a known code host, it has a path, and it is safe as a link."""
    assert urls.code_in(abstract) == code
