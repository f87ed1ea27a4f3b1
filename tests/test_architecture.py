"""The house has one direction: workers import models and streams, neither of which imports another package of ours."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("streams", "models", "workers")
FORBIDDEN = {
    # Messages, topics and the broker run wherever a device or a subscriber runs: without networks.
    "streams": {"models", "workers", "torch", "cv2", "faust", "safetensors"},
    # What is known about gait does not know how it travels.
    "models": {"streams", "workers", "aiokafka", "kafka", "confluent_kafka", "faust", "kio", "msgpack"},
    "workers": {"tests"},
}
MOST_LINES = 400
"""Files are rooms; the design's figure is about 350."""


def files(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imported(file: Path) -> Iterator[tuple[str, int]]:
    """Top-level names of every import in a file, those inside functions and `if TYPE_CHECKING` included."""
    package = file.relative_to(REPOSITORY).parts[0]
    for node in ast.walk(ast.parse(file.read_text(), file.name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (package if node.level else (node.module or "").split(".")[0]), node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name in {"import_module", "__import__"} and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value).split(".")[0], node.lineno


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{line} imports {name}"
        for file in files(package)
        for name, line in imported(file)
        if name in FORBIDDEN[package]
    ]
    assert not wrong, "\n".join(wrong)


def test_there_is_something_to_look_at() -> None:
    assert all(len(files(package)) > 10 for package in PACKAGES)
    names = {name for file in files("workers") for name, _ in imported(file)}
    assert {"streams", "models", "torch", "aiokafka"} <= names


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_have_a_docstring_and_are_rooms_not_halls(package: str) -> None:
    """Every module with content says what is inside; empty `__init__.py` are fine."""
    texts = {file: file.read_text() for file in files(package)}
    silent = [str(file) for file, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))]
    assert not silent, f"without a docstring: {silent}"
    long = {str(file.relative_to(REPOSITORY)): text.count("\n") for file, text in texts.items() if text.count("\n") > MOST_LINES}
    assert not long, f"longer than {MOST_LINES} lines: {long}"


def test_no_file_names_a_place_outside_of_the_repository() -> None:
    """Paths of the machine where it was written, and registry hosts, stay out of everything that is shipped."""
    foreign = ("/" + "work/", "/" + "home/", "/" + "root/")
    wrong = [
        f"{file.relative_to(REPOSITORY)}: {word}"
        for package in (*PACKAGES, "tests")
        for file in files(package)
        for word in foreign
        if word in file.read_text()
    ]
    assert not wrong, "\n".join(wrong)
