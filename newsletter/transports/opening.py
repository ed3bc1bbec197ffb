"""Opens connections to a mail server: connected, secured and logged in, or an error.

If TLS is configured, there is no fallback to an unencrypted connection, and no password is ever
sent over one. Login is by password (PLAIN, LOGIN) or by token (XOAUTH2). It is done here because
`smtplib` supports only ASCII user names and passwords.
"""

from __future__ import annotations

import binascii
import contextlib
import re
import shlex
import smtplib
import ssl
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path

from newsletter.config.values import LOOPBACK
from newsletter.transports.base import SessionFailed
from newsletter.transports.replies import NO_LOGIN, Reply, ReplyKind, Stage, classify, without_reply
from newsletter.transports.wire import BROKEN, SmtpSettings, Wire, words_for

_HINTS: dict[Stage, str] = {
    "connect": "check host, port and security under [transports.smtp], and the network",
    "starttls": "check host and security under [transports.smtp]; mail is never sent unencrypted",
    "auth": "check username and password or token under [transports.smtp]",
}


class _Unacceptable(Exception):
    """The server or the configuration does not meet the requirements for sending."""


def opened(
    settings: SmtpSettings, stop: threading.Event | None, clock: Callable[[], float]
) -> Wire:
    """Opens a connection that is ready to send mail.

    Raises:
        SessionFailed: the connection could not be opened.
    """
    opening = _Opening(settings, stop, clock)
    try:
        return opening.run()
    except BaseException as error:
        opening.abandon()
        reply = _failure(opening.stage, error)
        if reply is None:
            raise
        where = f"{settings.host}:{settings.port}"
        hint = _HINTS.get(opening.stage, "")
        raise SessionFailed(reply, where=where, hint=hint, may_pass=_may_pass(error)) from error


class _Opening:
    """The steps of opening a connection; `stage` is the current one."""

    def __init__(
        self, settings: SmtpSettings, stop: threading.Event | None, clock: Callable[[], float]
    ) -> None:
        self.stage: Stage = "connect"
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._wire: Wire | None = None

    def run(self) -> Wire:
        settings = self._settings
        if not settings.host:
            raise _Unacceptable("no host is configured")
        if settings.security == "none" and settings.host not in LOOPBACK:
            raise _Unacceptable('security = "none" is for this machine itself only')
        wire = self._wire = Wire(settings, _tls(settings.ca_file), self._stop, self._clock)
        self._greet(wire)
        if settings.security not in ("tls", "none"):
            self.stage = "starttls"
            wire.secure()
            self._greet(wire)
        if settings.username or settings.token_command:
            self.stage = "auth"
            _log_in(wire, settings)
        return wire

    def abandon(self) -> None:
        """Closes the connection, if there is one."""
        if self._wire is not None:
            with contextlib.suppress(OSError):
                self._wire.close()

    def _greet(self, wire: Wire) -> None:
        self.stage = "ehlo"
        code, text = wire.ehlo()
        if not 200 <= code < 300:
            raise smtplib.SMTPResponseException(code, text)


def _failure(stage: Stage, error: BaseException) -> Reply | None:
    """Returns the error as a reply, or `None` for a bug or an interrupt."""
    if isinstance(error, smtplib.SMTPResponseException):
        reason = error.smtp_error
        text = reason if isinstance(reason, str) else reason.decode("utf-8", "replace")
        return classify(stage, error.smtp_code, text)
    if ours := _our_fault(error):
        return without_reply(ReplyKind.OURS, stage, ours)
    if isinstance(error, BROKEN):
        return without_reply(ReplyKind.LOST, stage, words_for(error))
    return None


def _may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed. A login that is refused twice may lock the account.

    Behind one name there may be several servers, so a bad handshake or greeting may pass.
    """
    if isinstance(error, smtplib.SMTPResponseException):
        is_login = isinstance(error, smtplib.SMTPAuthenticationError)
        return error.smtp_code not in NO_LOGIN and not (is_login and error.smtp_code >= 500)
    return not isinstance(error, _Unacceptable | UnicodeError)


def _our_fault(error: BaseException) -> str:
    """Describes what the operator has to fix; empty if the error may be temporary."""
    if isinstance(error, _Unacceptable):
        return str(error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the server does not offer STARTTLS"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and not isinstance(
        error, ssl.SSLEOFError | ssl.SSLZeroReturnError
    ):
        return f"TLS with the server failed: {error.reason or error}"
    if isinstance(error, UnicodeError):
        return f"the host name is not valid: {error}"
    return ""


def _tls(ca_file: str | Path | None) -> ssl.SSLContext:
    try:
        return _context(ca_file)
    except OSError as error:
        raise _Unacceptable(f"{ca_file}: {words_for(error)}") from error


@cache  # reading the system's certificates takes 20 ms
def _context(ca_file: str | Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _log_in(wire: Wire, settings: SmtpSettings) -> None:
    """Logs in, over TLS only.

    Raises:
        SMTPAuthenticationError: the server rejects the login.
        _Unacceptable: there is no TLS, or the server offers no supported login method.
        OSError: the connection ended.
        ReplyBroken: the server's answer is malformed.
    """
    if not isinstance(wire.sock, ssl.SSLSocket):
        raise _Unacceptable(
            "there is a username but no TLS; a password is never sent in clear text"
        )
    offered = str(wire.esmtp_features.get("auth", "")).upper().split()
    user, password = settings.username, settings.password
    if settings.token_command and "XOAUTH2" in offered:
        token = _token(settings.token_command, settings.timeout)
        proof = _base64(f"user={user}\x01auth=Bearer {token}\x01\x01")
        _exchange(wire, f"XOAUTH2 {proof}", "", hidden=token)  # "" ends a failed exchange
    elif settings.token_command:
        raise _Unacceptable("the server offers no login by token (XOAUTH2)")
    elif "PLAIN" in offered:
        _exchange(wire, "PLAIN " + _base64(f"\0{user}\0{password}"), hidden=password)
    elif "LOGIN" in offered:
        _exchange(wire, "LOGIN", user, password, hidden=password)
    else:
        raise _Unacceptable("the server offers no login by password (PLAIN or LOGIN)")


def _exchange(wire: Wire, start: str, *answers: str, hidden: str) -> None:
    """Sends an AUTH command, and `answers` to the server's challenges.

    Args:
        start: the mechanism and its initial response, if it has one.
        hidden: the secret they contain, never shown even if the server repeats it.

    Raises:
        SMTPAuthenticationError: the login did not succeed.
    """
    code, text = wire.docmd("AUTH", start)
    challenge = b""
    for answer in answers:
        if code != 334:
            break
        challenge = text
        code, text = wire.docmd(_base64(answer))
    if not 200 <= code < 300:
        reason = text + _explanation(challenge)
        for secret in (start.partition(" ")[2], _base64(hidden), hidden):
            reason = reason.replace(secret.encode(), b"[hidden]") if secret else reason
        raise smtplib.SMTPAuthenticationError(code, reason)


def _explanation(challenge: bytes) -> bytes:
    """Returns a server's reason for rejecting a token: JSON in its challenge, empty if none."""
    with contextlib.suppress(binascii.Error):
        decoded = b64decode(challenge, validate=True)
        return b" " + decoded if decoded.startswith(b"{") else b""
    return b""


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _token(command: str, timeout: float) -> str:
    """Returns the first line that the command prints. The command inherits our stderr.

    Raises:
        _Unacceptable: there is no token. The error omits the command, which may contain a secret.
    """
    try:
        done = subprocess.run(  # noqa: S603  # the operator's own command
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=timeout,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise _Unacceptable(f"token_command exited with status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise _Unacceptable(f"token_command did not finish within {timeout:g} s") from None
    except (OSError, ValueError, IndexError) as error:
        raise _Unacceptable(f"token_command cannot be run: {words_for(error)}") from None
    token = done.stdout.split(b"\n", 1)[0].strip().decode("ascii", "replace")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise _Unacceptable("the first line that token_command prints is not a token")
    return token
