"""Subscribers as CSV: what is read, what is wrong in words, and that an export comes back."""

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
FEW = st.text(st.characters(), max_size=15)  # never more topics than there may be
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
    """All rows of a file with this text."""
    return list(read(io.StringIO(text, newline="")).rows)


def one(line: str, header: str = HEADER) -> SubscriberRow | Problem:
    """What the only line below the header is."""
    ((_, only),) = rows(header + line)
    return only


def what(line: str, header: str = HEADER) -> str:
    """What is wrong in the only line."""
    problem = one(line, header)
    assert isinstance(problem, Problem), problem
    return problem.what


def found(text: str) -> list[str]:
    """Who is in the file, as shown."""
    return [row.address.display for _, row in rows(text) if isinstance(row, SubscriberRow)]


def refused(text: str) -> str:
    """Why nothing of the file is read."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        read(io.StringIO(text, newline=""))
    return str(caught.value)


def test_a_line_with_everything() -> None:
    """Values come back in the form in which everything else writes them."""
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
def test_only_the_address_is_needed(line: str) -> None:
    """What is not written is daily, and for the rest the newsletter's own."""
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
def test_spreadsheets_differ(text: str) -> None:
    """Order, case, separator, line ends, empty columns and a byte order mark are no matter."""
    assert found(text) == ["mira@example.org"]
    assert len(rows(text)) == 1


def test_other_columns_are_named_once() -> None:
    """Columns that are none of ours are ignored, and known before the first row."""
    file = read(["Name,E-Mail,\x1b[31mNotes,,topics\n", "Mira,mira@example.org,x,,agents\n"])
    assert file.ignored == ("Name", "[31mNotes")
    assert list(file.rows) == [(2, SubscriberRow(MIRA.address, topics=("agents",)))]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_topics_stand_in_one_cell(separator: str) -> None:
    """Where ";" separates cells too, quotation marks keep a cell whole."""
    header = separator.join(["address", "topics", "cadence"]) + "\n"
    line = separator.join(["mira@example.org", '"agents;speech"', "weekdays"])
    assert one(line, header) == SubscriberRow(MIRA.address, "weekdays", topics=("agents", "speech"))


def test_topics_without_quotation_marks_where_they_are_needed() -> None:
    """They are more cells than there are columns: said, not guessed."""
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
def test_what_is_wrong_is_said(line: str, words: str) -> None:
    """One problem, with the column and what to write instead."""
    assert words in what(line)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody corrects a line four times."""
    said = what("mira,yearly,Mars,7,x,more")
    for start in ("more cells", "address: ", "cadence: ", "time_zone: ", "send_at: "):
        assert start in said


def test_a_problem_shows_the_beginning_of_its_line() -> None:
    """Short, and without what would act on a terminal."""
    problem = one("mira\x1b[31m\u202e," + "x " * 1_000_000)
    assert isinstance(problem, Problem)
    assert problem.text.startswith("mira [31m ,x x x")
    assert width(problem.text) <= 60


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is nothing in it"),
        ("\ufeff\r\n\r\n", "there is nothing in it"),
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
def test_a_file_needs_its_first_line(text: str, why: str) -> None:
    """Without the names of columns nothing is read; what to write is said."""
    assert why in refused(text)


def test_numbers_are_those_of_the_file() -> None:
    """Blank lines and cells of several lines count as an editor counts them."""
    text = '\naddress,notes\n\na@example.org,"one\ntwo\n\nthree"\nbad,\n\nc@example.org\n'
    assert [number for number, _ in rows(text)] == [4, 8, 10]


def test_an_open_quotation_mark_takes_its_own_line_only() -> None:
    """What follows it is read, though CSV would take it for one long cell."""
    people = [f"a{number}@example.org" for number in range(40)]
    text = 'address,notes\nmira@example.org,"she said\n' + "\n".join(people)
    assert rows(text)[0][0] == 2
    assert isinstance(rows(text)[0][1], Problem)
    assert found(text) == people


def test_a_quotation_mark_within_a_cell_is_a_sign_like_others() -> None:
    """Inches swallow no lines, even when another line has some too."""
    people = [f"a{number}@example.org" for number in range(9)]
    text = "address,notes\n" + "".join(f'{who},{n} or 5" high\n' for n, who in enumerate(people))
    assert found(text) == people
    assert [number for number, _ in rows(text)] == list(range(2, 11))


def test_a_carriage_return_within_a_line_is_said() -> None:
    """Where lines were split at line feeds only, it is a problem of its line."""
    lines = ["address,cadence\n", "mira@example.org\r,daily\n", "jonas@example.org\r\n"]
    (_, first), (number, second) = read(lines).rows
    assert isinstance(first, Problem)
    assert (number, second) == (3, SubscriberRow(parse_address("jonas@example.org")))


@pytest.mark.parametrize("opened", [(), (500,), range(100, 900)])
def test_lines_are_read_as_they_come(opened: Collection[int]) -> None:
    """An endless file is read to where somebody stops, a few lines ahead at most."""
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
@example(["mira@example.org\n", "nobody\n"], HEADER)
@example([], "name\n")
def test_no_text_breaks_it(lines: list[str], header: str) -> None:
    """Only a first line is refused as a whole; all that is said can be shown."""
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
def test_a_bad_line_hides_no_other(place: int, bad: str) -> None:
    """Whatever stands in one line, everybody in the others is read."""
    people = [f"a{number}@example.org" for number in range(30)]
    lines = [*people[:place], bad, *people[place:]]
    read_back = [
        row.address.display
        for number, row in read([HEADER, *(f"{line}\n" for line in lines)]).rows
        if isinstance(row, SubscriberRow) and number != place + 2
    ]
    assert read_back == people


@settings(max_examples=FUZZED)
@given(st.lists(LINES, max_size=6))
@example(
    [
        SubscriberRow(
            parse_address("=1@example.org"), topics=("=1", "'=1", "''＝1", "'x", 'a"b', "a,=b")
        )
    ]
)
def test_an_export_comes_back_as_it_was(lines: list[SubscriberRow]) -> None:
    """Written and read, every subscriber is the same, however the lines are split."""
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
def test_no_spreadsheet_runs_a_cell(lines: list[SubscriberRow], separator: str) -> None:
    """No cell begins with what is run, in countries with either separator."""
    text = "".join(write(lines))
    for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
        assert not [cell for cell in cells if cell.lstrip(" ").startswith(tuple(RUN))]


@given(st.lists(LINES, max_size=6))
def test_each_subscriber_is_one_line(lines: list[SubscriberRow]) -> None:
    """Lines end as RFC 4180 wants it, and nowhere else."""
    written = list(write(lines))
    assert len(written) == len(lines) + 1
    assert all(line.endswith("\r\n") and len(line.splitlines()) == 1 for line in written)


@pytest.mark.parametrize("sign", RUN[:4] + RUN[6:])
def test_the_apostrophe_of_a_spreadsheet_comes_off(sign: str) -> None:
    """Only before a sign that would be run: other apostrophes belong to the text."""
    row = one(f"mira@example.org,'daily,,,\"'{sign}1; '{sign}2;'tis\"")
    assert what("mira@example.org,'daily").startswith("cadence")
    assert isinstance(row, Problem)
    row = one(f"mira@example.org,,,,\"'{sign}1; '{sign}2;'tis\"")
    assert isinstance(row, SubscriberRow)
    assert row.topics == (f"{sign}1", f"{sign}2", "'tis")


def test_an_address_may_begin_with_a_sign() -> None:
    """It is guarded in the file and itself again when it is read."""
    line = SubscriberRow(parse_address("+lamps@example.org"))
    assert list(write([line]))[1] == "'+lamps@example.org,daily,,,\r\n"
    assert one("'+lamps@example.org") == one("+lamps@example.org") == line


def test_an_export_is_for_people() -> None:
    """The names of columns, and addresses in their own script."""
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
    """Clean, visible, each once, in the order of the text."""
    assert topics(text) == expected


@pytest.mark.parametrize("text", ["x" * 201, ";".join(map(str, range(51)))])
def test_topics_have_limits(text: str) -> None:
    """Longer ones and more of them are refused, not cut."""
    with pytest.raises(ValueError, match="at most"):
        topics(text)


@given(ANYTHING | SIGNS)
def test_topics_are_clean_whatever_is_written(text: str) -> None:
    """They are what they would be if they were written again."""
    try:
        given_topics = topics(text)
    except ValueError:
        assume(False)
    assert topics(";".join(given_topics)) == given_topics
    assert all(topic and topic == clean(topic) for topic in given_topics)


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_text_comes_back_as_a_topic(title: str) -> None:
    """Markup, templates and formulas are text like any other."""
    line = SubscriberRow(MIRA.address, topics=topics(title))
    assert [row for _, row in rows("".join(write([line])))] == [line]
