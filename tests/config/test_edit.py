"""Changes of the configuration file keep everything else as it was written."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from newsletter.config.edit import draft
from newsletter.config.file import example_config
from newsletter.config.toml_sources import with_sources, without_source
from newsletter.errors import ConfigError, OutputError

NEW = {"name": 'La "mps"', "url": "https://example.org/ü?a=1&b={date}", "every": "6h"}
BLOCK = (
    '[[sources]]\nname = "La \\"mps\\""\nurl = "https://example.org/ü?a=1&b={date}"\nevery = "6h"\n'
)
MANGLED = """\
# tabs, odd spacing, quoted keys
[ newsletter ] # first
\tname   =   'Lamps'   # name


   [[ "sources" ]]   # mine
 url="https://example.org/a" # here
  name = \"\"\"
a
[[sources]]\"\"\"
 # every = "1h"

# about the second
[[sources]]
path = "b"
'name' = "b"
#-- how mail is sent
[delivery]
per_domain = { "example.com" = 1.0 ,  "example.org"=2.0 }

[web]
secret_keys = [
    # a key
]
"""


def test_a_source_is_added_to_the_example_after_the_last_one() -> None:
    """Removing it again gives the same bytes."""
    text = example_config()
    added = with_sources(text, [NEW])
    marker = "# how often `newsletter serve` reads it\n"
    assert added == text.replace(marker, f"{marker}\n{BLOCK}")
    assert without_source(added, NEW["name"]) == text


def test_a_mangled_file_keeps_its_form() -> None:
    """What was there is there, byte for byte and in its order."""
    added = with_sources(MANGLED, [NEW])
    assert added == MANGLED.replace("#-- how", f"\n{BLOCK}\n#-- how")
    removed = without_source(added, "a\n[[sources]]")
    start, end = added.index("   [[ "), added.index(' # every = "1h"')
    assert removed == added[:start] + added[end:]
    assert tomllib.loads(removed)["sources"] == [{"path": "b", "name": "b"}, NEW]


def test_comments_right_below_a_section_belong_to_it() -> None:
    """A setting that is commented out stays with its source."""
    own = '[[sources]]\nname = "a"\npath = "a"\n# every = "1h"\n'
    assert with_sources(own, [NEW]) == f"{own}\n{BLOCK}"
    assert with_sources(f"{own}\n# mail\n[delivery]\n", [NEW]) == (
        f"{own}\n{BLOCK}\n# mail\n[delivery]\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", BLOCK),
        ("# only this", f"# only this\n\n{BLOCK}"),
        ("[web]\nport = 1\n\n", f"[web]\nport = 1\n\n{BLOCK}"),
        ("sources = []\n", None),
        ('sources = [\n  {name="a", path="b"}, # c\n]\n[web]\nport = 1\n', None),
        ('[[sources]]\nname="a"\npath="b"\n[web]\nport=1\n[[sources]]\nname="c"\npath="d"', None),
    ],
)
def test_every_way_to_write_sources_is_extended(text: str, expected: str | None) -> None:
    """None, a list of inline tables, and sections that are apart."""
    added = with_sources(text, [NEW])
    assert expected in (None, added)
    before, after = tomllib.loads(text), tomllib.loads(added)
    assert list(after) == [*before, *({"sources"} - before.keys())]
    assert after == {**before, "sources": [*before.get("sources", []), NEW]}


def test_an_inline_source_is_removed() -> None:
    """The comments of the others stay."""
    text = 'sources = [\n  {name = "a", path = "b"},\n  {name = "c", path = "d"}, # c\n]\n'
    assert without_source(text, "a") == 'sources = [\n  {name = "c", path = "d"}, # c\n]\n'


def test_line_ends_stay_as_they_are() -> None:
    """A file from Windows gets no mixed ones."""
    text = example_config().replace("\n", "\r\n")
    added = with_sources(text, [NEW])
    assert added.count("\n") == added.count("\r\n") > text.count("\n")
    assert without_source(added, NEW["name"]) == text


def test_sections_that_are_apart_are_removed_by_hand() -> None:
    """Rather than reordered."""
    text = '[[sources]]\nname="a"\npath="b"\n[web]\nport=1\n[[sources]]\nname="c"\npath="d"\n'
    with pytest.raises(ConfigError, match="not next to each other; change it by hand"):
        without_source(text, "a")


def test_the_file_is_replaced_through_a_link_with_its_mode(tmp_path: Path) -> None:
    """Whatever the umask is; paths stay relative to the link's folder."""
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "mine.toml"
    real.write_text(example_config())
    real.chmod(0o640)
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    before = os.umask(0o077)
    try:
        found = draft(str(link))
        found.replace(with_sources(found.text, [NEW]))
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert BLOCK in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == ["mine.toml"]


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """The error says what to do, and no temporary file is left."""
    file = tmp_path / "config.toml"
    file.write_text(example_config())
    found = draft(str(file))
    theirs = example_config() + "# theirs\n"
    file.write_text(theirs)
    with pytest.raises(OutputError, match=r"changed meanwhile.*; run the command again"):
        found.replace(with_sources(found.text, [NEW]))
    assert file.read_text() == theirs
    assert list(tmp_path.iterdir()) == [file]


def test_an_invalid_result_is_not_written(tmp_path: Path) -> None:
    """The problems are those that `config check` lists."""
    file = tmp_path / "config.toml"
    file.write_text(example_config())
    found = draft(str(file))
    with pytest.raises(ConfigError, match="write an http:// or https:// address"):
        found.replace(with_sources(found.text, [{"name": "x", "url": "ftp://example.org"}]))
    assert file.read_text() == example_config()
