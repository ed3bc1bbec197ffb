"""Excerpts of abstracts: a few sentences, beginning with what the authors did. Pure.

Nine abstracts in ten open with background. The excerpt opens with the sentence that states
what the authors made or found. It is never reworded: it is a piece of the abstract, with
` …` where a sentence had to be cut.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left

_CUT = " …"
_STOPS = ".!?…।؟۔"
_CLOSERS = ")\\]}\"'’”»」』）】"
_OPENERS = (
    r"(?:We|Our|This|These|That|The|There|In|To|It|Its|However|While|Here|For|By|On|With|At|As|And"
    r"|But|Yet|Moreover|Furthermore|Additionally|Although|Despite|Unlike|Such|A|An|Finally|Existing"
    r"|Recent|Experiments|Results|Code|Through|Using|Both|When|Thus|Therefore|Specifically"
    r"|Extensive|First|Then|Next)\b"
)
_BEGINNING = re.compile(_OPENERS)
_ENDS = re.compile(
    rf"(?<![{_STOPS}{_CLOSERS}])[{_STOPS}{_CLOSERS}]++(?=\s)"  # the whole run, once
    rf"|[。！？]+[{_CLOSERS}]*"  # these need no space after them
    rf"|(?<=[a-z)]{{2}})\.(?={_OPENERS}\s)"  # a missing space
)
# After these a sentence continues, whatever follows.
_INSIDE = re.compile(
    r"(?:^|[\s(\[“\"'~–—-])(?:e\.?\s?g|i\.?\s?e|c\.?f|vs|v\.s|w\.?\s?r\.?\s?t|w\.l\.o\.g|s\.t|a\.k\.a"
    r"|figs?|eqs?|secs?|sect|tabs?|refs?|chap|ch|alg|thm|def|nos?|vol|pp|approx|resp|ca|viz|incl"
    r"|esp|dr|prof|mr|mrs|ms|st|jr|dept|univ)\.$",
    re.IGNORECASE,
)
# After these it continues unless the next word looks like a beginning.
_PERHAPS = re.compile(r"(?:^|[\s(\[])(?:et al|etc|inc|ltd|co|corp|(?:[A-Z]\.)*[A-Z])\.$")
_NUMBER_ONLY = re.compile(r"\(?(?:\d{1,2}|[ivx]{1,4})\)?\.")
# Sentences neither end nor are cut inside these.
_FORMULA = re.compile(
    r"\$(?![\s$])(?:[^$\\]|\\.){1,300}+(?<!\s)\$(?![\d$])|\\\((?:[^\\]|\\[^()]){1,300}+\\\)"
)
_URL = re.compile(
    r"(?:https?://|www\.)\S+|\b[\w-]{1,60}(?:\.[\w-]{1,60}){0,4}\.(?:com|org|io|net|ai|edu)/\S+"
)
_WHOLE = re.compile(f"{_FORMULA.pattern}|{_URL.pattern}")


def sentences(text: str) -> list[str]:
    """Splits the text into sentences, unchanged except for surrounding white space."""
    return [text[start:end] for start, end in _spans(text)]


def _spans(text: str) -> list[tuple[int, int]]:
    """Returns the start and end of each sentence."""
    formulas = _ranges_of(_FORMULA, text)
    spans, start = [], _skip_space(text, 0)
    for match in _ENDS.finditer(text):
        end = match.end()
        if end <= start or _inside(formulas, end) or not _ends_here(text, start, end, match[0]):
            continue
        spans.append((start, end))
        start = _skip_space(text, end)
    if start < len(text):
        spans.append((start, start + len(text[start:].rstrip())))
    return spans


def _ends_here(text: str, start: int, end: int, signs: str) -> bool:
    """Returns whether the `signs` before `end` end the sentence that begins at `start`."""
    if not any(stop in signs for stop in _STOPS + "。！？"):
        return False
    if not text[end : end + 1].isspace():
        return True
    if _NUMBER_ONLY.fullmatch(text, start, end):
        return False
    following = _skip_space(text, end)
    after = text[following : following + 40]
    before = text[max(start, end - 12) : end]
    if _INSIDE.search(before):
        return False
    if _PERHAPS.search(before):
        return bool(_BEGINNING.match(after))
    return not _continues(after)


def _continues(after: str) -> bool:
    """Returns whether `after` continues a sentence: a lower-case word or punctuation.

    Names like "mT5" and "gpt-4" may begin a sentence.
    """
    word = after.split(maxsplit=1)[0] if after.strip() else ""
    return (word.isalpha() and word.islower()) or word[:1] in (",", ";", ":")


def excerpt(abstract: str, limit: int) -> str:
    """Returns at most `limit` characters of the abstract, from what the authors did onwards.

    The excerpt has as many whole sentences as fit. A first sentence that is too long is cut
    at a word and ends in ` …`. The excerpt is empty if nothing readable fits.
    """
    abstract = abstract[: limit + _LONGEST_ABSTRACT]
    spans = _spans(abstract)
    if not spans:
        return ""
    chosen = _choose([abstract[start:end] for start, end in spans[:_MOST_SENTENCES]])
    start = spans[chosen][0]
    fitting = [end for _, end in spans[chosen:] if end - start <= limit]
    if fitting:
        return abstract[start : fitting[-1]]
    return _shortened(abstract[slice(*spans[chosen])], limit)


_WE = (
    r"(?:\bwe\b|\bthis\s+(?:\w+\s+)?(?:paper|work|study|article|report|survey|thesis|tutorial|letter"
    r"|position|note)\b|\bthe\s+(?:present\s+)?(?:paper|authors)\b|\bthe\s+present\s+(?:work|study)\b"
    r"|\bour\s+(?:paper|work|study)\b)"
)
# "we, for the first time, formally define and propose", but not across a clause.
_GAP = (
    r"(?:,?\s+(?!(?:not|never|that|which|how|whether|show|find|when|as|if)\b)[\w’'-]+){0,4}?,?\s+"
)
_MADE = (
    r"(?:introduc|propos|present|releas|develop|build|design|describ|creat|construct|contribut"
    r"|devis|curat|unveil|establish)(?:e|s|es|t|ing)?"
)
_MADE_PAST = r"(?:introduced|proposed|presented|developed|built|designed|described|created)"
_FOUND = (
    r"(?:show|find|study|studi|ask|demonstrat|investigat|explor|examin|analy[sz]|argu|evaluat|prov"
    r"|address|formali[sz]|formulat|conduct|identif|report|compar|revisit|reveal|tackl|review"
    r"|survey|focus|consider|train|measur|observ|characteri[sz]|aim|adopt|use|provid|offer|extend"
    r"|test|derive|discover|uncover|quantif|assess|pursu|rethink|leverag)\w*"
)
_MAKE = r"(?:introduce|propose|present|release|develop|build|design|describe)"
_MAKING = r"(?:introducing|proposing|presenting|releasing|developing|building|designing)"
_STRONG = re.compile(
    rf"{_WE}{_GAP}{_MADE}\b|\bwe\s+(?:have\s+)?{_MADE_PAST}\b|\bhave\s+{_MADE_PAST}\b"
    # "we formulate … as … and propose", "we take a step … by introducing"
    rf"|\bwe\s[^.;:]{{1,120}}\b(?:and\s+(?:\w+ly\s+)?{_MAKE}|by\s+{_MAKING})\b"
    rf"|\bthis\s+(?:paper|work|study)\b.{{1,120}}\b(?:is|are)\s+{_MADE_PAST}\b",
    re.IGNORECASE,
)
_ANY = re.compile(
    rf"{_WE}{_GAP}{_FOUND}\b|\bthis\s+(?:paper|work|study|report|survey)\b|\bour\b", re.IGNORECASE
)
# Saying where to get the code is not a contribution, although the code is "released".
_RELEASE = re.compile(
    rf"{_WE}{_GAP}(?:releas\w*|open-sourc\w*|make)\s+(?:(?:all|our|the|its|full|source|both)\s+)*"
    r"(?:code|data|models?|datasets?|weights|checkpoints?|materials?|implementation|everything)\b"
    r"|\b(?:code|data|datasets?|models?|weights)\b.{1,80}\bavailable\b",
    re.IGNORECASE,
)


_EXAMINED = 600  # characters of a sentence that are examined
_MOST_SENTENCES = 200  # of an abstract
_LONGEST_ABSTRACT = 100_000  # characters
_LONGEST_FORMULA = 1_000  # characters after the limit that are searched for what must not be cut
# Sentences with these openings follow on from something that should be read first.
_SEQUEL = re.compile(
    r"(?:Second|Third|Fourth|Finally|Lastly|Moreover|Furthermore|Additionally|In addition)\b"
    r"|Specifically\b|Beyond\s+this\b|We\s+(?:also|further|additionally|then|finally|do\s+not)\b",
)


def _choose(candidates: list[str]) -> int:
    """Returns the index of the sentence to begin with."""
    candidates = [text[:_EXAMINED] for text in candidates]
    opening = [number for number, text in enumerate(candidates) if not _SEQUEL.match(text)]
    for numbers in (opening, range(len(candidates))):
        for wanted in (_STRONG, _ANY):
            for number in numbers:
                if wanted.search(candidates[number]) and not _RELEASE.search(candidates[number]):
                    return number
    return 0


def _shortened(sentence: str, limit: int) -> str:
    """Cuts the sentence at the end of a word and appends ` …`."""
    room = limit - len(_CUT)
    whole = _ranges_of(_WHOLE, sentence[: limit + _LONGEST_FORMULA])
    for at in range(room, 0, -1):
        if _may_cut(sentence, at) and not _inside(whole, at):
            kept = _tidy(sentence[:at])
            return kept + _CUT if kept else ""
    return _broken(sentence, room, whole)


def _broken(sentence: str, room: int, whole: list[tuple[int, int]]) -> str:
    """Breaks a very long word between characters, unless it is a URL or a formula."""
    at = room
    while at > 0 and unicodedata.combining(sentence[at]):
        at -= 1
    return sentence[:at] + _CUT if at > 0 and not _inside(whole, at) else ""


def _may_cut(text: str, at: int) -> bool:
    """Returns whether a cut may be made: at white space, or between unspaced wide characters."""
    return text[at].isspace() or (
        unicodedata.east_asian_width(text[at]) in "WF"
        and unicodedata.east_asian_width(text[at - 1]) in "WF"
    )


def _tidy(kept: str) -> str:
    """Removes the comma or the opening bracket that a cut leaves at the end."""
    return kept.rstrip(" \t\n,;:—–-([{“„‘«「『（、，；：")


def _ranges_of(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    return [match.span() for match in pattern.finditer(text)]


def _inside(ranges: list[tuple[int, int]], at: int) -> bool:
    """Returns whether `at` is strictly inside one of the sorted ranges."""
    before = bisect_left(ranges, (at,)) - 1
    return before >= 0 and ranges[before][1] > at


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
