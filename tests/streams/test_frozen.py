"""The outside of the project does not change by accident: topics, messages, errors, settings, metrics."""

import json

import pytest

from tests.streams.freeze import FROZEN, interface, names, texts


@pytest.mark.parametrize("name", sorted(texts()))
def test_nothing_changed_unnoticed(name: str) -> None:
    """After a change that is meant: `python -m tests.streams.freeze`, and a word in the changelog."""
    assert json.loads((FROZEN / name).read_text()) == json.loads(texts()[name])


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = interface()

    def follow(part: object) -> None:
        if isinstance(part, dict):
            if isinstance(reference := part.get("$ref"), str):
                target: object = document
                for step in reference.removeprefix("#/").split("/"):
                    assert isinstance(target, dict)
                    assert step in target, reference
                    target = target[step]
            for value in part.values():
                follow(value)
        elif isinstance(part, list):
            for value in part:
                follow(value)

    follow(document)
    assert document["asyncapi"].startswith("3.")


def test_metric_names_follow_one_scheme() -> None:
    for line in names()["metrics"]:
        kind, name, *labels = line.split()
        assert name.startswith("gaitstream_")
        assert not {"device", "subject", "stream_key", "person"} & set(labels), "labels must be few and bounded"
        if kind == "histogram":
            assert not name.endswith("_total")
