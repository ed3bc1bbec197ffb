"""Questions on the terminal: each says what it is for, and Enter accepts the suggestion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from pydantic import BaseModel, ValidationError

from newsletter.cli.terminal import say
from newsletter.config.problems import in_words
from newsletter.errors import printable


def ask(about: str, label: str, default: str, check: Callable[[str], object] = str) -> str:
    """Returns the answer to a question; empty if a hyphen is typed.

    Args:
        about: what the answer is for, as one or two sentences.
        label: a word or two before the answer.
        default: the answer if only Enter is pressed. It may be empty.
        check: raises `ValueError` with what to write instead if an answer is not valid.
    """
    _introduce(about)
    answer: str = click.prompt(
        label, default=default, show_default=bool(default), value_proc=_checked(check)
    )
    return "" if answer == "-" else answer


def ask_secret(about: str, label: str, *, required: bool) -> str:
    """Returns a secret, which is not shown as it is typed.

    Args:
        about: what the secret is for.
        label: a word or two before it.
        required: whether to ask again while it is empty.
    """
    _introduce(about)
    answer = ""
    while not answer:
        answer = click.prompt(label, default="", show_default=False, hide_input=True).strip()
        if not required:
            break
    return answer


def choose(about: str, choices: Sequence[str], default: int) -> int:
    """Returns the index of the choice that was made.

    Args:
        about: what is to be chosen.
        choices: one line each.
        default: the index of the choice if only Enter is pressed.
    """
    _introduce(about)
    for number, choice in enumerate(choices, 1):
        say(f"  {number}  {choice}")
    numbers = [str(number) for number in range(1, len(choices) + 1)]

    def chosen(answer: str) -> str:
        if answer.strip() not in numbers:
            raise click.UsageError(f"type a number from 1 to {numbers[-1]}")
        return answer.strip()

    answer: str = click.prompt("Number", default=numbers[default], value_proc=chosen)
    return int(answer) - 1


def confirm(question: str) -> bool:
    """Returns whether the answer is yes, which it is if only Enter is pressed."""
    say()
    return click.confirm(question, default=True)


def valid(section: type[BaseModel], key: str) -> Callable[[str], None]:
    """Returns a check of answers for a key of the configuration. It raises `ValueError`."""

    def check(answer: str) -> None:
        try:
            section.model_validate({key: answer})
        except ValidationError as exc:
            about = [line for line in in_words(exc) if line.startswith(f"{key}: ")]
            if about:  # other keys are not asked for yet
                raise ValueError(about[0].removeprefix(f"{key}: ")) from exc

    return check


def _checked(check: Callable[[str], object]) -> Callable[[str], str]:
    def checked(answer: str) -> str:
        answer = answer.strip()
        try:
            check("" if answer == "-" else answer)
        except ValueError as wrong:
            raise click.UsageError(printable(f"“{answer}”: {wrong}")) from wrong
        return answer

    return checked


def _introduce(about: str) -> None:
    say()
    for line in about.splitlines():
        say(line)
