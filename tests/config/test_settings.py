"""Single settings are changed in the text of a configuration, and nothing else is."""

from __future__ import annotations

import difflib
import tomllib

import pytest

from newsletter.config.file import example_config
from newsletter.config.toml_settings import with_settings
from newsletter.config.toml_sources import with_source_renamed
from newsletter.errors import ConfigError

MANGLED = """\
[ newsletter ] # first
\tname   =   'Lamps'   # name
send_at = '''
07:30'''
[transports."smtp"]
host="a"
# port = 465 is usual, and this is a sentence = no TOML
"""


def differences(before: str, after: str) -> list[str]:
    """Returns the lines that were removed and added."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0)
    return [line for line in found if line[:2] not in ("--", "++", "@@")]


def test_a_value_is_replaced_and_keeps_its_comment() -> None:
    """The comments below each other stay below each other."""
    text = example_config()
    changed = with_settings(text, {"newsletter.name": "Lamps", "delivery.transport": "smtp"})
    assert differences(text, changed) == [
        '-name = "Daily Papers"               # in the mail, on the pages, and in List-Id',
        '+name = "Lamps"                      # in the mail, on the pages, and in List-Id',
        '-transport = "eml"                   # "smtp" sends; "eml" and "maildir" write files; '
        'or "null"',
        '+transport = "smtp"                  # "smtp" sends; "eml" and "maildir" write files; '
        'or "null"',
    ]


def test_a_setting_in_a_comment_becomes_active_where_it_is() -> None:
    """In its own section, not in another with the same key."""
    text = example_config()
    changed = with_settings(text, {"transports.smtp.port": 587, "newsletter.owner": "a@b.example"})
    added = [line for line in differences(text, changed) if line[0] == "+"]
    assert [line.split("#")[0].strip() for line in added] == [
        '+owner = "a@b.example"',
        "+port = 587",
    ]
    assert tomllib.loads(changed)["web"]["port"] == 8000


def test_settings_are_added_and_removed() -> None:
    """In a section that is there, and in a new one."""
    text = '[web]\nport = 1 # mine\n\n[theme]\nname = "x"\n'
    changed = with_settings(text, {"web.host": "::1", "dkim.selector": "a", "theme.name": None})
    assert changed == (
        '[web]\nport = 1 # mine\nhost = "::1"\n\n[theme]\n\n[dkim]\nselector = "a"\n'
    )
    assert with_settings(text, {"web.nothing": None, "nowhere.x": None}) == text


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", '[web]\nhost = "a"\n'),
        ("[web]", '[web]\nhost = "a"\n'),
        ("[web] # mine\n# nothing yet\n\n[dkim]\n", None),
        ("[web]\n[web.more]\nx = 1", None),
        ("[web]\nport = 1", '[web]\nport = 1\nhost = "a"\n'),
        ('[web]\nhost="b" # x\n', '[web]\nhost="a" # x\n'),
        ('web.port = 1\nweb.host = "b"\n', None),
        ('web = {host = "b"}\n', None),
        ("[web.more]\nx = 1\n[dkim]\n[web]\nport = 1\n", None),
        ('"web".host = "b"\n', None),
        ('[[sources]]\nname = "web"\n[web]\n', None),
    ],
)
def test_every_way_to_write_a_section(text: str, changed: str | None) -> None:
    """The setting is changed and nothing else, or it is left to the operator in plain words."""
    try:
        made = with_settings(text, {"web.host": "a"})
    except ConfigError as error:
        assert changed is None
        assert error.hint == "change it by hand"
    else:
        assert changed in (None, made)
        before = tomllib.loads(text)
        assert tomllib.loads(made) == {**before, "web": {**before.get("web", {}), "host": "a"}}


def test_a_file_that_was_written_oddly_keeps_its_form() -> None:
    """Tabs, quoted names, values on two lines, and comments that are sentences."""
    changes: dict[str, str | int | None] = {
        "newsletter.name": "B",
        "newsletter.send_at": "08:00",
        "transports.smtp.port": 25,
    }
    assert (
        with_settings(MANGLED, changes)
        == """\
[ newsletter ] # first
\tname   =   "B"       # name
send_at = "08:00"
[transports."smtp"]
host="a"
# port = 465 is usual, and this is a sentence = no TOML
port = 25
"""
    )


def test_line_ends_stay_as_they_are() -> None:
    """In changed lines and in new ones."""
    text = example_config().replace("\n", "\r\n")
    changed = with_settings(
        text, {"newsletter.name": "B", "web.new": "c", "transports.smtp.host": "d"}
    )
    assert changed.count("\n") == changed.count("\r\n") == text.count("\n") + 1
    assert '\r\nhost = "d"\r\n' in changed


def test_what_cannot_be_changed_safely_is_left_to_the_operator() -> None:
    """A section inside braces."""
    text = 'web = { port = 1, host = "a" }\n'
    with pytest.raises(ConfigError, match="change it by hand"):
        with_settings(text, {"web.new": "b"})


def test_a_source_is_renamed_in_its_line() -> None:
    """All else stays."""
    text = example_config()
    renamed = with_source_renamed(text, "daily-papers", 'the "new" one')
    assert differences(text, renamed) == [
        '-name = "daily-papers"',
        '+name = "the \\"new\\" one"',
    ]
    inline = 'sources = [{name = "a", path = "b"}] # c\n'
    assert with_source_renamed(inline, "a", "d") == 'sources = [{name = "d", path = "b"}] # c\n'
