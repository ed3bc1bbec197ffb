"""The files in `deploy/`, tested as far as possible without Docker, systemd and GitHub.

The Dockerfile's commands run in a folder, systemd's own checker reads the units, and the
workflow's steps run in the same shell with a local repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ruamel.yaml import YAML

from newsletter import __version__
from newsletter.cli import cli
from newsletter.papers.parser_process import Limits
from newsletter.papers.parsers import AT_MOST
from tests.support.ports import free_port

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
UNITS = ("newsletter.service", "newsletter-run.service", "newsletter-run.timer")
GUIDE = (DEPLOY / "README.md").read_text("utf-8")


def missing(tool: str) -> None:
    """Fails the test in CI, which installs all tools; skips it elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{tool} is missing")
    pytest.skip(f"{tool} is not installed here")


def loaded(name: str) -> Any:
    """Returns the content of a YAML file in `deploy/`."""
    return YAML(typ="safe").load(DEPLOY / name)


# --- the image


@dataclass(frozen=True)
class Stage:
    """A stage of a Dockerfile: its base image, its name, and its instructions."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """Returns the arguments of all instructions of this kind."""
        return [text for kind, text in self.steps if kind == word]

    def last(self, word: str) -> str:
        """Returns the arguments of the last one, which is effective."""
        return self.all(word)[-1]

    def copied(self) -> Iterator[tuple[list[str], str]]:
        """Yields the sources and the target of each copy from the repository."""
        for text in self.all("COPY"):
            if not text.startswith("--from="):
                *sources, target = text.split()
                yield sources, target

    def environment(self) -> dict[str, str]:
        """Returns the environment variables that it sets."""
        pairs = (pair.split("=", 1) for text in self.all("ENV") for pair in text.split())
        return {name: value for name, value in pairs}  # noqa: C416  # the pairs are lists


def stages() -> list[Stage]:
    """Returns the stages of the Dockerfile."""
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif word:
            found[-1].steps.append((word, rest.strip()))
    return found


BUILD, IMAGE = stages()


def is_sent(path: str) -> bool:
    """Returns whether `.dockerignore` lets the builder read a file: the last match decides."""
    sent = True
    paths = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        anywhere = pattern.removeprefix("**/")
        for place in paths:
            hit = place.match(anywhere) if anywhere != pattern else fnmatchcase(str(place), pattern)
            if hit:
                sent = line.startswith("!")
    return sent


def test_the_image_is_built_from_files_of_the_repository() -> None:
    """All copied files exist and are sent to the builder; other files are not."""
    copied = {source for sources, _ in BUILD.copied() for source in sources}
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert is_sent(source), source
    others = [".git/config", "tests/conftest.py", "config.toml", "newsletter.db", "smtp-password"]
    others += ["newsletter/cli/__pycache__/base.cpython-313.pyc", "docs/design.md"]
    assert not [path for path in others if is_sent(path)]
    here = (path.relative_to(REPOSITORY) for path in [*REPOSITORY.iterdir(), *DEPLOY.iterdir()])
    assert {path.as_posix() for path in here if is_sent(path.as_posix())} == copied
    inside = (p for name in copied for p in [REPOSITORY / name, *(REPOSITORY / name).rglob("*")])
    size = sum(
        p.stat().st_size
        for p in inside
        if p.is_file() and is_sent(p.relative_to(REPOSITORY).as_posix())
    )
    assert size < 3_000_000


def test_the_image_has_only_what_it_needs() -> None:
    """It runs as a non-root user, has a health check and a stop signal, and no pip."""
    user, group = IMAGE.last("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert re.search(rf"--uid {user}\b", IMAGE.all("RUN")[0])
    assert f"chown {user} " in GUIDE
    kinds = [kind for kind, _ in IMAGE.steps]
    assert kinds.index("USER") > max(at for at, kind in enumerate(kinds) if kind == "RUN")
    assert IMAGE.base == BUILD.base
    assert re.fullmatch(r"python:3\.\d+-slim@sha256:[0-9a-f]{64}", IMAGE.base)
    assert IMAGE.all("COPY") == ["--from=build /opt/newsletter /opt/newsletter"]
    assert "--without-pip" in " ".join(BUILD.all("RUN"))
    assert IMAGE.last("VOLUME") == IMAGE.last("WORKDIR") == "/data"
    assert IMAGE.last("STOPSIGNAL") == "SIGTERM"
    assert json.loads(IMAGE.last("HEALTHCHECK").partition("CMD ")[2])[0] == "python"
    assert json.loads(IMAGE.last("ENTRYPOINT")) == ["newsletter"]
    environment = IMAGE.environment()
    assert environment["NEWSLETTER_CONFIG"] == "/data/config.toml"
    assert environment["NEWSLETTER__WEB__HOST"] == "0.0.0.0"  # noqa: S104  # inside the container
    assert environment["NEWSLETTER__WEB__PORT"] == IMAGE.last("EXPOSE")


@dataclass(frozen=True)
class Box:
    """A folder that contains the Dockerfile's absolute paths."""

    root: Path

    def inside(self, text: str) -> str:
        """Returns the text with its absolute paths moved into the folder."""
        return re.sub(r"(?<![\w/.*])/(?=(?:src|dist|opt|data)\b)", f"{self.root}/", text)

    def environment(self, stage: Stage) -> dict[str, str]:
        """Returns the environment of a process in this stage."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        mine = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        given = {name: self.inside(value) for name, value in stage.environment().items()}
        given["PATH"] = given.get("PATH", "$PATH").replace("$PATH", path)
        return {**mine, "HOME": str(self.root), **given}

    def build(self) -> None:
        """Runs the first stage."""
        (self.root / "data").mkdir(parents=True)
        place = Path(self.inside(BUILD.last("WORKDIR")))
        for sources, target in BUILD.copied():
            for source in sources:
                self._copy(REPOSITORY / source, place / target)
        for command in BUILD.all("RUN"):
            done = subprocess.run(
                ["sh", "-ec", self.inside(command)],
                cwd=place,
                env=self.environment(BUILD),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode and not os.environ.get("CI") and "connection" in done.stderr.lower():
                pytest.skip("no package index can be reached from here")
            assert not done.returncode, done.stdout + done.stderr

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the finished image."""
        return subprocess.run(
            words,
            cwd=self.root / "data",
            env=self.environment(IMAGE) | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def test_the_dockerfile_builds_a_working_program(tmp_path: Path) -> None:
    """The Dockerfile's own commands build it from the copied files; `demo` and `serve` work.

    The health check passes while it serves and fails afterwards. It notifies READY, and stops
    in time on the signal that Docker and systemd send.
    """
    box = Box(tmp_path / "box")
    box.build()
    program = json.loads(IMAGE.last("ENTRYPOINT"))
    # An absolute path, because it is looked up before the image's environment is set.
    program[0] = str(box.root / "opt/newsletter/bin" / program[0])
    python = str(box.root / "opt/newsletter/bin/python")
    assert box.run(*program, "--version").stdout == f"newsletter {__version__}\n"
    where = box.run(python, "-c", "import newsletter; print(newsletter.__file__)").stdout
    assert where.startswith(str(box.root / "opt"))
    assert box.run(*program, "demo").returncode == 0
    assert len(list((box.root / "data/demo").rglob("edition.*"))) == 6

    port = free_port()
    health = json.loads(IMAGE.last("HEALTHCHECK").partition("CMD ")[2])
    health = [python, *(word.replace(":8000/", f":{port}/") for word in health[1:])]
    proxied = {"http_proxy": "http://127.0.0.1:9"}  # as on many servers
    assert box.run(*health, **proxied).returncode == 1
    (box.root / "data/captures").mkdir()
    (box.root / "data/config.toml").write_text("[[sources]]\nname = 'saved'\npath = 'captures'\n")
    # The first step of the guide: the service never creates a database.
    assert "docker compose -f deploy/compose.yaml run --build --rm newsletter ingest\n" in GUIDE
    assert box.run(*program, "ingest").returncode == 0
    with (
        systemd(tmp_path) as notifications,
        subprocess.Popen(
            [*program, *json.loads(IMAGE.last("CMD"))],
            cwd=box.root / "data",
            env=box.environment(IMAGE)
            | {"NEWSLETTER__WEB__PORT": str(port), "NOTIFY_SOCKET": notifications.getsockname()},
            stderr=subprocess.PIPE,
        ) as served,
    ):
        try:
            assert notifications.recv(100) == b"READY=1"
            assert box.run(*health, **proxied).returncode == 0
            asked_at = time.monotonic()
            served.send_signal(signal.Signals[IMAGE.last("STOPSIGNAL")])
            assert notifications.recv(100) == b"STOPPING=1"
            _, logs = served.communicate(timeout=60)
        finally:
            served.kill()
    assert served.returncode == 0, logs
    assert time.monotonic() - asked_at < timeout()
    assert all(json.loads(line)["event"] for line in logs.splitlines())
    assert (box.root / "data/newsletter.db").is_file()
    assert box.run(*health).returncode == 1


@contextmanager
def systemd(folder: Path) -> Iterator[socket.socket]:
    """Opens a socket for the notifications of a service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(folder / "notify"))
        wire.settimeout(60)
        yield wire


def timeout() -> float:
    """Returns the seconds that the service has to stop, in the shortest deployment."""
    unit = section("newsletter.service", "Service")
    box = loaded("compose.yaml")["services"]["newsletter"]
    seconds = [*unit["TimeoutStopSec"], box["stop_grace_period"].removesuffix("s")]
    return min(map(float, seconds))


# --- compose

NEEDED = AT_MOST * Limits().memory + 512 * 2**20
"""Bytes needed for the captures parsed at the same time, and for the service itself."""


def in_bytes(size: str) -> int:
    """Returns the bytes of a size such as `512m`, as Docker and systemd write it."""
    return int(size[:-1]) * {"m": 2**20, "g": 2**30}[size[-1].lower()]


def valid(name: str, schema: str) -> None:
    """Checks a file against the published schema of its kind."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, DEPLOY / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_gives_the_container_only_what_it_needs() -> None:
    """There is one service, private by default, with persistent data and a read-only image."""
    valid("compose.yaml", "vendor.compose-spec")
    compose = loaded("compose.yaml")
    (service,) = compose["services"].values()
    recipe = service["build"]
    context = (DEPLOY / recipe["context"]).resolve()
    assert context == REPOSITORY
    assert (context / recipe["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert service["ports"] == [f"127.0.0.1:8000:{IMAGE.last('EXPOSE')}"]
    mounts = {mount["target"]: mount for mount in service["volumes"]}
    assert mounts[IMAGE.last("VOLUME")]["source"] in compose["volumes"]
    config = mounts[IMAGE.environment()["NEWSLETTER_CONFIG"]]
    assert config["read_only"] is True
    assert config["bind"] == {"create_host_path": False}
    assert (DEPLOY / config["source"]).resolve() == REPOSITORY / "config.toml"
    (secret,) = service["secrets"]
    assert service["environment"] == {
        "NEWSLETTER__TRANSPORTS__SMTP__PASSWORD_FILE": f"/run/secrets/{secret}"
    }
    assert (DEPLOY / compose["secrets"][secret]["file"]).resolve() == REPOSITORY / "smtp-password"
    assert service["read_only"] is True
    (temporary,) = service["tmpfs"]
    assert {"noexec", "nosuid", "nodev"} < set(temporary.partition(":")[2].split(","))
    assert service["user"] == IMAGE.last("USER")
    assert in_bytes(service["mem_limit"]) >= NEEDED
    assert service["memswap_limit"] == service["mem_limit"]
    assert service["pids_limit"] == int(section(UNITS[0], "Service")["TasksMax"][0])
    assert 0 < service["cpus"] <= 1  # Docker refuses more than the machine has
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert "privileged" not in service
    assert timeout() >= 15


# --- systemd


def section(unit: str, name: str) -> dict[str, list[str]]:
    """Returns the values of a section of a unit."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in (DEPLOY / unit).read_text("utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif line and not line.startswith("#") and current == name:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies the units to a folder, with a program that exists."""
    if not shutil.which("systemd-analyze"):
        missing("systemd-analyze")
    for name in UNITS:
        text = (DEPLOY / name).read_text("utf-8")
        (tmp_path / name).write_text(
            text.replace("=/opt/newsletter/bin/newsletter ", "=/bin/true ")
        )
    return tmp_path


def analyze(*words: str, cwd: Path) -> tuple[int, str]:
    """Runs systemd's checker. Returns its exit status and output."""
    done = subprocess.run(
        ["systemd-analyze", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_systemd_accepts_the_units(units: Path) -> None:
    """The checker reports nothing, but does report a misspelled key."""
    verify = ("verify", "--man=no", "--recursive-errors=yes")
    paths = [f"./{name}" for name in UNITS]
    assert analyze(*verify, *paths, cwd=units) == (0, "")
    service = units / UNITS[0]
    service.write_text(service.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze(*verify, *paths, cwd=units)[1]


@pytest.mark.parametrize("name", UNITS[:2])
def test_the_services_are_sandboxed(units: Path, name: str) -> None:
    """systemd's own exposure score is below 2; the maximum is 10."""
    status, output = analyze(
        "security", "--offline=true", "--threshold=20", "--no-pager", f"./{name}", cwd=units
    )
    assert status == 0, output


def test_the_services_differ_only_in_their_commands() -> None:
    """User, state and sandbox are the same; the schedule belongs to the timer.

    A single run may take longer to stop: it waits for a database in use, to record what it
    sent.
    """
    serving, running = (section(name, "Service") for name in UNITS[:2])
    own = {"Type", "ExecStart", "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec"}
    own |= {"Restart", "RestartSec", "RestartPreventExitStatus"}
    shared = {key: value for key, value in serving.items() if key not in own}
    assert shared == {key: value for key, value in running.items() if key not in own}
    assert in_bytes(serving["MemoryMax"][0]) >= NEEDED
    assert serving["OOMPolicy"] == ["continue"]  # a killed parser does not stop the service
    assert int(serving["TasksMax"][0]) > 300  # the maximum number of sessions
    assert serving["Type"] == ["notify"]
    # It notifies the watchdog every 15 seconds.
    assert 60 <= int(serving["WatchdogSec"][0]) <= 600
    assert serving["Restart"] == ["always"]
    assert serving["RestartPreventExitStatus"] == ["2"]
    assert running["Type"] == ["oneshot"]
    # Exit status 3 must be reported.
    assert "SuccessExitStatus" not in running
    timer = section(UNITS[2], "Timer")
    assert timer["Persistent"] == ["true"]
    assert "Unit" not in timer
    assert section(UNITS[1], "Install") == {}


@pytest.mark.parametrize("name", UNITS[:2])
def test_the_units_run_existing_commands(name: str) -> None:
    """The commands accept the options."""
    (line,) = section(name, "Service")["ExecStart"]
    program, *words = line.split()
    assert f"python3 -m venv {Path(program).parents[1]}" in GUIDE
    done = subprocess.run(
        [sys.executable, "-m", "newsletter", *words, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- the workflow on GitHub

WORKFLOW = loaded("github-workflow.yml")
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
BRANCH = "newsletter-state"
SAMPLES = REPOSITORY / "newsletter" / "sample"


def git(*words: str, cwd: Path) -> str:
    """Runs git. Returns its output."""
    done = subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class RunResult:
    """The result of a run of the workflow."""

    outcomes: dict[str, str] = field(default_factory=dict)
    output: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    """Outputs of steps and jobs, by the expressions that the workflow uses for them."""
    artifact: Path | None = None

    @property
    def failed(self) -> bool:
        """Whether GitHub shows it as failed."""
        return "failure" in self.outcomes.values()

    def runs(self, condition: str | None, *, well: bool) -> bool:
        """Returns whether a step or job with this condition runs, if all was `well` before it."""
        if condition is None:
            return well
        always, *rest = condition.split(" && ")
        assert always == "always()"
        for each in rest:
            name, value = re.fullmatch(r"([\w.-]+) == '(\w+)'", each).groups()  # type: ignore[union-attr]
            if self.outputs.get(name, "") != value:
                return False
        return True

    def filled(self, text: str, known: Mapping[str, str]) -> str:
        """Returns a text of the workflow with its expressions evaluated."""
        values = {**self.outputs, **known}
        outputs = r"(?:steps|needs)\.[\w-]+\.outputs\.[\w-]+"

        def value(found: re.Match[str]) -> str:
            missing = "" if re.fullmatch(outputs, found[1]) else None
            filled_in = values.get(found[1], missing)
            assert filled_in is not None, found[1]
            return filled_in

        return re.sub(r"\$\{\{ (.*?) \}\}", value, text)


class Hub:
    """A substitute for GitHub: a repository, and a machine that runs the steps.

    Attributes:
        private: whether the repository is private, `true` or `false`.
        meanwhile: a shell command that runs after the newsletter.
        disappears: whether the repository becomes unreachable after the checkout.
        sent: number of mails sent, according to the output of the runs.
        number: id of the artifact, as reported by the machine that runs the program.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        self.captures = folder / "captures"
        self.private = "true"
        self.meanwhile = "true"
        self.disappears = False
        self.sent = 0
        self.number = "7"
        self._count = 0
        self._tools = folder / "bin"
        self._tools.mkdir()
        self.captures.mkdir()
        self._tool(
            "gh", f'if [ "$2" = --method ]; then rm -r "{folder}/artifact"; fi; echo "$PRIVATE"'
        )
        self._tool("sleep", 'echo "slept $1"')
        newsletter = f'"{sys.executable}" -m newsletter "$@"'
        self._tool("newsletter", f'{newsletter}; status=$?; eval "$MEANWHILE"; exit $status')
        git("init", "-q", "--bare", "-b", "main", str(self.remote), cwd=folder)
        mine = folder / "mine"
        git("clone", "-q", str(self.remote), str(mine), cwd=folder)
        (mine / "config.toml").write_text(
            '[newsletter]\nowner = "owner@example.org"\nsender = "P <papers@example.org>"\n'
            f"[transports.eml]\nfolder = '{folder / 'outbox'}'\n"
            f"[[sources]]\nname = 'saved'\npath = '{self.captures}'\n"
        )
        git("add", ".", cwd=mine)
        git("-c", "user.name=me", "-c", "user.email=me@x", "commit", "-qm", "Mine", cwd=mine)
        git("push", "-q", "origin", "HEAD:main", cwd=mine)

    def _tool(self, name: str, script: str) -> None:
        path = self._tools / name
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def use(self, script: str) -> None:
        """Replaces the newsletter command by a script."""
        self._tool("newsletter", script)

    def publish(self, capture: str) -> None:
        """Adds a capture that was last changed an hour ago."""
        path = Path(shutil.copy(SAMPLES / capture, self.captures))
        os.utime(path, (time.time() - 3600,) * 2)

    def refuse(self, what: str) -> None:
        """Makes the repository reject pushes for which this shell test succeeds."""
        hook = self.remote / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\nread old new ref\nif {what}; then exit 1; fi\n")
        hook.chmod(0o755)

    def accept(self) -> None:
        """Makes the repository accept all pushes again."""
        (self.remote / "hooks" / "pre-receive").unlink()

    def stored(self) -> list[str]:
        """Returns the files on the branch; asserts that it has exactly one commit."""
        assert git("rev-list", "--count", BRANCH, cwd=self.remote) == "1"
        return git("ls-tree", "--name-only", BRANCH, cwd=self.remote).split()

    def run(self, command: str | None = None) -> RunResult:
        """Runs the workflow, as scheduled or manually with a command."""
        self._count += 1
        result = RunResult()
        for name, job in JOBS.items():
            needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            well = all(result.outcomes[one] == "success" for one in needed)
            if result.runs(job.get("if"), well=well):
                result.outcomes[name] = self._work(name, job, command, result)
                for output, text in job.get("outputs", {}).items():
                    result.outputs[f"needs.{name}.outputs.{output}"] = result.filled(text, {})
            else:
                result.outcomes[name] = "skipped"
        if (self.folder / "artifact").exists():
            result.artifact = (self.folder / "artifact").rename(self.folder / f"kept-{self._count}")
        self.sent += sum(map(int, re.findall(r"^(\d+) sent", result.output, re.MULTILINE)))
        return result

    def _work(
        self, job: str, content: Mapping[str, Any], command: str | None, result: RunResult
    ) -> str:
        """Runs a job on a machine of its own. Returns `success` or `failure`."""
        home = self.folder / f"machine-{self._count}-{job}"
        home.mkdir()
        outcomes = []
        for number, step in enumerate(content["steps"]):
            name = step.get("id") or step.get("name") or step["uses"]
            if not result.runs(step.get("if"), well="failure" not in outcomes):
                result.outcomes[name] = "skipped"
            elif "uses" in step:
                result.outcomes[name] = self._use(step, home / "work", result)
            elif name != "Install":
                output = home / f"output-{number}"
                output.touch()
                env = self._environment(content, step, command, result, home)
                done = subprocess.run(
                    # How GitHub runs `shell: bash`.
                    ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                    cwd=home / "work",
                    env=env | {"GITHUB_OUTPUT": str(output)},
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                result.output += done.stdout + done.stderr
                result.outcomes[name] = "failure" if done.returncode else "success"
                for line in output.read_text().splitlines():
                    key, _, value = line.partition("=")
                    result.outputs[f"steps.{name}.outputs.{key}"] = value
            outcomes.append(result.outcomes.get(name, "success"))
            result.outputs[f"steps.{name}.outcome"] = outcomes[-1]
        return "failure" if "failure" in outcomes else "success"

    def _use(self, step: Mapping[str, Any], place: Path, result: RunResult) -> str:
        artifact = self.folder / "artifact"
        match step["uses"].partition("@")[0]:
            case "actions/checkout":
                git("clone", "-q", "--depth=1", f"file://{self.remote}", str(place),
                    cwd=self.folder)  # fmt: skip
                if self.disappears:
                    self.remote.rename(self.folder / "gone.git")
            case "actions/upload-artifact":
                shutil.copytree(place / step["with"]["path"], artifact)
                result.outputs[f"steps.{step['id']}.outputs.artifact-id"] = self.number
            case "actions/download-artifact":
                shutil.copytree(artifact, place / step["with"]["path"])
            case other:
                assert other == "actions/setup-python"
        return "success"

    def _environment(
        self,
        job: Mapping[str, Any],
        step: Mapping[str, Any],
        command: str | None,
        result: RunResult,
        home: Path,
    ) -> dict[str, str]:
        known = {
            "inputs.command || 'run'": command or "run",
            "github.token": "token",
            "github.server_url": "https://github.example",
            "github.repository": "ada/papers",
            "github.run_id": str(self._count),
            "secrets.SMTP_PASSWORD": "",
        }
        variables = {**WORKFLOW["env"], **job.get("env", {}), **step.get("env", {})}
        return {
            "PATH": f"{self._tools}:{os.environ['PATH']}",
            "HOME": str(home),
            "GITHUB_REPOSITORY": "ada/papers",
            "GITHUB_SERVER_URL": "https://github.example",
            "PRIVATE": self.private,
            "MEANWHILE": self.meanwhile,
            "REMOTE": str(self.remote),
            **{name: result.filled(value, known) for name, value in variables.items()},
        }


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A repository with a configuration, and a first capture."""
    for tool in ("git", "bash", "timeout"):
        if not shutil.which(tool):
            missing(tool)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    made = Hub(tmp_path)
    made.publish("2026-11-19.json")
    return made


STUB = """python3 -c 'import sqlite3
state = sqlite3.connect("state/newsletter.db")
state.execute("CREATE TABLE IF NOT EXISTS ours (what)")
state.executemany("INSERT INTO ours VALUES (?)", [("paper" * 100,)] * 100)
state.commit()
'; eval "$MEANWHILE"
"""
"""A newsletter that only writes a database."""

LOST = '[ "$(git ls-tree --name-only $new | wc -l)" = 1 ]'
"""True for a push that stores a state, not for one that marks it as in use."""


def test_a_run_continues_from_the_state_of_the_last_one(hub: Hub) -> None:
    """The first run creates the branch; later runs, on other machines, send nothing twice."""
    assert not hub.run("subscribers add ada@example.org").failed
    assert hub.stored() == ["newsletter.db"]
    assert not hub.run("run --due-now").failed
    assert hub.sent == 1
    assert not hub.run("run --due-now").failed
    assert hub.sent == 1
    hub.publish("2026-11-20.json")
    result = hub.run("run --due-now")
    assert not result.failed
    assert result.artifact is None
    assert hub.sent == 2
    assert hub.stored() == ["newsletter.db"]


def test_the_state_of_a_run_with_held_captures_is_stored(hub: Hub) -> None:
    """The run is shown as failed, and the next one knows its state."""
    hub.run("subscribers add ada@example.org")
    (hub.captures / "2026-11-20.json").write_text("{")
    os.utime(hub.captures / "2026-11-20.json", (0, 0))
    result = hub.run("run --due-now")
    assert result.outcomes["Run"] == "failure"
    assert result.outcomes["store"] == "success"
    assert result.artifact is None
    assert hub.sent == 1
    assert hub.stored() == ["newsletter.db"]
    assert "held" in hub.run("snapshots list --state held").output
    hub.run("run --due-now")
    assert hub.sent == 1


def test_a_state_that_could_not_be_stored_stops_later_runs(hub: Hub) -> None:
    """There is an error and an artifact; once that is restored, nothing is sent twice."""
    hub.run("subscribers add ada@example.org")
    hub.refuse(LOST)
    result = hub.run("run --due-now")
    assert result.outcomes["Run"] == "success"
    assert result.outcomes["store"] == "failure"
    assert "::error::The state could not be stored" in result.output
    assert result.output.count("slept") == 4
    assert result.artifact
    assert hub.sent == 1

    hub.accept()
    later = hub.run("run --due-now")
    assert later.outcomes["mark"] == "failure"
    assert later.outcomes["run"] == later.outcomes["store"] == "skipped"
    assert (
        "::error::The run https://github.example/ada/papers/actions/runs/2 did not" in later.output
    )
    assert hub.stored() == ["newsletter.db", "under-way"]

    # As documented in deploy/README.md.
    clone = hub.folder / "state"
    git("clone", "-q", "--branch", BRANCH, "--single-branch", str(hub.remote), str(clone),
        cwd=hub.folder)  # fmt: skip
    shutil.copy(result.artifact / "newsletter.db", clone)
    (recipe,) = re.findall(r"^git rm under-way .*$", GUIDE, re.MULTILINE)
    identity = {f"GIT_{role}_{what}": "me" for role in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")}  # fmt: skip
    subprocess.run(["bash", "-ec", recipe], cwd=clone, env={**os.environ, **identity}, check=True)
    assert not hub.run("run --due-now").failed
    assert hub.sent == 1
    assert hub.stored() == ["newsletter.db"]


def test_mails_of_a_run_whose_machine_died_are_not_repeated(hub: Hub) -> None:
    """What it sent is unknown; after the documented command, nothing is sent again."""
    hub.run("subscribers add ada@example.org")
    hub.run("run --due-now")
    hub.publish("2026-11-20.json")
    hub.refuse(LOST)
    hub.run("run --due-now")
    assert hub.sent == 2
    hub.accept()
    assert hub.run().failed
    (command,) = re.findall(r"with the command `(restore .*?)`", GUIDE)
    assert not hub.run(command).failed
    assert hub.stored() == ["newsletter.db"]
    result = hub.run("run --due-now")
    assert result.outcomes["store"] == "success"
    assert "held" in result.output
    assert hub.sent == 2


def test_a_branch_that_was_changed_meanwhile_is_not_overwritten(hub: Hub) -> None:
    """The other state stays."""
    hub.use(STUB)
    hub.run()
    other = "git -c user.name=x -c user.email=x commit-tree -m Other main^{tree}"
    hub.meanwhile = f'cd "$REMOTE" && git update-ref refs/heads/{BRANCH} $({other})'
    result = hub.run()
    assert result.outcomes["store"] == "failure"
    assert result.artifact
    assert hub.stored() == ["config.toml"]


def test_a_first_run_does_not_overwrite_a_new_branch(hub: Hub) -> None:
    """The branch was created during the run."""
    hub.use(STUB)
    hub.meanwhile = f'cd "$REMOTE" && git branch {BRANCH} main'
    assert hub.run().outcomes["store"] == "failure"
    assert hub.stored() == ["config.toml"]


def test_the_transactions_of_a_killed_run_are_stored(hub: Hub) -> None:
    """The last ones were in the write-ahead log, not in the database file."""
    hub.use(
        "exec python3 -c 'import os, sqlite3\n"
        'state = sqlite3.connect("state/newsletter.db", isolation_level=None)\n'
        'state.execute("PRAGMA journal_mode=WAL")\n'
        'state.execute("CREATE TABLE done (what)")\n'
        "os.kill(os.getpid(), 9)'"
    )
    result = hub.run()
    assert result.outcomes["Run"] == "failure"
    assert result.outcomes["store"] == "success"
    copy = hub.folder / "copy.db"
    with copy.open("wb") as file:
        show = ["git", "cat-file", "blob", f"{BRANCH}:newsletter.db"]
        subprocess.run(show, cwd=hub.remote, stdout=file, check=True)
    with closing(sqlite3.connect(copy)) as state:
        assert state.execute("SELECT name FROM sqlite_schema").fetchall() == [("done",)]


@pytest.mark.parametrize(
    "damage",
    ["truncate -s 20000 {}", "printf cccc | dd bs=1 seek=36 conv=notrunc of={} 2>/dev/null"],
    ids=["cut", "changed"],
)
def test_a_damaged_state_is_not_stored(hub: Hub, damage: str) -> None:
    """The previous state stays, the run is shown as failed, and later runs stop."""
    hub.use(STUB)
    hub.run()
    before = git("rev-parse", f"{BRANCH}:newsletter.db", cwd=hub.remote)
    hub.meanwhile = damage.format("state/newsletter.db")
    result = hub.run()
    assert result.outcomes["check"] == "failure"
    assert result.outcomes["store"] == "skipped"
    assert result.artifact
    assert git("rev-parse", f"{BRANCH}:newsletter.db", cwd=hub.remote) == before
    assert hub.run().outcomes["mark"] == "failure"


def test_a_run_that_could_not_start_stores_nothing(hub: Hub) -> None:
    """A first run with an invalid configuration creates no branch."""
    hub.use("exit 2")
    result = hub.run()
    assert result.outcomes["Run"] == "failure"
    assert result.outcomes["check"] == "success"
    assert result.outcomes["store"] == "skipped"
    assert result.artifact is None
    assert not git("branch", "--list", BRANCH, cwd=hub.remote)


def test_a_first_run_needs_a_database(hub: Hub) -> None:
    """It creates none and stores nothing; the guide's first command creates it."""
    first = hub.run()
    assert first.outcomes["Run"] == "failure"
    assert "newsletter ingest" in first.output
    assert not git("branch", "--list", BRANCH, cwd=hub.remote)
    assert "*Actions → newsletter → Run workflow*, with `ingest` as the command" in GUIDE
    assert not hub.run("ingest").failed
    assert hub.stored() == ["newsletter.db"]
    assert not hub.run().failed


def test_an_unreachable_repository_is_not_a_first_run(hub: Hub) -> None:
    """The run fails instead of starting with an empty state."""
    hub.use(STUB)
    hub.run()
    hub.disappears = True
    result = hub.run()
    assert result.outcomes["mark"] == "failure"
    assert result.outcomes["run"] == result.outcomes["store"] == "skipped"


def test_a_public_repository_is_refused(hub: Hub) -> None:
    """Nothing is fetched, run or stored there."""
    hub.private = "false"
    result = hub.run()
    assert result.outcomes["mark"] == "failure"
    assert result.outcomes["run"] == result.outcomes["store"] == "skipped"
    assert result.artifact is None
    assert "must be private" in result.output


def steps(job: str) -> list[dict[str, Any]]:
    """Returns the steps of a job."""
    found: list[dict[str, Any]] = JOBS[job]["steps"]
    return found


def test_the_workflow_has_minimal_permissions() -> None:
    """It writes one branch, never overlaps, has timeouts, and inserts no text into scripts."""
    valid("github-workflow.yml", "vendor.github-workflows")
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "begin": {"contents": "write"},
        "run": {"contents": "read"},
        "store": {"contents": "write", "actions": "write"},
    }
    assert WORKFLOW["concurrency"] == {"group": BRANCH, "cancel-in-progress": False}
    assert set(WORKFLOW["on"]) == {"schedule", "workflow_dispatch"}
    assert WORKFLOW["defaults"]["run"]["shell"] == "bash"
    assert all(job["timeout-minutes"] <= 60 for job in JOBS.values())
    for step in [step for job in JOBS for step in steps(job)]:
        assert "${{" not in step.get("run", "")
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
    with_password = [(job, step["name"]) for job in JOBS for step in steps(job)
                     if "secrets." in str(step)]  # fmt: skip
    assert with_password == [("run", "Run")]


def test_our_code_never_runs_with_a_token_that_can_write() -> None:
    """Jobs with a writing token run only git; the program's job reads the state in one step."""
    with_token = {job: [step.get("id") for step in steps(job) if "github.token" in str(step)]
                  for job in JOBS}  # fmt: skip
    assert with_token == {"begin": ["mark"], "run": ["fetch"], "store": ["store"]}
    for job in ("begin", "store"):
        text = "".join(step.get("run", "") for step in steps(job))
        assert not re.search(r"\b(?:pip|python3?|newsletter \")", text)
    assert "${{" not in str(JOBS["run"].get("env"))


EXCEPTIONS: set[str] = set()
"""Actions pinned to a tag, because no commit could be confirmed."""


def test_actions_are_pinned_to_commits() -> None:
    """Tags can be moved; a comment has the version of the commit."""
    text = (DEPLOY / "github-workflow.yml").read_text("utf-8")
    uses = re.findall(r"uses: (\S+?)@(\S+)(.*)", text)
    assert len(uses) == sum("uses" in step for job in JOBS for step in steps(job)) > 0
    for action, commit, comment in uses:
        if action not in EXCEPTIONS:
            assert re.fullmatch(r"[0-9a-f]{40}", commit), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    versions = {action: {commit for one, commit, _ in uses if one == action} for action, *_ in uses}
    assert all(len(commits) == 1 for commits in versions.values())


INSTALL = next(step["run"] for step in steps("run") if step.get("name") == "Install")


def install(place: Path, packages: Path) -> subprocess.CompletedProcess[str]:
    """Runs the step with this folder as the only package index."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    quiet = {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", INSTALL],
        cwd=place,
        env=mine | quiet | {
            "PATH": f"{place}/venv/bin:{os.environ['PATH']}",
            "PIP_FIND_LINKS": str(packages),
            "PIP_NO_INDEX": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )  # fmt: skip


def wheel(folder: Path, name: str, text: str, requires: str = "") -> None:
    """Writes a package with one module."""
    file = f"{name.replace('-', '_')}-1.0"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
    info = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content = {f"{name.replace('-', '_')}.py": text, f"{file}.dist-info/METADATA": meta,
               f"{file}.dist-info/WHEEL": info, f"{file}.dist-info/RECORD": ""}  # fmt: skip
    with zipfile.ZipFile(folder / f"{file}-py3-none-any.whl", "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)


BACKEND = """
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    name = "ours-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as archive:
        info = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        meta = "Metadata-Version: 2.1\\nName: ours\\nVersion: 1.0\\nRequires-Dist: lamp\\n"
        archive.writestr("ours-1.0.dist-info/METADATA", meta)
        archive.writestr("ours-1.0.dist-info/WHEEL", info)
        archive.writestr("ours-1.0.dist-info/RECORD", "")
    return name
"""


def test_packages_are_the_same_files_as_in_the_first_run(tmp_path: Path) -> None:
    """Hashes are recorded once for each set of versions; other files are refused."""
    packages = tmp_path / "packages"
    for folder in (packages, tmp_path / "state"):
        folder.mkdir()
    wheel(packages, "lamp", "LIT = 1")
    wheel(packages, "hatchling", BACKEND)  # only the name matters
    project = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling"\n'
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "constraints.txt").write_text("lamp==1.0\n")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    first = install(tmp_path, packages)
    assert first.returncode == 0, first.stderr
    assert "are recorded" in first.stdout
    recorded = (tmp_path / "state/requirements.txt").read_text()
    lines = sorted(line.split(" ")[0] for line in recorded.splitlines())
    assert lines == ["#", "hatchling==1.0", "lamp==1.0"]
    for name in ("lamp", "hatchling"):
        digest = hashlib.sha256((packages / f"{name}-1.0-py3-none-any.whl").read_bytes())
        assert f"{name}==1.0 --hash=sha256:{digest.hexdigest()}\n" in recorded

    again = install(tmp_path, packages)
    assert (again.returncode, "are recorded" in again.stdout) == (0, False), again.stderr
    wheel(packages, "lamp", "LIT = 'something else'")
    for tool in ("lamp", "ours"):
        subprocess.run([tmp_path / "venv/bin/pip", "uninstall", "-qy", tool], check=True)
    refused = install(tmp_path, packages)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    # A change of versions records new hashes.
    (tmp_path / "constraints.txt").write_text("lamp==1.0\n\n")
    assert "are recorded" in install(tmp_path, packages).stdout
    assert (tmp_path / "state/requirements.txt").read_text() != recorded


def test_the_hashes_are_stored_with_the_state(hub: Hub) -> None:
    """A run reads the hashes of an earlier one; only these files are on the branch."""
    more = "echo more >>state/requirements.txt; echo x >state/other; cat state/requirements.txt"
    hub.use(f"{more}; {STUB}")
    assert not hub.run().failed
    assert hub.stored() == ["newsletter.db", "requirements.txt"]
    assert "more\nmore\n" in hub.run().output
    assert hub.stored() == ["newsletter.db", "requirements.txt"]


@pytest.mark.parametrize("artifact", ["../../git/refs/heads/main", "7/x", ""])
def test_the_storing_job_does_not_trust_the_output_of_the_running_job(
    hub: Hub, artifact: str
) -> None:
    """An artifact id that is not a number is refused before anything is stored or deleted."""
    hub.use(STUB)
    hub.number = artifact
    assert hub.run().outcomes["store"] == "failure"
    assert not git("branch", "--list", BRANCH, cwd=hub.remote)


# --- the guide


def test_the_guide_names_existing_commands_and_files() -> None:
    """Its order of installation is correct too."""
    commands = {*re.findall(r"(?:^|`|exec newsletter )newsletter (\w[\w-]*)", GUIDE, re.MULTILINE)}
    assert {"subscribers", "status", "backup", "init", "config", "ingest"} <= commands
    assert commands <= set(cli.commands)
    install = GUIDE[GUIDE.index("sudo useradd") :]
    assert install.index("newsletter ingest") < install.index("systemctl enable --now")
    for pattern in re.findall(r"deploy/[\w.*-]*[\w*]", GUIDE):
        assert list(REPOSITORY.glob(pattern)), pattern
    (url,) = re.findall(r'^url = "(.*)"$', GUIDE, re.MULTILINE)
    state = section(UNITS[0], "Service")["StateDirectory"][0]
    assert url.startswith(f"sqlite:////var/lib/{state}/")
