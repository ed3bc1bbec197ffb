"""TeX macros and their Unicode signs: tables for the `tex` modules, no logic."""

from __future__ import annotations

MARKS = {  # accent macro: combining mark
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    "u": "\u0306",
    ".": "\u0307",
    '"': "\u0308",
    "r": "\u030a",
    "H": "\u030b",
    "v": "\u030c",
    "d": "\u0323",
    "c": "\u0327",
    "k": "\u0328",
}
MATHS_MARKS = {
    "hat": "\u0302",
    "widehat": "\u0302",
    "tilde": "\u0303",
    "widetilde": "\u0303",
    "bar": "\u0304",
    "dot": "\u0307",
    "ddot": "\u0308",
    "vec": "\u20d7",
}


def words(text: str) -> frozenset[str]:
    """Returns the words of a text as a set."""
    return frozenset(text.split())


def table(text: str) -> dict[str, str]:
    """Converts `"a b c d"` to `{"a": "b", "c": "d"}`."""
    halves = text.split()
    return dict(zip(halves[::2], halves[1::2], strict=True))


LETTERS = table("ss ß o ø O Ø l ł L Ł ae æ AE Æ oe œ OE Œ aa å AA Å i ı j ȷ dh ð th þ")
SIGNS = table(
    "textemdash — textendash – textregistered ® texttrademark ™ textdegree ° textasciitilde ~"
    " ldots … dots …"
)
GREEK = table(
    "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι"
    " kappa κ lambda λ mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ"
    " upsilon υ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π"
    " Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω"
)
SYMBOLS = table(  # written next to what they belong to
    "infty ∞ nabla ∇ partial ∂ forall ∀ exists ∃ sum ∑ prod ∏ int ∫ ell ℓ dagger † ddagger ‡"
    " ldots … cdots ⋯ dots … vdots ⋮ langle ⟨ rangle ⟩ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋ hbar ℏ"
    " emptyset ∅ varnothing ∅ top ⊤ bot ⊥ prime ′ neg ¬ lnot ¬ Re ℜ Im ℑ degree ° triangle △"
    " square □ checkmark ✓ lvert | rvert | lVert ‖ rVert ‖ vert | Vert ‖ S § aleph ℵ angle ∠"
)
OPERATORS = table(  # written between two operands
    "times × cdot · pm ± mp ∓ div ÷ le ≤ leq ≤ leqslant ≤ ge ≥ geq ≥ geqslant ≥ ne ≠ neq ≠ ll ≪"
    " gg ≫ approx ≈ sim ∼ simeq ≃ cong ≅ equiv ≡ propto ∝ to → rightarrow → longrightarrow ⟶"
    " leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ implies ⇒ Leftarrow ⇐ Leftrightarrow ⇔"
    " iff ⇔ mapsto ↦ uparrow ↑ downarrow ↓ in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃"
    " supseteq ⊇ cup ∪ cap ∩ setminus ∖ land ∧ wedge ∧ lor ∨ vee ∨ oplus ⊕ otimes ⊗ odot ⊙ circ ∘"
    " star ⋆ ast ∗ bullet • mid | parallel ∥ perp ⊥ colon : lt < gt > triangleq ≜ lesssim ≲"
    " gtrsim ≳ prec ≺ succ ≻"
)
NAMES = words(
    "arccos arcsin arctan arg argmax argmin cos cosh cot det dim exp gcd hom inf ker lim liminf"
    " limsup ln log max min mod Pr sec sin sinh sup tan tanh"
)
SPACES = {",": " ", ";": " ", ":": " ", " ": " ", "!": "", "quad": " ", "qquad": " "}
ESCAPED = {character: character for character in "%&#_{}$"}
DROPPED = words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr middle"
    " displaystyle textstyle limits nolimits"
)
STYLES = words(
    "text textit textbf textsc texttt textrm textsf textsl textup textmd textnormal emph underline"
    " mathrm mathbf mathit mathsf mathtt mathcal mathscr mathfrak mathnormal operatorname"
    " boldsymbol bm pmb mbox hbox url"
)
DECLARATIONS = "em|it|bf|sc|tt|sf|rm|sl|(?:it|sc|sl)shape|bfseries|ttfamily"
BLACKBOARD = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ1", "𝔸𝔹ℂ𝔻𝔼𝔽𝔾ℍ𝕀𝕁𝕂𝕃𝕄ℕ𝕆ℙℚℝ𝕊𝕋𝕌𝕍𝕎𝕏𝕐ℤ𝟙", strict=True))
RAISED = {
    **dict(zip("0123456789+-−=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾", strict=True)),
    **dict(zip("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True)),
    **dict(zip("ABDEGHIJKLMNOPRTUVW", "ᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂ", strict=True)),
    "*": "*",
    "′": "′",
    "†": "†",
    "∘": "°",
    "⊤": "ᵀ",
}
LOWERED = {
    **dict(zip("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎", strict=True)),
    **dict(zip("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True)),
}
