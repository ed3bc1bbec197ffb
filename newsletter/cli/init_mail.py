"""The questions of `newsletter init` about how mail leaves, and the login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from newsletter.app import initial_setup
from newsletter.app.factories import smtp_password
from newsletter.app.initial_setup import Answers, Setup
from newsletter.cli.base import complain
from newsletter.cli.questions import ask, ask_secret, choose, valid
from newsletter.cli.terminal import say
from newsletter.config.schema import SmtpSection
from newsletter.config.values import LOOPBACK, name_and_address
from newsletter.errors import ConfigError
from newsletter.transports.base import SessionFailed
from newsletter.transports.mail_servers import (
    PROVIDERS,
    USUAL_PORTS,
    Provider,
    login_advice,
    provider_at,
    provider_of,
)

Settings = dict[str, str | int | None]
_SMTP = "transports.smtp."
_FILES = "Just files for now, which any mail program opens"
_SECURITIES = (
    ("tls", "tls: encrypted from the start, usually on port 465"),
    ("starttls", "starttls: encrypted after a greeting, usually on port 587"),
    ("none", "none: not encrypted, on this machine only"),
)


@dataclass(frozen=True, slots=True)
class MailAnswers:
    """How mail leaves.

    Attributes:
        settings: values by section and key; `None` removes one.
        password: a new password, or `None`.
    """

    settings: Settings = field(default_factory=dict)
    password: str | None = None


def answers(setup: Setup, given: Settings) -> MailAnswers:
    """Asks how mail leaves, and tries the login until it works or the answers are to be kept.

    Args:
        setup: the configuration, whose values are the suggestions.
        given: the settings from options and other questions.
    """
    _, address = name_and_address(str(given.get("newsletter.owner") or ""))
    if not address or given.get("delivery.transport") in ("eml", "maildir"):
        return MailAnswers()
    files = MailAnswers({"delivery.transport": "eml"})
    while True:
        found = _Questions(setup, given, address).asked()
        if found is None:
            return files
        if _logs_in(setup, {**given, **found.settings}, found.password):
            return found
        about = "The login does not work yet."
        ways = ["Answer these questions again", "Keep the answers anyway", _FILES]
        number = choose(about, ways, 0)
        if number:
            return found if number == 1 else files


class _Questions:
    """The questions about one mail server."""

    def __init__(self, setup: Setup, given: Mapping[str, str | int | None], address: str) -> None:
        self._given = given
        self._address = address
        self._current: SmtpSection = setup.found.config.transports.smtp
        self._sends_already = setup.found.config.delivery.transport == "smtp"
        self._settings: Settings = {"delivery.transport": "smtp"}
        self._provider: Provider | None = None

    def asked(self) -> MailAnswers | None:
        """Returns the answers; `None` if mail is to be written to files."""
        if self._option("host") is None:
            number = self._way()
            if number > len(PROVIDERS):
                return None
            self._provider = PROVIDERS[number] if number < len(PROVIDERS) else None
        if self._provider:
            server = self._provider
            self._set(host=server.host, port=server.port, security=server.security)
        else:
            self._own_server()
        return MailAnswers(self._settings, self._login())

    def _way(self) -> int:
        """Asks which server is used. Returns its number; providers come first."""
        ways = [f"{one.name}, with an {_credential(one)}" for one in PROVIDERS]
        known = provider_at(self._current.host) if self._sends_already else None
        known = known or (None if self._sends_already else provider_of(self._address))
        suggested = len(ways) + (0 if self._sends_already else 1)
        return choose(
            "How does mail leave this machine?",
            [*ways, "Another mail server", _FILES],
            PROVIDERS.index(known) if known else suggested,
        )

    def _own_server(self) -> None:
        host = self._option("host") or ask(
            "What is the name of the mail server that takes your mail (SMTP)?",
            "Server",
            self._current.host or "localhost",
            valid(SmtpSection, "host"),
        )
        self._provider = provider_at(str(host))
        security = self._option("security") or self._security(host in LOOPBACK)
        usual = self._current.port if host == self._current.host else USUAL_PORTS[str(security)]
        port = self._option("port") or ask(
            "Which port does it listen on?", "Port", str(usual), valid(SmtpSection, "port")
        )
        self._set(host=str(host), port=int(port), security=str(security))

    def _security(self, is_local: bool) -> str:
        allowed = _SECURITIES if is_local else _SECURITIES[:2]
        names = [name for name, _ in allowed]
        current = self._current.security if self._sends_already else names[-1 if is_local else 0]
        default = names.index(current) if current in names else 0
        return names[
            choose("How is the connection encrypted?", [line for _, line in allowed], default)
        ]

    def _login(self) -> str | None:
        """Asks for the login. Returns the new password, or `None`."""
        user = self._option("username")
        if user is None:
            is_local = not self._provider and self._settings[f"{_SMTP}host"] in LOOPBACK
            about = "What is the user name there? It is usually your address"
            about += "; a server on this machine often needs none." if is_local else "."
            default = self._current.username or ("" if is_local else self._address)
            user = ask(about, "User name", default)
        if not user:
            self._set(username=None, password=None, password_file=None, token_command=None)
            return None
        self._set(username=str(user))
        if self._option("password_file"):
            self._set(password=None, token_command=None)
            return None
        if self._wants_token():
            self._token()
            return None
        return self._password()

    def _wants_token(self) -> bool:
        if self._provider:
            return self._provider.login == "token"
        return bool(self._option("token_command") or self._current.token_command)

    def _token(self) -> None:
        advice = f"{self._provider.advice}\n" if self._provider else ""
        command = self._option("token_command") or ask(
            f"{advice}Which command prints the token?",
            "Command",
            self._current.token_command or f"oama access {self._address}",
            valid(SmtpSection, "token_command"),
        )
        self._set(token_command=command, password=None, password_file=None)

    def _password(self) -> str | None:
        about = f"{self._provider.advice}\n" if self._provider else ""
        is_kept = bool(self._current.password_file or self._current.password.get_secret_value())
        about += "It is kept in a file of its own that only you can read, and not shown here."
        label = "Password (Enter keeps the current one)" if is_kept else "Password"
        password = ask_secret(about, label.replace("P", "App p", 1) if self._provider else label)
        if not password and is_kept:
            return None
        self._set(password=None, token_command=None)
        return "".join(password.split()) if self._provider else password

    def _option(self, key: str) -> str | int | None:
        return self._given.get(f"{_SMTP}{key}")

    def _set(self, **settings: str | int | None) -> None:
        for key, value in settings.items():
            self._settings[f"{_SMTP}{key}"] = value


def _credential(provider: Provider) -> str:
    return "app password" if provider.login == "app password" else "access token (XOAUTH2)"


def _logs_in(setup: Setup, settings: Settings, password: str | None) -> bool:
    """Tries the login, and says how it went."""
    try:
        config = setup.config(Answers(settings, (), password))
        smtp = config.transports.smtp
        say()
        say(f"Connecting to {smtp.host}:{smtp.port} …")
        secret = smtp_password(config) if password is None else password
        initial_setup.try_login(smtp, secret)
    except ConfigError as error:
        complain(error)
        return False
    except SessionFailed as error:
        say(f"error: {error}", err=True)
        say(login_advice(error.reply.stage, smtp.host, smtp.port, smtp.security), err=True)
        return False
    say("The login works." if smtp.username else "The server answers.")
    return True
