"""The configuration: every key is checked, all problems are reported at once, and no message
shows a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from newsletter.config import parse as parsing
from newsletter.config.file import example_config
from newsletter.config.problems import in_words
from newsletter.config.schema import Config, SourceSection, TransportsSection
from newsletter.errors import ConfigError
from newsletter.text import colour

FOLDER = Path("/etc/papers")
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
SECRET = "hunter2-do-not-tell"


def parse(text: str = "", environment: Mapping[str, str] | None = None) -> Config:
    """Returns the configuration of this text."""
    return parsing.parse(text, environment or {}, where="config.toml", folder=FOLDER)


def problems(text: str, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Returns the problems of this text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, environment)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("config.toml: ")
    return caught.value.problems


def problem(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Returns the only problem of this text."""
    (only,) = problems(text, environment)
    return only


# --- what is accepted


def test_an_empty_file_is_a_configuration() -> None:
    """Everything has a default."""
    assert parse().newsletter.name == "Daily Papers"
    assert parse().sources == ()


def test_the_example_is_a_configuration() -> None:
    """As shipped, with the daily papers as its source."""
    made = parse(EXAMPLE.read_text("utf-8"))
    (source,) = made.sources
    assert source.url == "https://huggingface.co/api/daily_papers?date={date}"


def test_the_example_contains_the_defaults() -> None:
    """Its active lines change nothing, except that they add its source."""
    made = parse(EXAMPLE.read_text("utf-8"))
    default = parse('[transports.eml]\nfolder = "outbox"\n[transports.maildir]\nfolder = "maildir"')
    assert made.model_copy(update={"sources": ()}) == default


def test_every_commented_line_of_the_example_is_a_setting() -> None:
    """Each can be uncommented as it is, and is accepted."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    section, switched = "", 0
    for line in lines:
        bare = line.removeprefix("# ")
        if line.startswith("["):
            section = line
        elif line.startswith("# ") and " = " in bare and "_" in bare.split(" = ")[0] + "_":
            key = bare.split(" = ")[0]
            if key.isidentifier() and section != "[[sources]]":
                parse(f"{section}\n{bare}\n" + ('host = "mail.example.org"' * (key == "security")))
                switched += 1
    assert switched > 10


def keys() -> Iterator[tuple[str, str]]:
    """Yields every key of the configuration with the name of its section."""
    for name, section in Config.model_fields.items():
        if name == "transports":
            for transport, field in TransportsSection.model_fields.items():
                yield from fields_of(f"transports.{transport}", field.annotation)
        else:
            yield from fields_of(name, SourceSection if name == "sources" else section.annotation)


def fields_of(name: str, section: Any) -> Iterator[tuple[str, str]]:
    """Yields the keys of one section."""
    for key in section.model_fields:
        yield name, key


def test_every_key_is_documented() -> None:
    """The configuration page describes each key under the heading of its section."""
    parts = re.split(r"^## `\[+([a-z.]+)\]+`$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    documented = dict(zip(parts[1::2], parts[2::2], strict=True))
    every = list(keys())
    assert len(every) > 40
    assert [(name, key) for name, key in every if f"`{key}`" not in documented[name]] == []


EVERYTHING = """
[newsletter]
name = "Harbour Papers"
sender = "Harbour Papers <papers@example.org>"
reply_to = "keeper@example.org"
owner = "keeper@example.org"
base_url = "https://papers.example.org/"
time_zone = "Europe/Berlin"
send_at = "07:30"
skip_dates = [2026-12-25, "2027-01-01"]
language = "en"
postal_address = "1 Harbour Street"
bounce_domain = "bounces.example.org"
alert_command = "notify --title 'Harbour Papers'"
alert_url = "http://127.0.0.1:8080/alerts?auth=token"
ping_url = "https://ping.example.org/1234"
[database]
url = "sqlite:////var/papers/papers.db"
[[sources]]
name = "daily"
url = "https://example.org/papers?date={date}"
every = "3h"
format = "api-json"
allow_private = true
[[sources]]
name = "saved"
path = "captures"
[delivery]
transport = "smtp"
sessions = 4
max_per_second = 2.5
max_per_day = 400
unknown = "resend"
give_up_after = "3d"
catch_up = "6h"
per_domain = { "example.com" = 1.0, "a-b.example" = 2 }
[transports.smtp]
host = "mail.example.org"
port = 587
security = "starttls"
username = "papers"
password_file = "secret"
[transports.eml]
folder = "out"
[transports.maildir]
folder = "Mail"
[theme]
name = "default"
templates_dir = "templates"
accent = "#1d4fb8"
accent_dark = "#8fb4ff"
excerpts = 12
[web]
host = "127.0.0.1"
port = 8000
secret_keys = ["one", "two"]
metrics_token = "three"
trusted_hops = 1
"""


def test_every_key_of_the_contract_is_accepted() -> None:
    """Also those without an effect so far."""
    made = parse(EVERYTHING)
    assert made.newsletter.skip_dates == (date(2026, 12, 25), date(2027, 1, 1))
    assert made.newsletter.send_at == time(7, 30)
    assert made.delivery.per_domain == {"example.com": 1.0, "a-b.example": 2.0}
    assert made.sources[0].every == timedelta(hours=3)
    assert [key.get_secret_value() for key in made.web.secret_keys] == ["one", "two"]


@pytest.mark.parametrize("key", ["password", "password_file", "token_command"])
def test_each_way_to_give_a_password_is_accepted(key: str) -> None:
    """One of the three at a time."""
    smtp = parse(f"[transports.smtp]\nhost = 'mail.example.org'\n{key} = 'x'").transports.smtp
    given = {name for name in ("password", "password_file", "token_command") if getattr(smtp, name)}
    assert given == {key}


@pytest.mark.parametrize("transport", ["smtp", "eml", "maildir", "null"])
def test_every_transport_is_accepted(transport: str) -> None:
    """Of the table."""
    assert parse(f"[delivery]\ntransport = '{transport}'").delivery.transport == transport


# --- problems


def test_every_problem_is_reported_at_once() -> None:
    """Each with the path of its key."""
    found = problems(
        """
        [newsletter]
        nam = "x"
        send_at = "25:00"
        time_zone = "Europe/Nowhere"
        [[sources]]
        name = "one"
        url = "https://example.org"
        every = "soon"
        [[sources]]
        name = "two"
        path = "x"
        pth = "y"
        [delivery]
        sessions = 0
        [transports.smtp]
        port = 99999
        [theme]
        accent = "blue"
        [wbe]
        port = 1
        """
    )
    assert sorted(line.split(":")[0] for line in found) == [
        "delivery.sessions",
        "newsletter.nam",
        "newsletter.send_at",
        "newsletter.time_zone",
        "sources[1].every",
        "sources[2].pth",
        "theme.accent",
        "transports.smtp.port",
        "wbe",
    ]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("[theme]\naccent = '#ffff00'\nexcerpts = -1", ["theme", "theme.excerpts"]),
        (
            "[transports.smtp]\nhost = 'mail.example.org'\nsecurity = 'none'\nport = 0",
            ["transports.smtp", "transports.smtp.port"],
        ),
        ("[[sources]]\nname = 'a'\nevery = 'soon'", ["sources[1]", "sources[1].every"]),
    ],
)
def test_problems_of_one_section_are_reported_at_once(text: str, paths: list[str]) -> None:
    """Also those that concern several keys together."""
    found = problems(text)
    assert len(found) == len(paths)
    assert all(any(line.startswith(path) for line in found) for path in paths)


@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        ("[newsletter]\nnaem = 'x'", "newsletter.naem", "name"),
        ("[newsletter]\ntimezone = 'UTC'", "newsletter.timezone", "time_zone"),
        ("[newsletter]\ntime-zone = 'UTC'", "newsletter.time-zone", "time_zone"),
        ("[newsleter]\nname = 'x'", "newsleter", "newsletter"),
        ("[[sources]]\nname = 'x'\npaht = 'y'", "sources[1].paht", "path"),
        ("[transports.smpt]\nhost = 'x'", "transports.smpt", "smtp"),
        ("[transports.smtp]\nhsot = 'x'", "transports.smtp.hsot", "host"),
        ("[transports.eml]\nfoldr = 'x'", "transports.eml.foldr", "folder"),
        ("[web]\nprot = 1", "web.prot", "port"),
    ],
)
def test_a_misspelt_key_says_what_was_meant(text: str, path: str, meant: str) -> None:
    """With its path and the most similar key of its section."""
    found = problems(text)
    assert any(line.startswith(f"{path}: ") and f"did you mean {meant}?" in line for line in found)


def test_a_key_like_nothing_we_know_gets_no_suggestion() -> None:
    """A wrong guess would be worse than none."""
    assert problem("[newsletter]\nzzzz = 1") == "newsletter.zzzz: no such setting"


@pytest.mark.parametrize("text", ["[newsletter", "name = ", "a = 1\na = 2", "\x00", "= 1"])
def test_invalid_toml_is_one_problem(text: str) -> None:
    """With the position of the error."""
    assert "line " in problem(text) or "end of document" in problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "newsletter = 5",
        "sources = 5",
        "database = 'sqlite:///x.db'",
        "theme = []",
        "web = true",
        "transports = 'smtp'",
        "sources = [5]",
        "[sources]\nname = 'x'",
        "[transports]\nsmtp = 'x'",
        "[delivery]\nper_domain = 5",
        "[delivery]\nper_domain = {'a-b.example' = 'x'}",
        "[newsletter]\nskip_dates = '2026-12-25'",
        "[newsletter]\nname = 5",
        "[newsletter]\nname = ''",
        "[newsletter]\nlanguage = 'xx'",
        "[theme]\nname = '../elsewhere'",
        "[theme]\naccent_dark = 'blue'",
        "[web]\nport = 0",
        "[delivery]\nunknown = 'forget'",
        "[delivery]\nmax_per_second = 0",
        "[database]\nurl = 'mysql://x'",
        "[database]\nurl = 'sqlite:///'",
    ],
)
def test_a_value_of_the_wrong_kind_is_a_problem(text: str) -> None:
    """It names the path of the key and never raises anything else."""
    section = tomllib.loads(text)
    assert all(line.split(":")[0].startswith(tuple(section)) for line in problems(text))


WRONG: tuple[Any, ...] = (
    *(None, True, 3, -5, 10**30, 1.5, float("nan")),
    *("", "x\ny", "zzz", "x" * 400, [], [3], ["x"]),
)
FOREIGN = re.compile(
    r"Input|[Ss]tring should|Value error|validation error|[Ff]ield required|Extra inputs|valid "
    r"(tuple|dictionary)|instance of|pattern|Datetimes|\[key\]"
)
"""The wordings of the library that validates."""


def _keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every section and key."""
    for name, field in model.model_fields.items():
        yield (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, (*path, name))


KEYS = [*_keys(Config), ("delivery", "per_domain", "a.example"), ("delivery", "per_domain", "-")]
SOURCE_KEYS = [("sources", "0", name) for name in SourceSection.model_fields]


@pytest.mark.parametrize("path", [*KEYS, *SOURCE_KEYS, ("zap",), ("web", "zap")], ids=".".join)
def test_every_problem_is_in_our_own_words(path: tuple[str, ...]) -> None:
    """It names the key and what is allowed, whatever the value is."""
    for value in (*WRONG, {"zap": 1}, date(2026, 1, 1), time(1, 1)):
        section: Any = value
        for step in reversed(path):
            section = [{"name": "n", "path": "p", **section}] if step == "0" else {step: section}
        try:
            Config.model_validate(section)
        except ValidationError as error:
            for line in in_words(error):
                assert line.startswith(path[0]), line
                assert not FOREIGN.search(line), line
                assert "not allowed" not in line, line  # what is?


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[newsletter]\nlanguage = 'xx'", 'newsletter.language: write "en"'),
        ("[theme]\nname = '../x'", "theme.name: write the name of a theme: letters, digits,"),
        ("[web]\nport = 0", "web.port: write a whole number from 1 to 65535"),
        ("[web]\nport = 'x'", "web.port: write a whole number"),
        ("[web]\nhost = 'a b'", "web.host: write a name or an IP address"),
        (
            "[transports.smtp]\nhost = 'mail.example:25'",
            "transports.smtp.host: write a name or an IP",
        ),
        ("[delivery]\nmax_per_day = 0", "delivery.max_per_day: write a number greater than 0"),
        ("[newsletter]\nname = ''", "newsletter.name: it must not be empty"),
        ("[newsletter]\nname = 5", "newsletter.name: write text in quotation marks"),
        ("[newsletter]\nweekly_report = 'x'", "newsletter.weekly_report: write true or false"),
        ("[newsletter]\nskip_dates = '2026'", "newsletter.skip_dates: write it as a list in"),
        ("[newsletter]\nskip_dates = ['x']", 'newsletter.skip_dates[1]: write a date, such as "2'),
        ("[transports]\nsmtp = 'x'", "transports.smtp: write it as a section, [transports.smtp]"),
        ("sources = 5", "sources: write it as sections, [[sources]]"),
        ("sources = [5]", "sources[1]: write it as a section, [[sources]]"),
        ("[[sources]]\npath = 'x'", "sources[1].name: this setting is required"),
        ("[delivery]\nunknown = 'x'", 'delivery.unknown: write "hold" or "resend"'),
    ],
)
def test_a_wrong_value_says_what_is_allowed(text: str, said: str) -> None:
    """After the path of its key."""
    assert problem(text).startswith(said)


def test_one_wrong_value_is_one_problem() -> None:
    """Not one for each type that the key accepts."""
    only = problem("[theme]\naccent_dark = 'blue'")
    assert only.startswith("theme.accent_dark: ")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(st.text())
def test_no_text_crashes(text: str) -> None:
    """Any text is a valid configuration or has problems."""
    try:
        parse(text)
    except ConfigError as error:
        assert error.problems


@pytest.mark.parametrize(
    "key",
    ["sender", "owner", "reply_to", "base_url", "time_zone", "send_at", "name", "bounce_domain"],
)
@given(value=st.text(st.characters(codec="utf-8")))
def test_no_value_crashes(key: str, value: str) -> None:
    """Any value is accepted or is a problem of that key."""
    try:
        parse("", {f"NEWSLETTER__NEWSLETTER__{key.upper()}": value})
    except ConfigError as error:
        assert all(line.startswith(f"newsletter.{key}: ") for line in error.problems)


# --- durations, times, zones


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("30min", timedelta(minutes=30)),
        ("3h", timedelta(hours=3)),
        ("3 h", timedelta(hours=3)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_durations(written: str, meant: timedelta) -> None:
    """A number and a unit."""
    assert parse(f"[delivery]\ngive_up_after = '{written}'").delivery.give_up_after == meant


@pytest.mark.parametrize(
    "written",
    ["''", "'h'", "'3'", "3", "'-3h'", "'0h'", "'3 hours'", "'3h30m'", "'1.5h'", "true", "'3y'"],
)
def test_invalid_durations(written: str) -> None:
    """A number without a unit, and a duration of zero."""
    assert problem(f"[delivery]\ngive_up_after = {written}").startswith("delivery.give_up_after: ")


@pytest.mark.parametrize("digits", [12, 20, 5_000])
def test_an_overlong_duration_is_a_problem(digits: int) -> None:
    """However many digits it has."""
    found = problem(f"[delivery]\ngive_up_after = '{'9' * digits}w'")
    assert found.startswith("delivery.give_up_after: ")
    assert len(found) < 200


@pytest.mark.parametrize("written", ["00:00", "7:30", "07:30", "23:59"])
def test_times_of_day(written: str) -> None:
    """Hours and minutes."""
    hour, minute = map(int, written.split(":"))
    assert parse(f"[newsletter]\nsend_at = '{written}'").newsletter.send_at == time(hour, minute)


@pytest.mark.parametrize(
    "written", ["''", "'24:00'", "'07:60'", "'7'", "'7.30'", "'07:30:00'", "730", "07:30:00"]
)
def test_invalid_times_of_day(written: str) -> None:
    """Seconds, other separators and impossible times are refused, with an example."""
    assert '"07:30"' in problem(f"[newsletter]\nsend_at = {written}")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia"])
def test_time_zones(zone: str) -> None:
    """Names of the tz database."""
    assert parse(f"[newsletter]\ntime_zone = '{zone}'").newsletter.time_zone == zone


@pytest.mark.parametrize(
    "zone", ["", "Europe", "Europe/Nowhere", "../../etc/passwd", "/etc/passwd", "CET+1", "\\u0000"]
)
def test_invalid_time_zones(zone: str) -> None:
    """Folders, paths and invented names are refused."""
    assert problem(f'[newsletter]\ntime_zone = "{zone}"').startswith("newsletter.time_zone: ")


# --- addresses


@pytest.mark.parametrize(
    "mailbox",
    [
        "",
        "papers@example.org",
        "Papers <papers@example.org>",
        '"Papers, Daily" <papers@example.org>',
        "Tägliche Arbeiten <papers@example.org>",
        "papers@bücher.example",
    ],
)
def test_mailboxes(mailbox: str) -> None:
    """An address, with or without a name."""
    assert parse("", {"NEWSLETTER__NEWSLETTER__SENDER": mailbox}).newsletter.sender == mailbox


@pytest.mark.parametrize(
    "mailbox",
    [
        "papers",
        "papers@",
        "@example.org",
        "papers@localhost",
        "Papers, Daily <papers@example.org>",
        "a@example.org, b@example.org",
        "papers@exa mple.org",
    ],
)
def test_invalid_mailboxes(mailbox: str) -> None:
    """Two addresses, or half of one, are refused when the file is read."""
    only = problem("", {"NEWSLETTER__NEWSLETTER__SENDER": mailbox})
    assert only.startswith("newsletter.sender: ")


@pytest.mark.parametrize("domain", ["my_host.example", "-a.example", "x" * 64 + ".example"])
def test_an_invalid_mail_domain_is_a_problem(domain: str) -> None:
    """When the file is read, not when the first edition is sent."""
    only = problem("", {"NEWSLETTER__NEWSLETTER__SENDER": f"papers@{domain}"})
    assert only.startswith("newsletter.sender: ")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("https://papers.example.org", "https://papers.example.org"),
        ("https://papers.example.org/daily/", "https://papers.example.org/daily"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
    ],
)
def test_base_urls(written: str, kept: str) -> None:
    """Without a final slash; `http:` for this machine only."""
    assert parse(f"[newsletter]\nbase_url = '{written}'").newsletter.base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "papers.example.org",
        "http://papers.example.org",
        "http://localhost.example.org",
        "https://",
        "https://user:secret@papers.example.org",
        "https://papers.example.org?x=1",
        "https://papers.example.org/#x",
        "https://[x",
        "ftp://papers.example.org",
        "javascript:alert(1)",
        "https://papers.example.org/a b",
        'https://papers.example.org/\\"x',
    ],
)
def test_invalid_base_urls(url: str) -> None:
    """All links to our pages begin with it."""
    only = problem(f'[newsletter]\nbase_url = "{url}"')
    assert only.startswith("newsletter.base_url: ")
    assert "secret" not in only


@pytest.mark.parametrize("key", ["alert_url", "ping_url"])
@pytest.mark.parametrize(
    "url",
    [
        *("ftp://host.example", "host.example", "https://", "https:///topic", "http://host:port/"),
        *("https://me:word@host.example", "https://host.example/a b", "https://höst.example"),
    ],
)
def test_invalid_alert_urls(key: str, url: str) -> None:
    """The problem names the key."""
    with pytest.raises(ConfigError, match=rf"newsletter\.{key}: "):
        parse(f"[newsletter]\n{key} = '{url}'")


@pytest.mark.parametrize("command", ['notify "me', " ", r"notify\\"[:-1]])
def test_invalid_alert_commands(command: str) -> None:
    """They are refused before the first problem has to be reported."""
    with pytest.raises(ConfigError, match=r"newsletter\.alert_command: "):
        parse(f"[newsletter]\nalert_command = '{command}'")


def test_the_scheme_of_a_base_url_is_lower_case() -> None:
    """Later checks rely on it."""
    made = parse("[newsletter]\nbase_url = 'HTTPS://papers.example.org'")
    assert made.newsletter.base_url == "https://papers.example.org"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[sources]]\nname = 'a'", "either url or path"),
        ("[[sources]]\nname = 'a'\nurl = 'https://x.org'\npath = 'b'", "either url or path"),
        ("[[sources]]\nname = 'a'\nurl = 'file:///etc'", "http"),
        ("[[sources]]\npath = 'a'", "name"),
        ("[[sources]]\nname = 'a'\npath = 'a'\n[[sources]]\nname = 'a'\npath = 'b'", "twice"),
    ],
)
def test_a_source_is_one_place_with_a_name_of_its_own(text: str, said: str) -> None:
    """Either a URL or a path, and a unique name."""
    only = problem(text)
    assert only.startswith("sources")
    assert said in only


@pytest.mark.parametrize("host", ["", "mail.example.org", "127.0.0.1.example.org"])
def test_unencrypted_smtp_is_refused(host: str) -> None:
    """Except to this machine."""
    found = problem(f"[transports.smtp]\nhost = '{host}'\nsecurity = 'none'")
    assert found.startswith("transports.smtp")
    for loopback in ("localhost", "127.0.0.1", "::1"):
        parse(f"[transports.smtp]\nhost = '{loopback}'\nsecurity = 'none'")


# --- paths


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("[[sources]]\nname = 'a'\npath = 'captures'", lambda c: c.sources[0].path),
        ("[theme]\ntemplates_dir = 'captures'", lambda c: c.theme.templates_dir),
        ("[transports.eml]\nfolder = 'captures'", lambda c: c.transports.eml.folder),
        ("[transports.maildir]\nfolder = 'captures'", lambda c: c.transports.maildir.folder),
        (
            "[transports.smtp]\npassword_file = 'captures'",
            lambda c: c.transports.smtp.password_file,
        ),
    ],
)
def test_paths_are_relative_to_the_file(text: str, reached: Any) -> None:
    """Absolute ones stay, and `~` is the home folder."""
    assert reached(parse(text)) == "/etc/papers/captures"
    assert reached(parse(text.replace("captures", "/var/captures"))) == "/var/captures"
    assert reached(parse(text.replace("captures", "../captures"))) == "/etc/papers/../captures"
    assert reached(parse(text.replace("captures", "~/captures"))) == str(Path.home() / "captures")


def test_default_paths_are_relative_to_the_file_too() -> None:
    """A folder without a setting is beside the configuration, whatever the working directory."""
    made = parse()
    assert made.transports.eml.folder == "/etc/papers/outbox"
    assert made.transports.maildir.folder.startswith("/etc/papers/")
    assert made.database.url == "sqlite:////etc/papers/newsletter.db"


def test_an_empty_path_stays_empty() -> None:
    """It means that there is none."""
    assert parse("[theme]\ntemplates_dir = ''").theme.templates_dir == ""


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:///a.db", "sqlite:////etc/papers/a.db"),
        ("sqlite:///data/a.db", "sqlite:////etc/papers/data/a.db"),
        ("sqlite:////var/a.db", "sqlite:////var/a.db"),
    ],
)
def test_a_database_file_is_relative_to_the_file(url: str, absolute: str) -> None:
    """Like every path."""
    assert parse(f"[database]\nurl = '{url}'").database.url == absolute


def test_a_missing_home_folder() -> None:
    """`~no-such-user/x` is a problem, or a path that is found missing later."""
    try:
        made = parse("[[sources]]\nname = 'a'\npath = '~no-such-user-at-all/x'")
    except ConfigError as error:
        assert error.problems[0].startswith("sources[1]")
    else:
        assert "no-such-user-at-all" in made.sources[0].path


# --- the environment


@pytest.mark.parametrize(
    ("name", "value", "reached", "made"),
    [
        ("NEWSLETTER__NAME", "Oil", lambda c: c.newsletter.name, "Oil"),
        ("TRANSPORTS__SMTP__PORT", "2525", lambda c: c.transports.smtp.port, 2525),
        ("DELIVERY__CATCH_UP", "1h", lambda c: c.delivery.catch_up, timedelta(hours=1)),
        ("THEME__TEMPLATES_DIR", "t", lambda c: c.theme.templates_dir, "/etc/papers/t"),
        ("DATABASE__URL", "sqlite:///e.db", lambda c: c.database.url, "sqlite:////etc/papers/e.db"),
        (
            "TRANSPORTS__SMTP__PASSWORD",
            SECRET,
            lambda c: c.transports.smtp.password.get_secret_value(),
            SECRET,
        ),
    ],
)
def test_the_environment_overrides_the_file(name: str, value: str, reached: Any, made: Any) -> None:
    """`NEWSLETTER__SECTION__KEY`, with or without the section in the file."""
    assert reached(parse("", {f"NEWSLETTER__{name}": value})) == made
    assert (
        reached(
            parse(
                EVERYTHING.replace('password_file = "secret"', ""), {f"NEWSLETTER__{name}": value}
            )
        )
        == made
    )


def test_other_variables_are_ignored() -> None:
    """Only the prefix with two underscores counts."""
    assert parse("", {"NEWSLETTER_CONFIG": "x", "PATH": "y", "NEWSLETTERS__A": "z"}) == parse()


def test_a_misspelt_variable_is_a_problem() -> None:
    """With the key that it stands for."""
    only = problem("", {"NEWSLETTER__NEWSLETTER__NAEM": "x"})
    assert only.startswith("newsletter.naem: ")
    assert "did you mean name?" in only


@pytest.mark.parametrize(
    "name",
    [
        "NEWSLETTER__SOURCES__0__URL",
        "NEWSLETTER__SOURCES__DAILY__URL",
        "NEWSLETTER__SOURCES",
        "NEWSLETTER__NEWSLETTER__NAME__X",
        "NEWSLETTER__NEWSLETTER__NAME__X__Y",
        "NEWSLETTER__NEWSLETTER",
        "NEWSLETTER__",
        "NEWSLETTER____",
        "NEWSLETTER__DELIVERY__PER_DOMAIN",
    ],
)
@pytest.mark.parametrize("text", ["", EVERYTHING])
def test_a_variable_that_fits_nothing_is_a_problem(name: str, text: str) -> None:
    """A path through a list or a value is a problem, not a crash."""
    assert problems(text, {name: "x"})


# --- colours


def test_an_accent_with_low_contrast_is_refused() -> None:
    """With the nearest shade that passes."""
    only = problem("[theme]\naccent = '#8fb4ff'")
    better = only.split(";")[1].split()[0]
    assert colour.contrast(better, colour.PAGE_LIGHT) >= 4.5
    assert parse(f"[theme]\naccent = '{better}'").theme.accent == better


def test_a_dark_accent_is_checked_on_the_dark_page() -> None:
    """A colour readable on white may be unreadable on black."""
    assert "accent_dark" in problem("[theme]\naccent_dark = '#1d4fb8'")


@given(st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}"))
def test_every_accepted_accent_can_be_read_in_both(accent: str) -> None:
    """On white as it is, on dark in a shade of it."""
    try:
        theme = parse(f"[theme]\naccent = '{accent}'").theme
    except ConfigError:
        assert colour.contrast(accent, colour.PAGE_LIGHT) < 4.5
    else:
        assert colour.contrast(theme.accent, colour.PAGE_LIGHT) >= 4.5
        assert colour.contrast(theme.dark, colour.PAGE_DARK) >= 4.5


def test_the_default_accents_are_fixed() -> None:
    """The dark one is not derived."""
    assert (parse().theme.accent, parse().theme.dark) == ("#1d4fb8", "#8fb4ff")


# --- secrets


@pytest.mark.parametrize(
    "text",
    [
        f"[transports.smtp]\npassword = '{SECRET}'\nport = 'x'",
        f"[transports.smtp]\npassword = ['{SECRET}']",
        f"[transports.smtp]\npasword = '{SECRET}'",
        f"[transports.smtp]\nsecurity = '{SECRET}'",
        f"[transports.smtp]\npassword = '{SECRET}'\ntoken_command = 'x'",
        f"[transports.smtp]\nport = '{SECRET}'",
        f"[web]\nsecret_keys = '{SECRET}'",
        f"[web]\nsecret_keys = [['{SECRET}']]",
        f"[web]\nmetrics_token = ['{SECRET}']",
        f"[web]\nport = '{SECRET}'",
        f"[database]\nurl = 'mysql://me:{SECRET}@host/db'",
        f"[database]\nurl = ['postgresql+psycopg://me:{SECRET}@host/db']",
        f"[[sources]]\nname = 'a'\nurl = 'ftp://me:{SECRET}@host/db'",
        f"[newsletter]\nbase_url = 'https://me:{SECRET}@host.example'",
        f"[newsletter]\nsender = '{SECRET}'",
        f"[newsletter]\nalert_command = 'notify \"{SECRET}'",
        f"[newsletter]\nalert_url = 'ftp://host.example/{SECRET}'",
        f"[newsletter]\nping_url = 'https://me:{SECRET}@host.example'",
        f"[newsletter]\ntime_zone = '{SECRET}'",
        f"transports = '{SECRET}'",
        f"[transports]\nsmtp = '{SECRET}'",
        f"[transports.smtp]\npassword = '{SECRET}",
        f"[transports.smtp]\npassword = {SECRET}",
        f"[transports.smtp]\npassword = '{SECRET}' x",
    ],
)
def test_no_message_tells_a_secret(text: str) -> None:
    """Whatever is wrong, a message names keys and never shows their values."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__


def test_a_configuration_does_not_show_its_secrets() -> None:
    """They stay hidden when it is printed."""
    made = parse(
        f"[transports.smtp]\npassword = '{SECRET}'\n"
        f"[web]\nsecret_keys = ['{SECRET}']\nmetrics_token = '{SECRET}'\n"
        f"[newsletter]\nalert_command = 'notify {SECRET}'\n"
        f"alert_url = 'https://host.example/{SECRET}'\nping_url = 'https://host.example/{SECRET}'"
    )
    assert SECRET not in repr(made)
    assert SECRET not in str(made.model_dump())


@pytest.mark.parametrize("written", ["1d", "24h", "2w"])
def test_catch_up_is_less_than_a_day(written: str) -> None:
    """Otherwise a machine that always starts late would never send a daily edition."""
    assert "less than a day" in problem(f"[delivery]\ncatch_up = '{written}'")


@pytest.mark.parametrize(
    "text",
    [
        "[database]\nurl = 'postgresql+psycopg://me:{secret}@host/db'",
        "[database]\nurl = 'postgresql://me:{secret}@host/db'",
        "[database]\nurl = 'Postgres://me:{secret}@host/db'",
        "database = 'postgresql://me:{secret}@host/db'",
    ],
)
def test_postgresql_is_refused_in_one_clear_line(text: str) -> None:
    """It is not supported yet; the line says what to write instead, and shows no password."""
    said = problem(text.format(secret=SECRET))
    assert "PostgreSQL is not supported yet: use a SQLite file, such as" in said
    assert '"sqlite:///newsletter.db"' in said
    assert SECRET not in said


def test_the_example_configuration_does_not_mention_postgresql() -> None:
    """What is not supported is not advertised."""
    assert "postgres" not in example_config().lower()
