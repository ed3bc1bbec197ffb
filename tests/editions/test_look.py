"""Editions in a real browser: they fit the window and are readable in light and dark mode."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from newsletter.app.inspection import sample
from newsletter.app.throw_away import throw_away

CONTRAST = """
() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = s => s.match(/[\\d.]+/g).map(Number);
  const page = element => {
    for (; element; element = element.parentElement) {
      const c = parse(getComputedStyle(element).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const node = texts.currentNode, element = node.parentElement;
    const box = element.getBoundingClientRect();
    if (!node.data.trim() || !box.height || getComputedStyle(element).opacity === '0') continue;
    if (element.closest('[style*="display:none"]')) continue;
    const [a, b] = [parse(getComputedStyle(element).color), page(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push({text: node.data.trim().slice(0, 40), ratio, dark: luminance(page(element)) < 0.2});
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An edition of one day, and one of several days with hostile titles and without excerpts."""
    out = tmp_path_factory.mktemp("editions")
    rows = [row for day in sample() for row in json.loads(day.read_text())] * 3
    for number, row in enumerate(rows):
        row["paper"] = {**row["paper"], "id": f"2611.{90000 + number}"}
        row["title"] = ["W" * 200, "<think> {{7*7}} " * 12, row["title"]][number % 3] + f" {number}"
    several = out / "several.json"
    several.write_text(json.dumps(rows))
    made = []
    with throw_away() as app:
        for report in app.sources.replay([str(sample()[0]), str(several)]):
            edition = app.builder.build(report.new) if report.new else None
            assert edition is not None
            made.append(app.previews.write(edition, out / str(report.snapshot)).files[0])
    return made


def _collect_requests(tab: Page, into: list[str]) -> None:
    tab.on("request", lambda request: into.append(request.url))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [640, 375, 320])
def test_an_edition_is_readable(
    browser: Browser, pages: list[Path], width: int, scheme: str
) -> None:
    """It does not scroll sideways, all text has contrast 4.5, and nothing is loaded."""
    for page in pages:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            offline=True,
        )
        tab = context.new_page()
        requests: list[str] = []
        _collect_requests(tab, requests)
        tab.goto(page.as_uri())
        wide, seen = tab.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        texts = tab.evaluate(CONTRAST)
        context.close()
        assert wide <= seen
        assert requests == [page.as_uri()]
        assert len(texts) > 30
        assert [text for text in texts if text["ratio"] < 4.5] == []
        assert {text["dark"] for text in texts} == {scheme == "dark"}
