"""Files of templates: what an export wrote comes back bit by bit; what it did not write is refused and the line is named."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import Refused
from streams.messages import Template
from workers.control.export import export_lines, parse_lines, subjects_of


def template(subject: str = "Ada", template_id: str = "t-0", seed: int = 0, dim: int = 8, **more: Any) -> Template:
    vector = np.random.default_rng(seed).standard_normal(dim)
    fields: dict[str, Any] = {
        "subject": subject, "template_id": template_id, "space": "net@1", "vector": (vector / np.linalg.norm(vector)).astype(np.float32),
        "quality": 0.5, "windows": 12, "stream_key": "phone", "from_ns": 1, "to_ns": 2, "enrolled_ns": 3,
    }  # fmt: skip
    return Template(**(fields | more))


NAMES = (
    st.text(min_size=1, max_size=20)
    .filter(lambda text: all(ord(c) > 31 and ord(c) != 127 and c != "/" for c in text))
    .filter(str.isprintable)
)


@given(
    subjects=st.lists(NAMES, min_size=1, max_size=5, unique=True), consent=st.text(max_size=50), expires=st.none() | st.integers(0, 2**62)
)
def test_round_trip(subjects: list[str], consent: str, expires: int | None) -> None:
    consent = consent.encode("utf-8", "ignore").decode()
    templates = [template(s, seed=i, consent=consent, expires_ns=expires) for i, s in enumerate(subjects)]
    back = parse_lines("\n".join(export_lines(templates)), {"net@1"})
    assert [t.to_bytes() for t in back] == [t.to_bytes() for t in templates]


def packed(vector: Any) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


CHANGED = [
    # what somebody changed in the line; what the sentence names
    ({"vector": packed(np.ones(8))}, "length"),  # not of unit length
    ({"vector": packed(np.full(8, np.nan))}, "length"),
    ({"vector": packed([1.0]), "dim": 8}, "dim"),  # cut short
    ({"vector": packed([])}, "dim"),
    ({"vector": "###"}, "Error"),  # no base64
    ({"vector": 5}, "Error"),
    ({"dim": 10**9}, "dim"),
    ({"subject": "a/b"}, "subject"),
    ({"windows": 0}, "windows"),
    ({"quality": 2.0}, "quality"),
    ({"expires_ns": "never"}, "expires_ns"),
    ({"space": "net@2"}, "space"),  # another network's
]


@pytest.mark.parametrize(("change", "named"), CHANGED)
def test_a_changed_line_is_refused_by_number(change: dict[str, Any], named: str) -> None:
    head, first, second = export_lines([template(), template("Bela", seed=1)])
    text = "\n".join([head, first, json.dumps(json.loads(second) | change)])
    with pytest.raises(Refused, match=named) as refused:
        parse_lines(text, {"net@1"})
    assert "line 3" in str(refused.value)


WHOLE = [
    # text; what the sentence says
    ("", "no templates"),
    ("\n\n", "no templates"),
    ("not json", "line 1"),
    ("[]", "line 1"),
    ("{}", "head of an export"),
    ('{"format": "gaitstream-gallery", "v": 2, "templates": 0}', "version 1"),
    ("\n".join(export_lines([template(), template("Bela")])[:-1]), "cut short"),
    ("\n".join(export_lines([template(), template("Bela", dim=9)])), "one length"),
    ("[" * 100_000, "line 1"),
]


@pytest.mark.parametrize(("text", "sentence"), WHOLE, ids=[row[1] + str(i) for i, row in enumerate(WHOLE)])
def test_what_is_no_export_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        parse_lines(text, {"net@1"})


def test_another_space_may_be_forced() -> None:
    lines = "\n".join(export_lines([template(space="net@2")]))
    with pytest.raises(Refused, match="net@2, this site embeds in net@1"):
        parse_lines(lines, {"net@1"})
    assert parse_lines(lines, None)[0].space == "net@2"


def test_summaries_hold_no_vectors() -> None:
    rows = subjects_of([template("Bela"), template("Ada", "a", expires_ns=9), template("Ada", "b", expires_ns=7, consent="yes")])
    assert [(r["subject"], r["templates"], r["windows"], r["expires_ns"], r["consent"]) for r in rows] == [
        ("Ada", 2, 24, 7, ["", "yes"]),
        ("Bela", 1, 12, None, [""]),
    ]
    assert "vector" not in json.dumps(rows)
