"""TeX in titles and abstracts, and the key of a title."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.text.fingerprint import fingerprint
from newsletter.text.tex import to_unicode

PAIRS = Path(__file__).parents[3] / "shared/snapshots/pairs/near_titles_different_papers.json"
PIECES = [
    *" ${}^_+#1.aZéßıΣςがाक²½™=＄﹨\u0301\u0345\u0338\u200d",
    *("\\", r"\$", r"\%", r"\{", r"\}", r"\(", r"\)", r"\o", r"\'", r"\v", "``", "''"),
    *(r"\phi", r"\log", r"\times", r"\frac", r"\textit{", r"\emph{", r"{\em ", "&"),
    *(r"\textsuperscript{", r"\[", r"\]", r"\hat", r"\mathbb", r"\sqrt", r"\left", r"\,"),
]
tex = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(st.text().filter(lambda text: not any(sign in text for sign in ("\\", "$", "``"))))
def test_text_without_tex_is_unchanged(text: str) -> None:
    """It has no backslash, dollar sign or TeX quotes."""
    assert to_unicode(text) == text


@given(tex | st.text())
@example(r"\textit{}")
@example("${}$")
def test_text_never_becomes_blank(text: str) -> None:
    """No text raises either."""
    assert bool(to_unicode(text).strip()) == bool(text.strip())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\'e", "é"),
        (r"\'{e}", "é"),
        (r"{\'e}t{\'{e}}", "été"),
        (r"\'{\i}\'\i", "íí"),
        (r"\"u\`a\^o\~n\=a\.z", "üàôñāż"),
        (r"\H{o} \v{C} \c{c} \k{a} \u{g} \r{a} \d{s}", "ő Č ç ą ğ å ṣ"),
        (r"\v C and \c c", "Č and ç"),
        (r"Aky\"urek, Fr\'echet, T\"ulu, Pok\'eLLMon", "Akyürek, Fréchet, Tülu, PokéLLMon"),
    ],
)
def test_accents(written: str, meant: str) -> None:
    """An accent in any notation becomes one composed letter."""
    assert to_unicode(written) == meant
    assert unicodedata.is_normalized("NFC", to_unicode(written))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\L{}ukasz {\L}ukasz", "Łukasz Łukasz"),
        (r"\O{} {\o} \AA, \ae.", "Ø ø Å, æ."),
        (r"Stra\ss e, S\o ren", "Straße, Søren"),
        (r"one\textemdash two\ldots and \dots", "one—two… and …"),
    ],
)
def test_special_letters(written: str, meant: str) -> None:
    """As in TeX, the space after the macro is dropped."""
    assert to_unicode(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        r"\vec x",
        r"\mone",
        r"C:\new\table",
        r"don\'t",
        r"\other{x}",
        "epsilon=8{255}",
        r"187 and \800",
        r"\\textbf",
        r"\emph{open",
        r"\textsuperscript{&}",
        "{D}en{o}ising",
        r"\[\foo\mathcal{N}\]",
    ],
)
def test_unknown_macros_stay_as_written(text: str) -> None:
    """So do incomplete ones."""
    assert to_unicode(text + r" \%") == text + " %"


def test_escapes() -> None:
    """An escaped character becomes that character."""
    assert (
        to_unicode(r"85.3\% \& \# \_ \{a\} 16\,FPS et al.\ x") == "85.3% & # _ {a} 16 FPS et al. x"
    )


def test_an_escaped_dollar_sign_does_not_start_a_formula() -> None:
    r"""`\$` is a dollar sign."""
    assert to_unicode(r"\$x$ and \$y") == "$x$ and $y"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\textit{a \textbf{b} {c}} d", "a b {c} d"),
        (r"\textsc{X}\texttt{y}\emph{z} \mathcal{O}(n)", "Xyz O(n)"),
        (r"{\em one} and {\bf two}", "one and two"),
        (r"MC\textsuperscript{2} H\textsubscript{2}O", "MC² H₂O"),
        (r"\mathbb{R} $\mathbb{Z}^n$", "ℝ ℤⁿ"),
    ],
)
def test_styles(written: str, meant: str) -> None:
    """A style macro is replaced by its content."""
    assert to_unicode(written) == meant


def test_quotes() -> None:
    """Only paired TeX quotes become quotation marks."""
    assert to_unicode("``one'' ``two 5'' it") == "“one” “two 5” it"
    assert to_unicode("```code``` ``") == "```code``` ``"
    assert to_unicode("``one") == "``one"
    assert to_unicode(r"one''\%") == "one''%"


@pytest.mark.parametrize(
    "text",
    [
        "roughly $20",
        "from $20 to $30 million",
        "$20-$30",
        "($5) and ($6)",
        "US$5 or so in A$",
        "$ x$ and $y $",
        "$$x$$",
        "$" + "x" * 301 + "$",
    ],
)
def test_money_is_not_a_formula(text: str) -> None:
    """Dollar signs that do not enclose a formula stay."""
    assert to_unicode(text) == text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SL$^{2}$A-INR", "SL²A-INR"),
        ("L$^2$M", "L²M"),
        (r"$\nabla^2$DFT", "∇²DFT"),
        (r"LLM$\times$MapReduce", "LLM×MapReduce"),
        (r"$\textit{Trans-LoRA}$: x", "Trans-LoRA: x"),
        (r"$\mathbf{W}_{\theta}^{2}$", "W_θ²"),
        ("$x_{max}$ $x_{max}y$ $x_{i+1}$", "x_max x_(max)y xᵢ₊₁"),
        ("$x^{(abc)}$ $x^{n:m}$ $x^{-1}$ $A^T$ $x^*$", "x^(abc) x^(n:m) x⁻¹ Aᵀ x*"),
        (r"$\sqrt{x}$ $\sqrt{x+1}$", "√x √(x+1)"),
        (r"$\frac{a}{b}$ $\frac{a+1}{b}$ $2\frac ab$", "a/b (a+1)/b 2(a/b)"),
        (r"$a\times b$ $a \le b$ $\sim 5$ 5$\pm$0.3 $<$5", "a × b a ≤ b ∼5 5±0.3 <5"),
        (r"$O(n\log n)$ $\log_2 n$ $90^\circ$", "O(n log n) log₂ n 90°"),
        (r"\(p\le 0.05\) $10\%$ $\{1,2\}$", "p ≤ 0.05 10% {1,2}"),
        (r"$\left(\bar{x}\right)$ $a\,b\quad c$ $\alpha x$", "(x̄) a b c αx"),
    ],
)
def test_formulas_become_plain_text(written: str, meant: str) -> None:
    """All their parts are known; the dollar signs are dropped."""
    assert to_unicode(written) == meant


@pytest.mark.parametrize(
    "text",
    [r"$\unknown{x}$", "$a}b{$", "$x_$", r"$\sqrt[3]{x}$", "$a & b$", r"\(\foo\)", r"$\hat{xy}$"],
)
def test_a_formula_with_an_unknown_part_stays_as_written(text: str) -> None:
    """The dollar signs stay too."""
    assert to_unicode(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        "\\",
        "$",
        "`",
        "'",
        "\\emph{",
        "{\\em ",
        "\\(",
        "\\' ",
        "\\v{",
        "${",
        "$x^{",
        "\\,",
    ],
)
def test_long_runs_take_linear_time(piece: str) -> None:
    """They do not cause deep recursion either."""
    assert to_unicode(piece * 30_000).strip()
    assert fingerprint(piece * 30_000)


def test_a_deeply_nested_formula_stays_as_written() -> None:
    """No real formula is nested as deeply."""
    text = "$" + "{" * 100 + "x" + "}" * 100 + "$"
    assert to_unicode(text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('T\\"ulu 3', "TÜLU 3"),
        (r"A $\phi$-Model", "a φ-model"),
        (r"A $\phi$-Model", "A ϕ model"),
        (r"A \phi-Model", "A φ model"),
        (r"$\textit{Some}$: Thing", "some  thing"),
        ("SL$^{2}$A", "SL²A"),
        ("SL^2A", "SL²A"),
        ("Łódź Ærø Straße Đ", r"\L{}\'od\'z \AE{}r\o{} STRASSE d"),
        (r"\unknown{Word} one", "Word, one!"),
        ("Ｗｉｄｅ", "wide"),
    ],
)
def test_spellings_of_one_title_have_the_same_key(one: str, other: str) -> None:
    """Case, punctuation, accents and TeX do not matter."""
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Qwen2", "Qwen2.5"),
        ("X", "X 2"),
        ("CodeT5", "CodeT5+"),
        ("C", "C#"),
        ("か", "が"),
        ("кран й", "кран и"),
        ("कि", "का"),
        ("שָׁ", "שׂ"),
        ("?!", "!!"),
    ],
)
def test_different_titles_have_different_keys(one: str, other: str) -> None:
    """Digits, `+`, `#` and the marks of other scripts matter."""
    assert fingerprint(one) != fingerprint(other)


def test_a_title_of_signs_is_its_own_key() -> None:
    """Case and white space are normalised."""
    assert fingerprint("  ∞ ?\t! ") == "∞ ? !"
    assert fingerprint(" ") == ""


@given(tex | st.text())
@example(r"\$\log-\log\$")
@example("﹨$")
def test_fingerprint_is_idempotent(title: str) -> None:
    """The key of a key is the key."""
    assert fingerprint(fingerprint(title)) == fingerprint(title)


@given(tex)
def test_white_space_does_not_matter(title: str) -> None:
    """White space of any kind and length is equal."""
    assert fingerprint(f" {title}\n".replace(" ", " \t\n")) == fingerprint(f" {title} ")


@given(st.text(alphabet="abcXYZ ÄÖéñŁ 123+#", min_size=1))
def test_case_does_not_matter(title: str) -> None:
    """Upper and lower case are equal."""
    assert fingerprint(title.upper()) == fingerprint(title.lower())


def test_similar_titles_of_different_papers_have_different_keys() -> None:
    """The titles are real."""
    if not PAIRS.exists():
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"the captures are missing: {PAIRS}")
    pairs = json.loads(PAIRS.read_text("utf-8"))
    alike = [
        (pair["a"]["title"], pair["b"]["title"])
        for pair in pairs
        if fingerprint(pair["a"]["title"]) == fingerprint(pair["b"]["title"])
    ]
    assert pairs
    assert alike == []
