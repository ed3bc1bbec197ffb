"""Invented captures of formats, from a list of invented papers.

`CAPTURES` has the writers of each format. `NO_ABSTRACTS` are formats whose captures contain no
abstracts, `IDS_ONLY` those that contain no titles either, and `TEX` those in which braces and
backslashes have a meaning.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence

from newsletter.models import Paper

Builder = Callable[[Sequence[Paper]], bytes]

NO_ABSTRACTS = frozenset({"daily-papers-cards", "id-list"})
IDS_ONLY = frozenset({"id-list"})
TEX = frozenset({"bibtex"})


def _xml(text: str | None) -> str:
    """Returns text escaped for XML, without characters that XML cannot contain."""
    kept = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", " ", text or "")
    return html.escape(re.sub("[\ufffe\uffff]", "\ufffd", kept), quote=False)


def _html(text: str | None) -> str:
    """Returns text as HTML in XML, escaped twice."""
    return html.escape(_xml(text), quote=False)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def arxiv_rss(papers: Sequence[Paper]) -> bytes:
    """The list of a category, as RSS 2.0."""
    items = "".join(
        f"""    <item>
      <title>{_xml(paper.title)}</title>
      <link>https://arxiv.org/abs/{paper.arxiv_id}</link>
      <description>arXiv:{paper.arxiv_id}v1 Announce Type: new \nAbstract: {_xml(paper.abstract)}</description>
      <guid isPermaLink="false">oai:arXiv.org:{paper.arxiv_id}v1</guid>
      <category>cs.LG</category>
      <category>cs.RO</category>
      <pubDate>Fri, 20 Nov 2026 00:00:00 -0500</pubDate>
      <arxiv:announce_type>new</arxiv:announce_type>
      <dc:creator>Mira Okafor, Jonas Lindqvist,  Ana Beltr\u00e1n</dc:creator>
    </item>
"""  # noqa: E501
        for paper in papers
    )
    return _bytes(
        f"""<?xml version='1.0' encoding='UTF-8'?>
<rss xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/" version="2.0">
  <channel>
    <title>cs.LG updates on arXiv.org</title>
    <link>http://rss.arxiv.org/rss/cs.LG</link>
    <description>cs.LG updates on the arXiv.org e-print archive.</description>
    <pubDate>Fri, 20 Nov 2026 00:00:00 -0500</pubDate>
    <skipDays><day>Sunday</day><day>Saturday</day></skipDays>
{items}  </channel>
</rss>
"""  # noqa: E501
    )


def arxiv_atom(papers: Sequence[Paper]) -> bytes:
    """The same list as Atom."""
    entries = "".join(
        f"""  <entry>
    <id>oai:arXiv.org:{paper.arxiv_id}v1</id>
    <title>{_xml(paper.title)}</title>
    <updated>2026-11-20T05:00:19.899254+00:00</updated>
    <link href="https://arxiv.org/abs/{paper.arxiv_id}" rel="alternate" type="text/html"/>
    <summary>arXiv:{paper.arxiv_id}v1 Announce Type: cross \nAbstract: {_xml(paper.abstract)}</summary>
    <category term="cs.LG"/>
    <published>2026-11-20T00:00:00-05:00</published>
    <arxiv:announce_type>cross</arxiv:announce_type>
    <dc:creator>Mira Okafor, Jonas Lindqvist</dc:creator>
  </entry>
"""  # noqa: E501
        for paper in papers
    )
    return _bytes(
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:arxiv="http://arxiv.org/schemas/atom" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns="http://www.w3.org/2005/Atom">\n'
        "  <id>http://rss.arxiv.org/atom/cs.LG</id>\n  <title>cs.LG updates on arXiv.org</title>\n"
        f"  <updated>2026-11-20T05:00:19.866337+00:00</updated>\n{entries}</feed>\n"
    )


def arxiv_before_2024(papers: Sequence[Paper]) -> bytes:
    """The same list as RSS 1.0, with ids in the titles, HTML abstracts and linked authors."""
    find = "http://arxiv.org/find/cs/1/au:+L_J/0/1/0/all/0/1"
    names = ("Mira Okafor", "Jonas Lindqvist")
    linked = ", ".join(f'&lt;a href="{find}"&gt;{name}&lt;/a&gt;' for name in names)
    items = "".join(
        f"""<item rdf:about="http://arxiv.org/abs/{paper.arxiv_id}">
<title>{_xml(paper.title)} (arXiv:{paper.arxiv_id}v1 [cs.LG])</title>
<link>http://arxiv.org/abs/{paper.arxiv_id}</link>
<description rdf:parseType="Literal">&lt;p&gt;{_html(paper.abstract)}
&lt;/p&gt;
</description>
<dc:creator> {linked}</dc:creator>
</item>
"""
        for paper in papers
    )
    return _bytes(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" \
xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="http://arxiv.org/">
<title>cs.LG updates on arXiv.org</title>
<link>http://arxiv.org/</link>
<dc:date>2026-11-20T20:30:00-05:00</dc:date>
</channel>
{items}</rdf:RDF>
"""
    )


def arxiv_api(papers: Sequence[Paper]) -> bytes:
    """The response to a query."""
    entries = "".join(
        f"""  <entry>
    <id>http://arxiv.org/abs/{paper.arxiv_id}v2</id>
    <title>{_xml(paper.title)}</title>
    <updated>2026-11-19T17:59:01Z</updated>
    <link href="https://arxiv.org/abs/{paper.arxiv_id}v2" rel="alternate" type="text/html"/>
    <link href="https://arxiv.org/pdf/{paper.arxiv_id}v2" rel="related" type="application/pdf" title="pdf"/>
    <summary>{_xml(paper.abstract)}</summary>
    <category term="cs.LG" scheme="http://arxiv.org/schemas/atom"/>
    <published>2026-11-17T17:59:01Z</published>
    <arxiv:comment>12 pages of https://github.com/lamps/not-the-code</arxiv:comment>
    <author><name>Mira Okafor</name><arxiv:affiliation>Harbour</arxiv:affiliation></author>
    <author><name>Jonas Lindqvist</name></author>
    <arxiv:doi>10.1234/Lamps.{paper.arxiv_id}</arxiv:doi>
  </entry>
"""  # noqa: E501
        for paper in papers
    )
    return _bytes(
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">\n'
        "  <id>https://arxiv.org/api/kQ0lamps</id>\n"
        "  <title>arXiv Query: search_query=all:lamps&amp;start=0</title>\n"
        f"  <opensearch:totalResults>{len(papers)}</opensearch:totalResults>\n{entries}</feed>\n"
    )


def preprint_rss(papers: Sequence[Paper], server: str = "biorxiv") -> bytes:
    """The newest preprints of a subject on bioRxiv or medRxiv, as RSS 1.0."""
    items = "".join(
        f"""<item rdf:about="https://www.{server}.org/content/10.64898/2026.11.17.70{n:04}v1?rss=1">
<title><![CDATA[{paper.title}]]></title>
<link>https://www.{server}.org/content/10.64898/2026.11.17.70{n:04}v1?rss=1</link>
<description><![CDATA[{paper.abstract}]]></description>
<dc:creator><![CDATA[ Okafor, M. A., Lindqvist, J., Lamp Consortium ]]></dc:creator>
<dc:date>2026-11-{18 + n % 2}</dc:date>
<dc:identifier>doi:10.64898/2026.11.17.70{n:04}</dc:identifier>
<dc:title><![CDATA[{paper.title}]]></dc:title>
<dc:publisher>openRxiv</dc:publisher>
<prism:publicationDate>2026-11-{18 + n % 2}</prism:publicationDate>
<prism:section></prism:section>
</item>
"""
        for n, paper in enumerate(papers)
    )
    return _bytes(
        f"""<?xml version="1.0" encoding="UTF-8" ?>
<rdf:RDF xmlns:admin="http://webns.net/mvcb/" xmlns="http://purl.org/rss/1.0/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:prism="http://purl.org/rss/1.0/modules/prism/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="http://{server}.org">
<title>{server} Subject Collection: Neuroscience</title>
<link>http://{server}.org</link>
<description>This feed contains articles for the subject collection "Neuroscience"</description>
<items><rdf:Seq/></items>
</channel>
{items}</rdf:RDF>
"""
    )


def page_rss(papers: Sequence[Paper]) -> bytes:
    """A feed made from the papers page, with labelled paragraphs as the description."""
    return rss(
        papers,
        lambda paper: (
            '&lt;p&gt;&lt;img src="https://example.org/x.png" alt="" /&gt;&lt;/p&gt;'
            "&lt;p&gt;&lt;b&gt;Authors:&lt;/b&gt; Mira Okafor, Jonas Lindqvist&lt;/p&gt;"
            "&lt;p&gt;&lt;b&gt;Upvotes:&lt;/b&gt; 7&lt;/p&gt;"
            f"&lt;p&gt;&lt;b&gt;Summary:&lt;/b&gt; {_html(paper.abstract)}&lt;/p&gt;"
        ),
    )


def rss(
    papers: Sequence[Paper], described: Callable[[Paper], str] = lambda p: _html(p.abstract)
) -> bytes:
    """An RSS 2.0 feed in which titles and descriptions are HTML."""
    items = "".join(
        f"<item><title>{_html(paper.title)}</title>\n"
        f"<link>https://arxiv.org/abs/{paper.arxiv_id}</link>\n"
        f"<description>{described(paper)}</description>\n"
        f"<pubDate>Wed, 18 Nov 2026 17:{number % 60:02}:00 +0000</pubDate></item>\n"
        for number, paper in enumerate(papers)
    )
    return _bytes(
        '<rss version="2.0"><channel><title>Lamps</title>\n'
        f"<link>https://lamps.example.org/</link>\n{items}</channel></rss>\n"
    )


def atom(papers: Sequence[Paper]) -> bytes:
    """An Atom feed in which titles are text."""
    entries = "".join(
        f"<entry><title>{_xml(paper.title)}</title>\n"
        f'<link href="/{number}.html"/><id>https://arxiv.org/abs/{paper.arxiv_id}</id>\n'
        f"<published>2026-11-{number % 28 + 1:02}T09:17:51-08:00</published>\n"
        f'<summary type="html">{_html(paper.abstract)}</summary></entry>\n'
        for number, paper in enumerate(papers)
    )
    return _bytes(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>Lamps</title>\n'
        f'<link href="https://lamps.example.org/"/>\n{entries}</feed>\n'
    )


def json_feed(papers: Sequence[Paper]) -> bytes:
    """A JSON Feed 1.1."""
    items = [
        {
            "id": f"https://arxiv.org/abs/{paper.arxiv_id}",
            "title": paper.title,
            "content_text": paper.abstract,
            "date_published": "2026-11-18T12:00:00Z",
            "authors": [{"name": "Mira Okafor"}],
        }
        for paper in papers
    ]
    version = "https://jsonfeed.org/version/1.1"
    return json.dumps({"version": version, "title": "Lamps", "items": items}, indent=1).encode()


def europe_pmc(papers: Sequence[Paper]) -> bytes:
    """Results of the Europe PMC API, with the fields of `resultType=core`."""
    results = [
        {
            "id": str(40_000_000 + number),
            "source": "MED",
            "pmid": str(40_000_000 + number),
            "doi": f"10.48550/arXiv.{paper.arxiv_id}",
            "title": _xml(paper.title),
            "authorString": "Okafor M, Lindqvist J.",
            "authorList": {
                "author": [
                    {"fullName": "Okafor M", "firstName": "Mira", "lastName": "Okafor"},
                    {"collectiveName": "The Harbour Group"},
                ]
            },
            "abstractText": _xml(paper.abstract),
            "keywordList": {"keyword": ["Lamps", "Harbours"]},
            "firstPublicationDate": "2026-11-18",
        }
        for number, paper in enumerate(papers)
    ]
    answer = {
        "version": "6.9",
        "hitCount": len(results),
        "request": {"queryString": "lamps AND SRC:MED", "resultType": "core", "pageSize": 100},
        "resultList": {"result": results},
    }
    return json.dumps(answer).encode()


def openreview(papers: Sequence[Paper]) -> bytes:
    """Notes of version 2 of the OpenReview API, with a review among them."""
    notes = [
        {
            "id": f"Lamp{number:06}",
            "forum": f"Lamp{number:06}",
            "cdate": 1_763_424_000_000,
            "pdate": 1_763_510_400_000,
            "invitations": ["Harbour.cc/2026/Conference/-/Submission"],
            "content": {
                "title": {"value": paper.title},
                "abstract": {"value": paper.abstract},
                "authors": {"value": ["Mira Okafor", "Jonas Lindqvist"]},
                "keywords": {"value": ["lamps", "harbours"]},
                "pdf": {"value": "/pdf/lamp.pdf"},
                "venueid": {"value": "Harbour.cc/2026/Conference"},
            },
        }
        for number, paper in enumerate(papers)
    ]
    review = {
        "id": "Review0001",
        "forum": "Lamp000000",
        "invitations": ["Harbour.cc/2026/Conference/Submission1/-/Official_Review"],
        "content": {"summary": {"value": "Bright."}, "rating": {"value": 8}},
    }
    return json.dumps({"notes": [*notes, review], "count": len(notes) + 1}).encode()


def legacy_rows(papers: Sequence[Paper]) -> bytes:
    """Rows written as Python dicts."""
    return json.dumps([repr(_row(paper)) for paper in papers], indent=4).encode()


def legacy_wrapped(papers: Sequence[Paper]) -> bytes:
    """The same in a wrapper."""
    rows = [repr(_row(paper)) for paper in papers]
    answer = {"status": "success", "date": "2026-11-20", "count": len(rows), "data": rows}
    return json.dumps(answer, indent=4).encode()


def _row(paper: Paper) -> dict[str, object]:
    inner = {
        "id": paper.arxiv_id,
        "authors": [{"name": "Mira Okafor", "hidden": False}],
        "publishedAt": "2026-11-18T17:20:01.000Z",
        "title": paper.title,
        "summary": paper.abstract,
        "upvotes": 7,
    }
    return {"paper": inner, "title": paper.title, "isAuthorParticipating": True, "extra": None}


def cards_of_2024(papers: Sequence[Paper]) -> bytes:
    """The page's cards as they were in 2024."""
    cards = "".join(
        f'<div><article class="x"><a href="/papers/{paper.arxiv_id}" class="y">'
        f'<img src="https://cdn.example.org/papers/{paper.arxiv_id}.png" alt=""></a>\n'
        '<div>Submitted by\n<img alt="" src="a.jpeg">\n yuki</div>\n'
        f'<a href="/login?next=%2Fpapers%2F{paper.arxiv_id}"><div><input disabled type="checkbox">'
        f'<svg viewBox="0 0 12 12"><path d="M5"></path></svg><div>7</div></div></a>\n'
        f'<h3><a href="/papers/{paper.arxiv_id}" class="z">{html.escape(paper.title)}</a></h3>\n'
        f'<a href="/papers/{paper.arxiv_id}"><ul><li title="mira"></li><li>&middot; 3 authors</li>'
        f'</ul></a><a href="/papers/{paper.arxiv_id}#community">5</a></article></div>\n'
        for paper in papers
    )
    return _page(
        "Daily Papers",
        "https://huggingface.co/papers",
        '<a href="/papers?date=2026-11-19"></a>'
        '<time datetime="2026-11-20T00:00:00.000Z"><span>Nov</span> <span>20</span></time>'
        f'<a href="/papers?date=2026-11-21"></a>{cards}',
    )


def cards_of_2026(papers: Sequence[Paper]) -> bytes:
    """The page's cards as they are in 2026: two layouts in each, and a generated summary."""
    cards = "".join(
        '<article><div class="md:flex">'
        f'<a href="/papers/{paper.arxiv_id}"><img src="x.png" alt=""/></a>'
        '<div>Submitted by <div><img alt=""/></div><!----> yuki</div>'
        f"{_card(paper)}<span>Published on Nov 18, 2026</span>"
        f'<a href="/login?next=%2Fpapers%2F{paper.arxiv_id}"><input type="checkbox"/> Upvote '
        "<div>1.2k</div><!----></a>"
        '<a href="https://github.com/lamps/harbour"><span>GitHub</span> <span>21.6k</span></a>'
        f'<a href="https://arxiv.org/abs/{paper.arxiv_id}">arXiv Page</a></div>'
        f'<div class="md:hidden">{_card(paper)}<span>Nov 18, 2026</span></div></article>\n'
        for paper in papers
    )
    return _page("Trending Papers", "https://huggingface.co/papers/trending", cards)


def _card(paper: Paper) -> str:
    return (
        f'<h3><a href="/papers/{paper.arxiv_id}">{html.escape(paper.title)}</a></h3><!--[0-->'
        f'<p class="line-clamp-2">{"A machine wrote this summary of lamps and harbours. " * 5}</p>'
        '<a href="/harbour-lab"><span>Harbour Lab</span></a><!--]--><span>&middot;</span>'
    )


def _page(title: str, url: str, body: str) -> bytes:
    return _bytes(
        '<!doctype html>\n<html class=""><head><meta charset="utf-8" />'
        f'<meta property="og:url" content="{url}" /><title>{title} - Hugging Face</title>'
        "<script>if (1 < 2) { \"<a href='/papers/2611.99999'>no</a>\" }</script></head>\n"
        '<body><header><a href="/models">Models</a> <a href="/papers">Daily Papers</a></header>\n'
        '<main><a href="/login?next=%2Fpapers">Subscribe</a>'
        f'<a href="/papers/trending">Trending Papers</a>\n{body}\n'
        '<a href="/papers/date/2026-11-19">Previous</a></main>'
        '<footer><a href="/terms-of-service">TOS</a>'
        '<a href="https://github.com/huggingface/transformers">Transformers</a></footer>'
        "</body></html>\n"
    )


_BANNER = """new

Get trending papers in your email inbox once a day!

Get trending papers in your email inbox!
"""


def search_markdown(papers: Sequence[Paper]) -> bytes:
    """The page as Markdown with inline links."""
    cards = "\n".join(
        f"""[12](https://huggingface.co/login?next=%2Fpapers%2F{paper.arxiv_id})

### [{paper.title}](https://huggingface.co/papers/{paper.arxiv_id})

[{_wrapped(paper.abstract)}](https://huggingface.co/papers/{paper.arxiv_id})

[![lab](https://cdn.example.org/x.png)Harbour Lab](https://huggingface.co/harbour-lab)

·

Nov 18[6](https://huggingface.co/papers/{paper.arxiv_id}#community)
"""
        for paper in papers
    )
    return _bytes(
        f"---\nurl: https://huggingface.co/papers?q=lamps\nretrieved: 2026-11-20\n---\n{_BANNER}\n"
        "[Subscribe](https://huggingface.co/login?next=%2Fpapers)\n\n# Daily Papers\n\n- Daily\n\n"
        f"[Trending Papers](https://huggingface.co/papers/trending)\n\nNov 20\n\n{cards}\n"
        "[Previous](https://huggingface.co/papers/date/2026-11-19)\n"
    )


def _wrapped(abstract: str | None) -> str:
    words = (abstract or "").split(" ")
    return "\\\\\n".join(" ".join(words[at : at + 12]) for at in range(0, len(words), 12))


def search_lines(papers: Sequence[Paper]) -> bytes:
    """The page as text with each URL on a line of its own."""
    cards = "".join(
        f""" [-] 5

https://huggingface.co/login?next=%2Fpapers%2F{paper.arxiv_id}

{paper.title}

https://huggingface.co/papers/{paper.arxiv_id}

{paper.abstract}

https://huggingface.co/papers/{paper.arxiv_id}

[

4 authors](https://huggingface.co/papers/{paper.arxiv_id})

·

Nov 18, 2026

1

https://huggingface.co/papers/{paper.arxiv_id}#community

"""
        for paper in papers
    )
    return _bytes(
        "---\nurl: https://huggingface.co/papers?q=lamps\nexported: 2026-11-20\n---\n"
        f"# Daily Papers - Hugging Face\n\n Hugging Face\n\nhttps://huggingface.co/\n\n{_BANNER}\n"
        "Subscribe\n\nhttps://huggingface.co/login?next=%2Fpapers\n\nDaily Papers\n\nlamps\n\n"
        f"Monthly \n\nhttps://huggingface.co/papers/trending\n\nNov 20\n\n{cards}Previous\n\n"
        "https://huggingface.co/papers/date/2026-11-19\n\nTOS\n\n"
        "https://huggingface.co/terms-of-service\n\nTrending Papers ranked by GitHub stars\n"
    )


def search_footnotes(papers: Sequence[Paper], *, whole: bool = True) -> bytes:
    """The page as text with numbered links, their URLs at the end or cut off."""
    cards, notes = "", []
    for number, paper in enumerate(papers):
        first = 4 * number + 2
        cards += (
            f"[\n9\n][{first}]\n\n### [{paper.title}][{first + 1}]\n\n"
            f"[\n\n{(paper.abstract or '').replace('. ', '.' + chr(10))}\n\n][{first + 2}]\n"
            f"[\n* 3 authors\n][{first + 3}]\n·\nNov 18\n"
        )
        page = f"https://huggingface.co/papers/{paper.arxiv_id}"
        targets = (f"https://huggingface.co/login?next=%2F{paper.arxiv_id}", page, page, page)
        notes += [f"[{first + step}]: {target}" for step, target in enumerate(targets)]
    end = "\n".join(notes) if whole else "[Content truncated]"
    return _bytes(
        f"# Web source\n\n- Captured (UTC): 2026-11-20T16:31:22+00:00\n\n{_BANNER}\n"
        f"[Subscribe][1]\n\n# Daily Papers\n* Daily\n\nNov 20\n{cards}\n{end}\n"
    )


def bibtex(papers: Sequence[Paper]) -> bytes:
    """Entries as arXiv exports them."""
    entries = "\n\n".join(
        f"@misc{{okafor{number},\n      title={{{paper.title}}}, \n"
        "      author={Mira Okafor and Lindqvist, Jonas and others},\n      year={2026},\n"
        f"      eprint={{{paper.arxiv_id}}},\n      archivePrefix={{arXiv}},\n"
        f"      primaryClass={{cs.LG}},\n      abstract = {{{paper.abstract}}},\n"
        f"      url={{https://arxiv.org/abs/{paper.arxiv_id}}}, \n}}"
        for number, paper in enumerate(papers)
    )
    return _bytes(f"% Lamps\n{entries}\n")


def id_list(papers: Sequence[Paper]) -> bytes:
    """Ids and URLs alternately, with comments."""
    lines = [
        f"https://arxiv.org/abs/{paper.arxiv_id}v2" if number % 2 else f"{paper.arxiv_id}  # mine"
        for number, paper in enumerate(papers)
    ]
    return _bytes("\n".join(["# to read", "", *lines, ""]))


def json_archive(papers: Sequence[Paper]) -> bytes:
    """A day of an archive, with the day beside its list."""
    rows = [
        {
            "title": paper.title,
            "url": f"https://huggingface.co/papers/{paper.arxiv_id}",
            "authors": ["Mira Okafor", "Ana Beltr\u00e1n"],
            "pdf_url": f"https://arxiv.org/pdf/{paper.arxiv_id}",
            "abstract": paper.abstract,
            "upvotes": 7,
        }
        for paper in papers
    ]
    return _json({"date": "2026-11-20", "papers": rows})


def json_by_id(papers: Sequence[Paper]) -> bytes:
    """An object for each paper, under its id."""
    rows = {
        str(paper.arxiv_id): {"Title": paper.title, "Summary": paper.abstract} for paper in papers
    }
    return _json(
        {"generated": "by a script", "results": list(rows.values())} if len(rows) < 2 else rows
    )


def json_lines(papers: Sequence[Paper]) -> bytes:
    """An object a line, with authors and categories in texts."""
    rows = (
        {
            "id": paper.arxiv_id,
            "authors": "Mira Okafor, Jonas Lindqvist and Ana Beltr\u00e1n",
            "title": paper.title,
            "categories": "cs.LG cs.RO",
            "abstract": paper.abstract,
        }
        for paper in papers
    )
    return b"".join(_json(row).strip() + b"\n" for row in rows)


def _json(value: object) -> bytes:
    return _bytes(json.dumps(value, ensure_ascii=False) + "\n")


def comma_separated(papers: Sequence[Paper]) -> bytes:
    """A table with a header line."""
    return _table(papers, ",")


def tab_separated(papers: Sequence[Paper]) -> bytes:
    """The same with tabs."""
    return _table(papers, "\t")


def _table(papers: Sequence[Paper], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["arXiv ID", "Title", "Authors", "Abstract"])
    for paper in papers:
        authors = "Okafor, Mira; Beltr\u00e1n, Ana"
        writer.writerow([paper.arxiv_id, paper.title, authors, paper.abstract])
    return _bytes(text.getvalue())


CAPTURES: Mapping[str, tuple[Builder, ...]] = {
    "json-list": (json_archive, json_by_id, json_lines),
    "csv-list": (comma_separated, tab_separated),
    "arxiv-feed": (arxiv_rss, arxiv_atom, arxiv_before_2024),
    "arxiv-api": (arxiv_api,),
    "feed": (rss, page_rss, atom),
    "search-text": (search_markdown, search_lines, search_footnotes),
    "json-feed": (json_feed,),
    "europe-pmc": (europe_pmc,),
    "openreview": (openreview,),
    "api-legacy-json": (legacy_rows, legacy_wrapped),
    "daily-papers-cards": (cards_of_2024, cards_of_2026),
    "bibtex": (bibtex,),
    "id-list": (id_list,),
}
