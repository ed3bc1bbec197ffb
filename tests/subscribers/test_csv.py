"""Subscribers as CSV: parsing, error messages, and that an export can be imported again."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from itertools import islice

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from newsletter.subscribers.address import parse_address
from newsletter.subscribers.csv_columns import SubscriberRow, topics
from newsletter.subscribers.csv_export import write
from newsletter.subscribers.csv_import import Problem, read
from newsletter.text.clean import clean, width
from tests.support.builders import HOSTILE
from tests.support.soak import SOAK

FUZZED = 10_000 if SOAK else 500
HEADER = "address,cadence,time_zone,send_at,topics\r\n"
MIRA = SubscriberRow(parse_address("mira@example.org"))
OPEN = '"'
RUN = "=+-@\t\r＝＋－＠"

ANYTHING = st.text(st.characters())
SIGNS = st.text(st.sampled_from("aé灯'\"=+-@＝＠,;|\t\r\n\x00 \u202e\ufeff"), max_size=12)
FEW = st.text(st.characters(), max_size=15)  # never more topics than the limit
TOPICS = st.lists(FEW | SIGNS, max_size=6).map(";".join).map(topics)
LOCALS = st.from_regex(r"\A[a-zA-Z0-9'=+_-]{1,9}\Z") | st.sampled_from(["müller", "'", "'=", "''-"])
ADDRESSES = st.builds("{}@{}".format, LOCALS, st.sampled_from(["example.org", "灯台.jp"]))
LINES = st.builds(
    SubscriberRow,
    address=ADDRESSES.map(parse_address),
    cadence=st.sampled_from(["daily", "weekdays", "weekly:mon", "weekly:sun", "monthly:31"]),
    time_zone=st.sampled_from([None, "UTC", "Europe/Berlin", "Etc/GMT+5"]),
    send_at=st.none() | st.times().map(lambda time: f"{time:%H:%M}"),
    topics=TOPICS,
)


def rows(text: str) -> list[tuple[int, SubscriberRow | Problem]]:
    """Returns all rows of a file with this text."""
    return list(read(io.StringIO(text, newline="")).rows)


def one(line: str, header: str = HEADER) -> SubscriberRow | Problem:
    """Returns the row of the only line after the header."""
    ((_, only),) = rows(header + line)
    return only


def what(line: str, header: str = HEADER) -> str:
    """Returns the error in the only line."""
    problem = one(line, header)
    assert isinstance(problem, Problem), problem
    return problem.what


def found(text: str) -> list[str]:
    """Returns the addresses in the file, as displayed."""
    return [row.address.display for _, row in rows(text) if isinstance(row, SubscriberRow)]


def refused(text: str) -> str:
    """Returns why the whole file is refused."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        read(io.StringIO(text, newline=""))
    return str(caught.value)


def test_a_line_with_all_columns() -> None:
    """The values are normalised."""
    assert one(
        'Mira@Example.org, Weekly:Mon ,Europe/Berlin,7:30, "agents; speech"'
    ) == SubscriberRow(
        parse_address("Mira@example.org"),
        "weekly:mon",
        "Europe/Berlin",
        "07:30",
        ("agents", "speech"),
    )


@pytest.mark.parametrize(
    "line", ["mira@example.org", "mira@example.org,,,,", " mira@example.org , "]
)
def test_only_the_address_is_required(line: str) -> None:
    """The cadence defaults to daily, the rest to the newsletter's settings."""
    assert one(line) == MIRA
    assert one(line) == SubscriberRow(MIRA.address, "daily", None, None, ())


@pytest.mark.parametrize(
    "text",
    [
        "address\nmira@example.org\n",
        "\ufeffaddress\r\nmira@example.org\r\n",
        "\n \r\naddress\nmira@example.org",
        "Email\nmira@example.org\n",
        "E-Mail,name\nmira@example.org,Mira\n",
        '"name","ADDRESS"\n"Mira","mira@example.org"\n',
        "name;Address;Time Zone\nMira;mira@example.org;\n",
        "topics\taddress\n\tmira@example.org\n",
        '\ufeff"name\nof them",address\nMira,mira@example.org\n',
        'name 5",address\nMira,mira@example.org\n',
        "address,,,\nmira@example.org,,,\n,,,\n",
        "address\rmira@example.org\r",
    ],
)
def test_files_of_different_spreadsheets_are_read(text: str) -> None:
    """Order, case, separator, line ends, empty columns and a byte order mark do not matter."""
    assert found(text) == ["mira@example.org"]
    assert len(rows(text)) == 1


def test_unknown_columns_are_reported_once() -> None:
    """They are ignored, and their names are available before the first row."""
    file = read(["Name,E-Mail,\x1b[31mNotes,,topics\n", "Mira,mira@example.org,x,,agents\n"])
    assert file.ignored == ("Name", "[31mNotes")
    assert list(file.rows) == [(2, SubscriberRow(MIRA.address, topics=("agents",)))]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_topics_are_one_cell(separator: str) -> None:
    """Where ";" also separates cells, quotation marks keep the cell whole."""
    header = separator.join(["address", "topics", "cadence"]) + "\n"
    line = separator.join(["mira@example.org", '"agents;speech"', "weekdays"])
    assert one(line, header) == SubscriberRow(MIRA.address, "weekdays", topics=("agents", "speech"))


def test_topics_without_the_required_quotation_marks_are_an_error() -> None:
    """There are more cells than columns, which is reported."""
    assert "more cells than the first line" in what("mira@example.org;a;b", "address;topics\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mira", 'address: an address has one "@"'),
        (",daily", "address: write an address"),
        ("mira@example.org,yearly", 'cadence: write "daily"'),
        ("mira@example.org,,Mars/Base", "time_zone: no such time zone"),
        ("mira@example.org,,../../etc/passwd", "time_zone: no such time zone"),
        ("mira@example.org,,U\x00TC", "time_zone: no such time zone"),
        ("mira@example.org,,,7", "send_at: write a time of day"),
        ("mira@example.org,,,24:00", "send_at: write a time of day"),
        ("mira@example.org,,,," + "x" * 201, "topics: write topics of at most 200"),
        ("mira@example.org,,,," + ";".join(map(str, range(51))), "topics: write at most 50"),
        ("mira@example.org,,,,,", "more cells than the first line"),
        ('mira@example.org,"daily', "cannot be read as CSV"),
        ('"mira"@example.org', "cannot be read as CSV"),
        ("mira@example.org," + "x" * 200_000, "cannot be read as CSV"),
    ],
)
def test_an_error_is_reported(line: str, words: str) -> None:
    """It has the column and what to write instead."""
    assert words in what(line)


def test_all_errors_of_a_line_are_reported_at_once() -> None:
    """The operator can fix them together."""
    reported = what("mira,yearly,Mars,7,x,more")
    for start in ("more cells", "address: ", "cadence: ", "time_zone: ", "send_at: "):
        assert start in reported


def test_a_problem_shows_the_beginning_of_its_line() -> None:
    """It is short and safe to print on a terminal."""
    problem = one("mira\x1b[31m\u202e," + "x " * 1_000_000)
    assert isinstance(problem, Problem)
    assert problem.text.startswith("mira [31m ,x x x")
    assert width(problem.text) <= 60


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("\ufeff\r\n\r\n", "it is empty"),
        ("mira@example.org\njonas@example.org\n", "it begins with an address; add a first line"),
        ("\ufeffmira@example.org;daily\n", "it begins with an address; add a first line"),
        ("'+mira@example.org,daily\n", "it begins with an address; add a first line"),
        ("name,cadence\nMira,daily\n", 'no column "address"'),
        ("address,email\n", 'two columns "address"'),
        ("address,topics,Topics\n", 'two columns "topics"'),
        ('"address\n', 'no column "address"'),
        ('"address"x\n', 'no column "address"'),
    ],
)
def test_a_file_needs_a_header(text: str, why: str) -> None:
    """Without one, nothing is read, and the error says what to write."""
    assert why in refused(text)


def test_line_numbers_are_those_of_an_editor() -> None:
    """Blank lines and cells of several lines are counted."""
    text = '\naddress,notes\n\na@example.org,"one\ntwo\n\nthree"\nbad,\n\nc@example.org\n'
    assert [number for number, _ in rows(text)] == [4, 8, 10]


def test_an_unclosed_quotation_mark_affects_only_its_line() -> None:
    """The following lines are read, although in CSV they would be one long cell."""
    addresses = [f"a{number}@example.org" for number in range(40)]
    text = 'address,notes\nmira@example.org,"she said\n' + "\n".join(addresses)
    assert rows(text)[0][0] == 2
    assert isinstance(rows(text)[0][1], Problem)
    assert found(text) == addresses


def test_a_quotation_mark_within_a_cell_is_an_ordinary_character() -> None:
    """Inch marks in several lines do not merge the lines between them."""
    addresses = [f"a{number}@example.org" for number in range(9)]
    text = "address,notes\n" + "".join(
        f'{address},{n} or 5" high\n' for n, address in enumerate(addresses)
    )
    assert found(text) == addresses
    assert [number for number, _ in rows(text)] == list(range(2, 11))


def test_a_carriage_return_within_a_line_is_an_error() -> None:
    """The lines were split only at line feeds; the next line is read."""
    lines = ["address,cadence\n", "mira@example.org\r,daily\n", "jonas@example.org\r\n"]
    (_, first), (number, second) = read(lines).rows
    assert isinstance(first, Problem)
    assert (number, second) == (3, SubscriberRow(parse_address("jonas@example.org")))


@pytest.mark.parametrize("opened", [(), (500,), range(100, 900)])
def test_lines_are_read_lazily(opened: Collection[int]) -> None:
    """Of an endless file, only a few lines ahead are read."""
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        yield "address,notes\n"
        while True:
            taken += 1
            yield f"a{taken}@example.org,5{OPEN if taken in opened else ''}\n"

    for done, _ in enumerate(islice(read(endless()).rows, 1_000), 1):
        assert taken < done + 25


@settings(max_examples=FUZZED)
@given(
    st.lists(ANYTHING | SIGNS, max_size=8),
    st.sampled_from([HEADER, "email;topics\n", "", "\ufeff"]),
)
@example(["mira@example.org\n", "mira\n"], HEADER)
@example([], "name\n")
def test_any_text_is_read_or_reported(lines: list[str], header: str) -> None:
    """Only a wrong header refuses the whole file, and all messages are safe to display."""
    try:
        file = read([header, *lines] if header else lines)
    except ValueError as exc:
        assert "address," in header or "address" in str(exc)
        assert str(exc) == clean(str(exc))
        assert header not in (HEADER, "email;topics\n")
        return
    assert all(name == clean(name) for name in file.ignored)
    numbers = []
    for number, row in file.rows:
        numbers.append(number)
        if isinstance(row, Problem):
            assert row.what
            assert (row.text, row.what) == (clean(row.text), clean(row.what))
            assert width(row.text) <= 60
    assert numbers == sorted(set(numbers))
    assert not numbers or numbers[-1] <= len(lines) + 1


@settings(max_examples=FUZZED)
@given(st.integers(0, 30), ANYTHING | SIGNS)
@example(3, 'x@example.org,"')
@example(3, '"""')
def test_a_bad_line_does_not_affect_the_others(place: int, bad: str) -> None:
    """All other addresses are read."""
    addresses = [f"a{number}@example.org" for number in range(30)]
    lines = [*addresses[:place], bad, *addresses[place:]]
    read_back = [
        row.address.display
        for number, row in read([HEADER, *(f"{line}\n" for line in lines)]).rows
        if isinstance(row, SubscriberRow) and number != place + 2
    ]
    assert read_back == addresses


@settings(max_examples=FUZZED)
@given(st.lists(LINES, max_size=6))
@example(
    [
        SubscriberRow(
            parse_address("=1@example.org"), topics=("=1", "'=1", "''＝1", "'x", 'a"b', "a,=b")
        )
    ]
)
def test_an_export_can_be_imported_unchanged(lines: list[SubscriberRow]) -> None:
    """The rows are the same, however the lines are split."""
    text = "".join(write(lines))
    assert text.startswith(HEADER)
    assert [row for _, row in rows(text)] == lines
    assert [row for _, row in read(text.splitlines()).rows] == lines
    assert [
        row for _, row in read(text.replace("\r\n", "\n").splitlines(keepends=True)).rows
    ] == lines


@settings(max_examples=FUZZED)
@given(st.lists(LINES, max_size=6), st.sampled_from([",", ";"]))
@example([SubscriberRow(MIRA.address, topics=("agents", "=cmd|' /C calc'!A0"))], ";")
@example([SubscriberRow(MIRA.address, topics=("agents", '"=1', '" =1'))], ";")
def test_no_cell_is_a_formula_in_a_spreadsheet(lines: list[SubscriberRow], separator: str) -> None:
    """This holds for both separators that spreadsheets use."""
    text = "".join(write(lines))
    for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
        assert not [cell for cell in cells if cell.lstrip(" ").startswith(tuple(RUN))]


@given(st.lists(LINES, max_size=6))
def test_each_subscriber_is_one_line(lines: list[SubscriberRow]) -> None:
    """It ends with CRLF, as in RFC 4180, and contains no other line end."""
    written = list(write(lines))
    assert len(written) == len(lines) + 1
    assert all(line.endswith("\r\n") and len(line.splitlines()) == 1 for line in written)


@pytest.mark.parametrize("sign", RUN[:4] + RUN[6:])
def test_the_apostrophe_of_a_guarded_cell_is_removed(sign: str) -> None:
    """Apostrophes before other characters belong to the text."""
    row = one(f"mira@example.org,'daily,,,\"'{sign}1; '{sign}2;'tis\"")
    assert what("mira@example.org,'daily").startswith("cadence")
    assert isinstance(row, Problem)
    row = one(f"mira@example.org,,,,\"'{sign}1; '{sign}2;'tis\"")
    assert isinstance(row, SubscriberRow)
    assert row.topics == (f"{sign}1", f"{sign}2", "'tis")


def test_an_address_may_begin_with_a_sign() -> None:
    """It is guarded in the file and restored when it is read."""
    line = SubscriberRow(parse_address("+lamps@example.org"))
    assert list(write([line]))[1] == "'+lamps@example.org,daily,,,\r\n"
    assert one("'+lamps@example.org") == one("+lamps@example.org") == line


def test_an_export_is_readable() -> None:
    """It has a header, and addresses in their own script."""
    line = SubscriberRow(
        parse_address("Mira@xn--mnchen-3ya.de"), "weekly:mon", "UTC", "07:30", ("agents", "a,b")
    )
    assert list(write([line])) == [HEADER, 'Mira@münchen.de,weekly:mon,UTC,07:30,"agents;a,b"\r\n']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" ; ;\u200b;\x00", ()),
        ("agents", ("agents",)),
        (" agents ;speech\n;; agents;Agents", ("agents", "speech", "Agents")),
        ("a\u202eb\tc", ("a b c",)),
        ("x" * 200, ("x" * 200,)),
        (";".join(map(str, range(50))), tuple(map(str, range(50)))),
        ("a;" * 1_000, ("a",)),
    ],
)
def test_topics_are_a_list(text: str, expected: tuple[str, ...]) -> None:
    """They are cleaned, without blanks and duplicates, in their original order."""
    assert topics(text) == expected


@pytest.mark.parametrize("text", ["x" * 201, ";".join(map(str, range(51)))])
def test_topics_have_limits(text: str) -> None:
    """Topics that are too long or too many are refused, not cut."""
    with pytest.raises(ValueError, match="at most"):
        topics(text)


@given(ANYTHING | SIGNS)
def test_topics_are_always_clean(text: str) -> None:
    """Parsing them again returns the same."""
    try:
        given_topics = topics(text)
    except ValueError:
        assume(False)
    assert topics(";".join(given_topics)) == given_topics
    assert all(topic and topic == clean(topic) for topic in given_topics)


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_text_is_preserved_as_a_topic(title: str) -> None:
    """Markup, templates and formulas are ordinary text."""
    line = SubscriberRow(MIRA.address, topics=topics(title))
    assert [row for _, row in rows("".join(write([line])))] == [line]
