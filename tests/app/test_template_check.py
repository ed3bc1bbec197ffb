"""All templates are checked as the operator has them, and faults name the operator's own line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from newsletter.app.composition import App
from newsletter.app.template_check import TemplateCheck
from newsletter.app.template_samples import notice_samples, page_samples
from newsletter.config.schema import Config, ThemeSection
from newsletter.editions.templating import bundled_templates
from newsletter.errors import EditionFaulty, RenderError
from newsletter.service.health import Health
from newsletter.storage.database import Database
from tests.support.commands import Here, assert_one_line_each, rows_of

MAIL = "themes/default/edition.mjml.j2"
TEXT = "themes/default/edition.txt.j2"
FRONT = "web/front.html.j2"

PAGE = "{% extends 'web/base.html.j2' %}\n{% block main %}\n<h1>News</h1>\n"
HEADING = '[% extends "bundled/themes/default/edition.mjml.j2" %]\n\n[% block heading %]\n'
ENDS = "\n[% endblock %]\n"


def put(folder: Path, name: str, text: str | bytes) -> Path:
    """Writes a template of the operator; returns their folder."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def faults(folder: Path) -> list[RenderError]:
    """Returns the faults with these templates."""
    return TemplateCheck(Config(theme=ThemeSection(templates_dir=str(folder)))).faults()


def changed(old: str, new: str) -> str:
    """Returns the theme's MJML with one change."""
    text = (bundled_templates() / MAIL).read_text()
    assert old in text
    return text.replace(old, new, 1)


def line_of(words: str, text: str) -> int:
    """Returns the number of the first line with these words."""
    return next(number for number, line in enumerate(text.split("\n"), 1) if words in line)


def test_our_own_templates_have_no_fault() -> None:
    """With a sample for every page and every notice that there is."""
    assert TemplateCheck(Config()).faults() == []
    pages = {f"{name}.html.j2" for name in page_samples()}
    shared = {"base.html.j2", "feeds.html.j2", "papers.html.j2"}
    assert pages | shared == {path.name for path in (bundled_templates() / "web").glob("*.html.j2")}
    notices = {f"{name}.txt.j2" for name in notice_samples("Lamps")}
    assert notices == {path.name for path in (bundled_templates() / "mail").iterdir()}


@pytest.mark.parametrize(
    ("name", "text", "line", "says"),
    [
        # undefined variables
        (FRONT, PAGE + "{{ sitee.name }}\n{% endblock %}", 4, "'sitee' is undefined"),
        (FRONT, PAGE + "{{ site.nam }}\n{% endblock %}", 4, "'Site object' has no attribute 'nam'"),
        (FRONT, PAGE + "{% if content %}{{ content.cuont|grouped }}{% endif %}{% endblock %}", 4,
         "'Content object' has no attribute 'cuont'"),
        ("web/base.html.j2", "{% block main %}{% endblock %}\n{{ nothing }}", 2, "'nothing'"),
        ("web/style.css.j2", "body {\n color: {{ site.colour }}\n}", 2, "'colour'"),
        ("mail/report.txt.j2", "Hello\n\n{{ trouble }}\n", 3, "'trouble' is undefined"),
        (TEXT, "{{ unsubscribe }}\n{{ content.cuont }}", 2, "no attribute 'cuont'"),
        (MAIL, HEADING + "<h1>{{ content.cuont }}</h1>" + ENDS, 4, "no attribute 'cuont'"),
        (MAIL, HEADING + "<h1>[[ look.nmae ]]</h1>" + ENDS, 4, "no attribute 'nmae'"),
        # syntax errors
        (FRONT, PAGE + "{% if site %}{% endblock %}", 4, "unknown tag 'endblock'"),
        ("web/mine.html.j2", "never included\n{{ x", 2, "unexpected end of template"),
        ("mail/test.txt.j2", "Hello\n{% nothing %}\n", 2, "unknown tag 'nothing'"),
        (MAIL, HEADING + "<h1>{{ content.count }</h1>" + ENDS, 4, "unexpected '}'"),
        (MAIL, HEADING + "{% if content %}\n<h1>x</h1>" + ENDS, 4, "needs to be closed is 'if'"),
        (MAIL, HEADING + "[[ look. ]]" + ENDS, 4, "expected name or number"),
        ("mail/test.txt.j2", b"Hello\n\xff\n", 2, "it is not UTF-8 text"),
        # filters
        (FRONT, PAGE + "{{ 'a'|hang('b') }}\n{% endblock %}", 4, "TypeError: "),
        (FRONT, PAGE + "{% if false %}\n{{ 1|nope }}{% endif %}{% endblock %}", 5, "'nope'"),
        (TEXT, "{{ unsubscribe }}\n{{ 'a'|hang('b') }}", 2, "TypeError: "),
        (MAIL, HEADING + "<h1>{{ 'a'|hang('b') }}</h1>" + ENDS, 4, "TypeError: "),
        (MAIL, HEADING + "<h1>{{ 'a'|nope }}</h1>" + ENDS, 4, "No filter named 'nope'"),
        (MAIL, HEADING + "<h1>{{ 1 / 0 }}</h1>" + ENDS, 4, "ZeroDivisionError: division by zero"),
        # missing includes
        (FRONT, PAGE + "{% include 'web/no.j2' %}\n{% endblock %}", 4, "no template web/no.j2"),
        ("web/day.html.j2", "x\n{% if 0 %}{% include 'no' %}{% endif %}", 2, "no template no"),
        (FRONT, "{% extends 'web/no.j2' %}", 1, "there is no template web/no.j2"),
        (MAIL, HEADING + "{% include 'no.j2' %}" + ENDS, 4, "there is no template no.j2"),
        (MAIL, HEADING + "[% include 'no.j2' %]" + ENDS, 4, "there is no template no.j2"),
        (MAIL, '[% extends "themes/default/edition.mjml.j2" %]', 1, "bundled/"),
        # unknown blocks
        (FRONT, PAGE + "{% endblock %}\n{% block headr %}{% endblock %}", 5, "did you mean head?"),
        (FRONT, PAGE + "{% endblock %}{% block zzz %}{% endblock %}", 4,
         "has no block zzz; its blocks are: brand, head, main, robots, title"),
        (MAIL, HEADING + ENDS + "[% block fot %][% endblock %]", 6,
         "(did you mean foot?); its blocks are: brief, foot, heading, paper, style, top"),
        # MJML
        (MAIL, HEADING + "<i>x</i></b>" + ENDS, 4, "</b> stands where </main> is expected"),
        (MAIL, HEADING + "<h1>{% if 1 < 2 %}x{% endif %}</h1>" + ENDS, 4, "write `is lt(…)`"),
        (MAIL, HEADING + '<h1 class="x>\nx</h1>' + ENDS, 4, "quotation mark"),
        (MAIL, HEADING + "<mj-buton>x</mj-buton>" + ENDS, 4,
         "MJML has no tag <mj-buton> (did you mean <mj-button>?)"),
        (MAIL, "{% extends 'x' %}\n", 1, "it must begin with <mjml>"),
    ],
)  # fmt: skip
def test_a_fault_names_the_operators_line(
    name: str, text: str | bytes, line: int, says: str, tmp_path: Path
) -> None:
    """With the lines around it, the line itself marked; the message is one line."""
    found = faults(put(tmp_path, name, text))
    fault = next(one for one in found if one.where.startswith(str(tmp_path)))
    assert fault.where == f"{tmp_path}/{name}, line {line}"
    assert says in fault.what
    assert "\n" not in str(fault)
    assert str(fault).endswith("; fix the template")
    (marked,) = [one for one in fault.excerpt if one.startswith(">")]
    assert marked.startswith(f"> {line} | ")
    lines = text.decode(errors="replace") if isinstance(text, bytes) else text
    assert marked.partition(" | ")[2] == lines.split("\n")[line - 1]


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        # In a macro, on a line that is generated from three places.
        ("{{ p.title }}</a>", "{{ p.titel }}</a>", "p.titel", "no attribute 'titel'"),
        ("<mj-column>", "<mj-colum>", "<mj-colum>", "(did you mean <mj-column>?)"),
        # What the compiler itself reports, with its position.
        ("<mj-breakpoint ", "<mj-section ", "<mj-section ", "unexpected element, “mj-section”"),
        ("</mj-column>", "", "</mj-section>", "stands where </mj-column> is expected"),
        ("is lt(content.part.of)", "< content.part.of", "part.number <", "`is lt(…)`"),
    ],
)
def test_a_fault_in_the_middle_of_a_theme(
    old: str, new: str, at: str, says: str, tmp_path: Path
) -> None:
    """Two lines before and two after are shown."""
    text = changed(old, new)
    (fault,) = faults(put(tmp_path, MAIL, text))
    line = line_of(at, text)
    assert fault.where == f"{tmp_path}/{MAIL}, line {line}"
    assert says in fault.what
    assert len(fault.excerpt) == 5
    assert fault.excerpt[2].startswith(f"> {line} | ")
    assert all(len(shown) < 180 for shown in fault.excerpt)


def test_the_operators_line_comes_before_the_line_of_ours_that_it_uses(tmp_path: Path) -> None:
    """The macro is right; its argument is not."""
    text = "{% import 'web/papers.html.j2' as show %}\n{{ show.paper(site) }}"
    (fault,) = faults(put(tmp_path, FRONT, text))
    assert fault.where == f"{tmp_path}/{FRONT}, line 2"


def test_one_broken_parent_is_one_fault(tmp_path: Path) -> None:
    """All pages extend it; their faults are the same one."""
    (fault,) = faults(put(tmp_path, "web/base.html.j2", "{{ x"))
    assert fault.where == f"{tmp_path}/web/base.html.j2, line 1"


def test_new_blocks_inside_known_ones_and_a_base_with_fewer_blocks(tmp_path: Path) -> None:
    """Neither is a mistake."""
    inner = "{% block mine %}x{% endblock %}{% endblock %}"
    put(tmp_path, FRONT, "{% extends 'web/base.html.j2' %}{% block main %}" + inner)
    put(tmp_path, "web/base.html.j2", "{% block main %}{% endblock %}")
    assert faults(tmp_path) == []


def test_an_edition_without_a_link_to_unsubscribe(tmp_path: Path) -> None:
    """It renders, but fails validation."""
    (fault,) = faults(put(tmp_path, TEXT, "no link"))
    assert isinstance(fault, EditionFaulty)
    assert "no unsubscribe link" in str(fault)


# --- the commands


@pytest.fixture
def here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Here:
    """Returns commands in a folder with a configuration, and templates in `mine`."""
    (tmp_path / "config.toml").write_text(
        '[theme]\ntemplates_dir = "mine"\n'
        '[[sources]]\nname = "saved"\npath = "captures"\n'
        '[[sources]]\nname = "near"\nurl = "http://127.0.0.1:9/"\n'
    )
    (tmp_path / "mine").mkdir()
    return Here(capfd, monkeypatch)


EXCERPT = ["  2 | ", "  3 | [% block heading %]", "> 4 | <h1>{{ content.cuont }}</h1>"]


def test_commands_show_the_lines_around_a_fault(here: Here, tmp_path: Path) -> None:
    """`config check`, `doctor`, `preview` and `run`: the message first, then the lines."""
    put(tmp_path / "mine", MAIL, HEADING + "<h1>{{ content.cuont }}</h1>" + ENDS)
    message = f"{tmp_path}/mine/{MAIL}, line 4: 'Content object' has no attribute 'cuont'"
    checked = here("config", "check")
    assert checked.returncode == 2
    assert f"error: {message}; fix the template\n" in checked.stderr
    found = here("doctor", "--offline")
    assert found.returncode == 3
    assert f"failure  templates: {message}\n" in found.stdout
    (row,) = [one for one in rows_of(here("doctor", "--offline", "--json"))
              if one.get("check") == "templates"]  # fmt: skip
    assert row["excerpt"][:3] == EXCERPT
    folder = tmp_path / "captures"
    folder.mkdir()
    sample = Path(next(iter(_days())))
    (folder / sample.name).write_bytes(sample.read_bytes())
    assert here("ingest", str(folder / sample.name)).returncode == 0
    assert here("subscribers", "add", "ada@example.org").returncode == 0
    shown, ran = here("preview"), here("run", "--due-now")
    for done, text in ((checked, checked.stderr), (found, found.stdout), (shown, shown.stderr),
                       (ran, ran.stderr)):  # fmt: skip
        assert "Traceback" not in text
        lines = text.split("\n")
        at = next(number for number, line in enumerate(lines) if message in line)
        after = [line for line in lines[at + 1 :] if " | " in line][:3]
        assert [line.strip() for line in after] == [line.strip() for line in EXCERPT], done.args
        assert all(line.startswith("    ") for line in after)
    assert (shown.returncode, ran.returncode) == (3, 3)


def _days() -> list[str]:
    from newsletter.app.inspection import sample

    return [str(path) for path in sample()]


def test_places_of_sources_are_warnings_of_config_check(here: Here, tmp_path: Path) -> None:
    """A folder that is not there yet, and a private address: said, and no error."""
    done = here("config", "check")
    assert done.returncode == 0
    assert "The configuration has no errors." in done.stdout
    assert f"warning: saved: {tmp_path}/captures does not exist; create it" in done.stderr
    assert "warning: near: its URL leads to a loopback address" in done.stderr
    assert_one_line_each(done)
    (row,) = rows_of(here("config", "check", "--json"))
    assert row["ok"] is True
    assert len(row["warnings"]) == 2


def test_a_broken_front_page_is_an_error_everywhere(here: Here, tmp_path: Path) -> None:
    """It would answer 503."""
    put(tmp_path / "mine", FRONT, PAGE + "{{ sitee }}{% endblock %}")
    checked, found = here("config", "check"), here("doctor", "--offline")
    assert (checked.returncode, found.returncode) == (2, 3)
    for text in (checked.stderr, found.stdout):
        assert f"{tmp_path}/mine/{FRONT}, line 4: 'sitee' is undefined" in text


@pytest.mark.parametrize(
    "words",
    ["config check", "doctor", "status", "preview", "ingest", "run", "serve", "web", "sources",
     "snapshots list", "subscribers list", "deliveries", "editions list", "backup x", "restore x",
     "prune --older-than 90d", "pause", "why x", "--config config.toml demo"],
)  # fmt: skip
def test_postgresql_is_refused_by_every_command(words: str, here: Here, tmp_path: Path) -> None:
    """In one line that says what to write instead."""
    (tmp_path / "config.toml").write_text('[database]\nurl = "postgresql://me:secret@db/papers"\n')
    done = here(*words.split())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "PostgreSQL is not supported yet: use a SQLite file, such as" in line
    assert "secret" not in line


# --- the health check


def test_a_check_is_repeated_only_after_a_file_has_changed(tmp_path: Path) -> None:
    """By its time and size; reading all templates for each request would be slow."""
    put(tmp_path, FRONT, "{{ broken")
    check = TemplateCheck(Config(theme=ThemeSection(templates_dir=str(tmp_path))))
    with pytest.raises(RenderError, match="a page template is broken"):
        check.check()
    about = (tmp_path / FRONT).stat()
    put(tmp_path, FRONT, "{# fine #}"[: about.st_size].ljust(about.st_size))
    os.utime(tmp_path / FRONT, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(RenderError):
        check.check()
    os.utime(tmp_path / FRONT, (1, 1))
    put(tmp_path, FRONT, "fine")
    check.check()
    put(tmp_path, "mail/test.txt.j2", "{{ broken")
    with pytest.raises(RenderError, match="a mail template is broken"):
        check.check()


def test_readyz_says_that_a_template_is_broken(tmp_path: Path, database: Database) -> None:
    """In words only: anyone may read them."""
    put(tmp_path / "mine", FRONT, PAGE + "{{ sitee }}{% endblock %}")
    for folder, status in (("mine", 503), ("fine", 200)):
        (tmp_path / "fine").mkdir(exist_ok=True)
        config = Config(theme=ThemeSection(templates_dir=str(tmp_path / folder)))
        routes = Health(App(config, database), []).routes(config)
        answer = TestClient(Starlette(routes=routes)).get("/readyz")
        assert answer.status_code == status, answer.text
        if status == 503:
            words = "a page template is broken: see the log or `newsletter doctor`\n"
            assert answer.text == words
