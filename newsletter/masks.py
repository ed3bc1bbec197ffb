"""Hides the secrets in URLs wherever text leaves the process: output, logs, reports, errors.

Feeds and APIs are often protected by nothing but their URL. `masked` shows enough of it to
recognise the page, and nothing that gives access to it. Pure.

- The user name and the password are always hidden.
- The value of a parameter is hidden if its name says that it is secret, or if it looks random.
- A path segment is hidden if it looks random and is too long to be an id.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

MASK = "***"
"""Shown in place of a secret."""

_LONGEST_ID = 15  # characters; a value that looks random and is longer is a secret
_LONGEST_NAME = 23  # the same for a path segment, where ids and names are longer
_MOST_READ = 4_000  # characters; a longer value is hidden without being examined
_MOST_NESTED = 5  # URLs within a URL
_LONG = 24  # characters of letters and digits without a separator

# With one slash, it is a URL that was normalised like a path.
_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}://|https?:/(?!/))[^\s\"<>“”]+", re.IGNORECASE)
_TRAILING = ".,;:!?)]'’…"
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}:)?//[^/?#\\]*")
_HOST = re.compile(r"(?:[^@:\[\]]*|\[[^@\[\]]*\])(?::\d*)?")
_MISTYPED = re.compile(r"^(https?:)/?(?!/)", re.IGNORECASE)
_NO_SCHEME = re.compile(r"^[^/?#@:]+:[^/?#@]*@")
_PARAMETERS = re.compile(r"([?&#])([^&#]+)")
_IN_TEXT = re.compile(r"([?&])([^=?&#/\s]{1,200}=[^&#\s]*)")

_ADDRESS = re.compile(r"""(?:"[^"\s]*"|[^\s"'<>()\[\]:;,/@]+)@[^\s"'<>()\[\]:;,/@]+""")

_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|signature|credential|bearer|apikey|session|jwt|hmac"
    r"|auth(?!or(?!i))|key$"
)
_SECRET_WORDS = {"access", "keys", "otp", "pass", "pin", "private", "pw", "pwd", "sid", "sig"}
_SECRET_WORDS |= {"sign", "ticket"}
_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_RUN = re.compile(r"[A-Za-z0-9_~+/=-]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"(?=[0-9A-Fa-f]*[0-9])(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]+")
_INSTANT = re.compile(r"\d{8}T\d{4,6}Z?")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_UNPRONOUNCEABLE = re.compile(r"[^aeiouy\W\d_]{6}", re.IGNORECASE)


def masked(text: str) -> str:
    """Returns the text with the secrets in its URLs hidden. Other text is unchanged.

    Masking it again changes nothing.
    """
    if ":/" not in text:
        return _around(text) if "=" in text else text
    shown, end = "", 0
    for match in _URL.finditer(text):
        shown += _around(text[end : match.start()]) + _found(match)
        end = match.end()
    return shown + _around(text[end:])


def masked_url(url: str) -> str:
    """Returns an origin, which is a URL (even a malformed one) or a path, with secrets hidden."""
    url = _MISTYPED.sub(r"\1//", url)
    if _AUTHORITY.match(url):
        return _masked_url(url)
    return masked(_NO_SCHEME.sub(f"{MASK}@", url))


def without_addresses(text: str) -> str:
    """Returns the text with each email address hidden: of a server's reply that is kept."""
    return _ADDRESS.sub(lambda each: MASK + "." * each[0].endswith("."), text)


def _around(text: str) -> str:
    """Hides the values of parameters in text that is not a URL, but may be part of one."""
    return _IN_TEXT.sub(lambda each: each[1] + _pairs(each[2]), text)


def _found(match: re.Match[str]) -> str:
    url = match[0].rstrip(_TRAILING)
    return _masked_url(_MISTYPED.sub(r"\1//", url)) + match[0][len(url) :]


def _masked_url(url: str) -> str:
    start = _AUTHORITY.match(url)
    if start is None:
        return url
    head, rest = start[0], url[start.end() :]
    scheme, slashes, authority = head.partition("//")
    if not _HOST.fullmatch(authority.rpartition("@")[2]) and "@" in rest:
        # The text before the first slash is not a host, so the slash is part of a password.
        password, _, behind = rest.rpartition("@")
        host, *path = re.split("(?=[/?#])", behind, maxsplit=1)
        authority, rest = f"{authority}{password}@{host}", "".join(path)
    userinfo, at, host = authority.rpartition("@")
    return f"{scheme}{slashes}{MASK if userinfo else ''}{at}{host}{_masked_rest(rest)}"


def _masked_rest(rest: str) -> str:
    """Hides the secrets in a path and what follows it, including URLs of other pages."""
    if rest.count(":/") > _MOST_NESTED:
        return MASK
    rest = _URL.sub(_found, rest)
    found = re.search("[?#]", rest)
    end = found.start() if found else len(rest)
    path = "/".join(map(_path_part, rest[:end].split("/")))
    return path + _PARAMETERS.sub(lambda each: each[1] + _pairs(each[2]), rest[end:])


def _path_part(part: str) -> str:
    """Hides random-looking text in a path segment; a file extension stays."""
    part, sign, parameters = part.partition(";")
    return _name(part) + sign + _pairs(parameters)


def _name(part: str) -> str:
    plain = unquote(part)
    if not _looks_random(plain, _LONGEST_NAME):
        return part
    if plain != part:
        return MASK
    shown = _UUID.sub(MASK, part)
    return _RUN.sub(lambda run: MASK if _looks_random(run[0], _LONGEST_NAME) else run[0], shown)


def _pairs(text: str) -> str:
    """Hides the secrets in `name=value` pairs separated by `;`, or in a single value."""
    shown = []
    for pair in text.split(";"):
        name, sign, value = pair.partition("=")
        if value and _names_a_secret(unquote_plus(name)):
            shown.append(f"{name}={MASK}")
            break  # what follows may be part of the value
        if sign and not _is_secret(name):
            shown.append(name + sign + (MASK if _is_secret(value) else value))
        else:
            shown.append(MASK if _is_secret(pair) else pair)
    return ";".join(shown)


def _names_a_secret(name: str) -> bool:
    letters = re.sub(r"[^a-z]", "", name.lower())
    words = {word.lower() for word in _NAME_WORD.findall(name)}
    return bool(_SECRET_NAME.search(letters) or words & _SECRET_WORDS)


def _is_secret(value: str) -> bool:
    """Returns whether a value looks random, or is encoded and contains a secret."""
    if len(value) > _MOST_READ:
        return True
    plain = unquote_plus(value)
    return _looks_random(plain, _LONGEST_ID) or (plain != value and masked(plain) != plain)


def _looks_random(text: str, longest: int) -> bool:
    """Returns whether part of the text is longer than `longest` and looks like a random key."""
    runs = (run for run in _RUN.findall(text) if len(run) > longest)
    return bool(_UUID.search(text)) or any(_is_random(run, longest) for run in runs)


def _is_random(run: str, longest: int) -> bool:
    """Returns whether letters and digits alternate more often than in words, dates and versions."""
    pieces = re.findall("[A-Za-z0-9]+", _INSTANT.sub("", run))
    if any(len(piece) > longest and _is_key(piece) for piece in pieces):
        return True
    mixed = [piece for piece in pieces if len(_WORD.findall(piece)) > 2]
    length, words = sum(map(len, mixed)), sum(len(_WORD.findall(piece)) for piece in mixed)
    if 2 * length < longest or words < 4:
        return False
    one_case = run in (run.lower(), run.upper())
    return length < words * (6 if one_case else 4)


def _is_key(piece: str) -> bool:
    """Returns whether letters and digits without a separator are unlikely to be words."""
    if piece.isdigit() or _HEX.fullmatch(piece) or _UNPRONOUNCEABLE.search(piece):
        return True
    one_case = piece in (piece.lower(), piece.upper())
    return one_case and len(piece) >= _LONG and len(_WORD.findall(piece)) > 3
