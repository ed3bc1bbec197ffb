"""Ways to reach the owner when mail itself may be what is broken: a command, a URL, a ping.

Their settings may hold secrets, so a failure names the setting and never shows its value.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from email.header import Header
from time import monotonic

import httpcore2
import httpx2

from newsletter import __version__
from newsletter.config.schema import NewsletterSection
from newsletter.errors import one_line
from newsletter.sources.addresses import CheckedNetwork, Deadline

COMMAND_SECONDS = 60.0
"""The time limit of `alert_command`."""
REQUEST_SECONDS = 10.0
"""The time limit of a request to `alert_url` or `ping_url`."""
SUBJECT = "NEWSLETTER_ALERT"
"""The environment variable in which `alert_command` gets the subject."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a report that was given to the channels.

    Attributes:
        heard: whether at least one of them took it.
        faults: why the others did not; each names the setting.
    """

    heard: bool
    faults: tuple[str, ...]


class AlertChannels:
    """The configured channels.

    Args:
        section: the settings.
        command_seconds: the time limit of the command.
        request_seconds: the time limit of a request.
    """

    def __init__(
        self,
        section: NewsletterSection,
        command_seconds: float = COMMAND_SECONDS,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._command = section.alert_command.get_secret_value()
        self._url = section.alert_url.get_secret_value()
        self._ping_url = section.ping_url.get_secret_value()
        self._command_seconds = command_seconds
        self._request_seconds = request_seconds

    def __bool__(self) -> bool:
        return bool(self._command or self._url)

    @property
    def has_ping(self) -> bool:
        """Whether healthy runs are reported to a dead-man switch."""
        return bool(self._ping_url)

    def tell(self, subject: str, text: str) -> Told:
        """Gives a report to each configured channel."""
        outcomes = []
        if self._command:
            fault = _run(self._command, subject, text, self._command_seconds)
            outcomes.append(_named("alert_command", fault))
        if self._url:
            headers = {"Title": _header(subject), "Content-Type": "text/plain; charset=utf-8"}
            fault = _request("POST", self._url, headers, text.encode(), self._request_seconds)
            outcomes.append(_named("alert_url", fault))
        faults = tuple(filter(None, outcomes))
        return Told(len(faults) < len(outcomes), faults)

    def ping(self) -> str:
        """Requests `ping_url`. Returns why that failed; empty if it did not."""
        return _named("ping_url", _request("GET", self._ping_url, {}, b"", self._request_seconds))


def _named(key: str, fault: str) -> str:
    return f"newsletter.{key}: {fault}" if fault else ""


def _header(subject: str) -> str:
    """Returns the subject as a header's value; encoded (RFC 2047) if it is not ASCII."""
    line = one_line(subject)
    return line if line.isascii() else Header(line, "utf-8", maxlinelen=10_000).encode()


def _run(command: str, subject: str, text: str, seconds: float) -> str:
    """Runs the command. Returns why it failed; empty if it did not."""
    try:
        process = subprocess.Popen(  # noqa: S603  # the operator's own command
            shlex.split(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # ours has the run's own output
            env={**os.environ, SUBJECT: one_line(subject)},
            start_new_session=True,  # so that what it started can be ended with it
        )
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        return f"the command cannot be started ({reason}); check that it exists and is executable"
    with process:
        try:
            process.communicate(text.encode(), seconds)
        except subprocess.TimeoutExpired:
            return f"the command did not finish within {seconds:g} s and was ended"
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return f"the command ended with status {process.returncode}" if process.returncode else ""


def _request(method: str, url: str, headers: dict[str, str], body: bytes, seconds: float) -> str:
    """Sends a request. Returns why it failed; empty if the server answered with success.

    In a thread of its own, because the lookup of a host name has no time limit.
    """
    faults = [f"no answer within {seconds:g} s; check the server and the network"]
    done = threading.Event()

    def exchange() -> None:
        try:
            faults[0] = _exchange(method, url, headers, body, monotonic() + seconds)
        except (httpx2.InvalidURL, ValueError):
            faults[0] = "the URL cannot be used; check it"
        finally:
            done.set()

    threading.Thread(target=exchange, name="alert", daemon=True).start()
    done.wait(seconds)
    return faults[0]


def _exchange(method: str, url: str, headers: dict[str, str], body: bytes, ends: float) -> str:
    target = httpx2.URL(url)
    own = {
        "Host": target.netloc.decode("ascii"),
        "User-Agent": f"paper-newsletter/{__version__}",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    limit = Deadline(REQUEST_SECONDS, ends, monotonic)
    network = CheckedNetwork(socket.getaddrinfo, allow_private=True)
    where = httpcore2.URL(
        scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
    )
    try:
        with (
            httpcore2.ConnectionPool(network_backend=network) as pool,
            pool.stream(
                method,
                where,
                headers=[(name.encode(), said.encode()) for name, said in (own | headers).items()],
                content=body,
                extensions={"timeout": dict.fromkeys(("connect", "read", "write"), limit)},
            ) as response,
        ):
            status = response.status
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        return _failure(error)
    if 300 <= status < 400:
        return f"the server answered {status}, and redirects are not followed; write the final URL"
    return "" if 200 <= status < 300 else f"the server answered {status}; check the URL"


def _failure(error: Exception) -> str:
    """Returns why an exchange failed, without the host name, which may be part of the secret."""
    cause = error.args[0] if error.args else error
    if isinstance(error, httpcore2.TimeoutException):
        return "the server did not answer in time; check the server and the network"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "the server's certificate is not valid; check this machine's clock and certificates"
    if isinstance(cause, socket.gaierror | UnicodeError):
        return "the host name is not found; check the URL and the network"
    if isinstance(error, httpcore2.ProtocolError):
        return "the answer is no HTTP; check the URL"
    return "the connection failed; check the server and the network"
