"""What the image is built from: constraints that pip takes, a wheel with every module and the weights, a health check that works."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, free_port
from tests.support.pipeline import WorkerProcess, until
from workers.supervisor import ROLES

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = (REPOSITORY / "deploy" / "Dockerfile").read_text()
PACKAGES = ("streams", "models", "workers")


def copied() -> list[str]:
    """What the Dockerfile copies from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_what_is_copied_exists_and_passes_dockerignore() -> None:
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert "*" in ignore
    assert set(copied()) == allowed
    assert [source for source in copied() if not (REPOSITORY / source).exists()] == []


def test_the_image_does_not_run_as_root() -> None:
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER (?!0$|root$)\S+$", last_stage, re.MULTILINE)
    assert last_stage.index("USER") < last_stage.index("ENTRYPOINT")


def stages() -> list[list[str]]:
    """Instructions of each stage, continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    found: list[list[str]] = [[]]
    for line in filter(None, joined):
        if line.startswith("FROM "):
            found.append([])
        found[-1].append(line)
    return found


def test_the_rules_of_a_good_image() -> None:
    """What hadolint and docker's own checks ask for, as far as it can break here."""
    instructions = [line for stage in stages() for line in stage]
    names = {line.split()[-1] for line in instructions if re.search(r" AS \w+$", line)}
    arguments = {line.split()[1].split("=")[0] for line in stages()[0]}
    for line in instructions:
        word, _, rest = line.partition(" ")
        assert word in {
            "ARG",
            "FROM",
            "RUN",
            "ENV",
            "COPY",
            "WORKDIR",
            "LABEL",
            "USER",
            "VOLUME",
            "EXPOSE",
            "HEALTHCHECK",
            "ENTRYPOINT",
            "CMD",
        }
        if word == "FROM":
            image = rest.split()[0]
            assert image in names or (image.startswith("${") and image[2:-1] in arguments) or re.search(r":.+", image), "an image has a tag"
            assert not image.endswith(":latest")
        if word == "RUN":
            assert "sudo" not in rest and "curl" not in rest and "|" not in rest, rest
            assert "apt-get install" not in rest or "rm -rf /var/lib/apt/lists" in rest
            assert "cd " not in rest, "WORKDIR"
        if word in {"ENTRYPOINT", "CMD"}:
            assert rest.startswith("["), "the process itself gets SIGTERM, not a shell"
        if word == "WORKDIR":
            assert rest.startswith("/")
        assert not re.search(r"(TOKEN|PASSWORD|SECRET)=", rest), "no secret in a layer"
    last = [line.split()[0] for line in stages()[-1]]
    assert [last.count(word) for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK", "USER")] == [1, 1, 1, 1]


def test_the_variants_are_stages_of_both_names_and_only_cuda_asks_for_a_gpu() -> None:
    variants = {stage[0].split()[-1]: stage for stage in stages()[1:] if stage[0].split()[-1] in {"cpu", "cuda"}}
    assert set(variants) == {"cpu", "cuda"}
    assert stages()[-1][0] == "FROM ${VARIANT}"
    assert "ARG VARIANT=cpu" in stages()[0]
    assert "GAITSTREAM_DEVICE=cuda" in " ".join(variants["cuda"])
    assert len(variants["cpu"]) == 1


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_installation_steps_give_every_role_from_a_clean_environment(tmp_path: Path) -> None:
    """The RUN lines of the build stage, with paths of the test's own; then each role starts from there, with nothing of the repository."""
    prefix, source = tmp_path / "opt", tmp_path / "source"
    source.mkdir()
    for name in copied():
        path = REPOSITORY / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    for line in stages()[1]:
        if line.startswith("RUN "):
            command = line.removeprefix("RUN ").replace("/opt/gaitstream", str(prefix)).replace("python -", f"{sys.executable} -", 1)
            done = subprocess.run(["/bin/sh", "-c", command], cwd=source, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    with BrokerProcess("embedded", tmp_path / "broker") as broker:
        for role in ROLES:
            port = free_port()
            variable = "GAITSTREAM_API_PORT" if role == "control" else "GAITSTREAM_HTTP_PORT"
            data = tmp_path / role
            environment = {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin", "GAITSTREAM_BOOTSTRAP": broker.bootstrap, variable: str(port)}
            process = subprocess.Popen(["gaitstream", "worker", role], cwd=tmp_path, env=environment | {"GAITSTREAM_DATA_DIR": str(data)})
            try:
                asyncio.run(until(lambda port=port: health_check(GAITSTREAM_HTTP_PORT=str(port)) == 0, what=f"{role} is healthy"))  # type: ignore[misc]
            finally:
                process.kill()
                process.wait()


def test_constraints_pin_every_dependency_exactly_and_name_no_path() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("#")]
    # A local version (torch==2.13.0+cpu) exists on one index only; without it the pin matches every build of the version.
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line)] == []
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in pins}
    needed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[<>=;\[ ]", requirement)[0]).lower() for requirement in needed}
    assert names - pinned == set()


def test_the_wheel_holds_every_file_but_documents_and_the_licence(tmp_path: Path) -> None:
    """Built from the very files that the image gets."""
    source = tmp_path / "source"
    source.mkdir()
    for name in copied():
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("gaitstream-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    expected = {
        path.relative_to(source).as_posix()
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file() and path.suffix not in {".md", ".png"}  # whatever is no document may be needed at run time
    }
    assert {name for name in expected if name.endswith(".safetensors")}, "no weights in the repository"
    assert expected - inside == set()
    licences = {Path(name).name for name in inside if "dist-info" in name}
    assert {"LICENSE", "NOTICE"} <= licences


def health_check(**environment: str) -> int:
    """Exit status of the very command that the image runs."""
    command = json.loads(re.findall(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])
    return subprocess.run([sys.executable, *command[1:]], env=os.environ | environment, capture_output=True).returncode


@pytest.mark.parametrize("role", ["inertial", "control"])  # identity runs the loop of inertial
async def test_a_role_starts_alone_on_an_empty_broker_and_its_health_is_seen(role: str, tmp_path: Path) -> None:
    """Compose starts the roles in any order: the first one creates the topics as they are declared."""
    with BrokerProcess("embedded", tmp_path / "broker") as broker:
        settings = Settings(bootstrap=broker.bootstrap)
        with WorkerProcess(role, settings, tmp_path, GAITSTREAM_DATA_DIR=str(tmp_path / "not" / "yet")) as worker:
            await until(worker.is_ready, what=f"{role} is ready")
            assert health_check(GAITSTREAM_HTTP_PORT=str(worker.port)) == 0
            # Raises Misconfigured when a topic has other partitions, and returns what it had to create.
            assert await ensure_topics(settings) == []
        assert health_check(GAITSTREAM_HTTP_PORT=str(worker.port)) != 0


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_licence_and_notice_say_what_they_must(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    wanted = {
        "LICENSE": ["Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"],
        "NOTICE": ["NSF EIA-0196217", "mocap.cs.cmu.edu", "MotionSense", "MIT", "CC BY 4.0", "Matey-Sanz"],
    }[name]
    assert [phrase for phrase in wanted if phrase not in text] == []
