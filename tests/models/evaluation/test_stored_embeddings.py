"""Stored embeddings of others: both forms are read, what could run code or is broken is refused with file and field."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.data.recordings import RecordingError
from models.evaluation.plain_pickle import read_pickle
from models.evaluation.stored_embeddings import load_stored
from models.evaluation.vision_protocols import view_matrix


def published(views: int = 11, people: int = 4) -> dict[str, Any]:
    """A dictionary as GaitNet's scripts store it: (V, N, D), counts per view, filler beyond them."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(people, 8)).astype(np.float32)
    content: dict[str, Any] = {}
    for side, walks in (("gallery", 2), ("probe", 1)):
        label = np.tile(np.repeat(np.arange(people), walks), (views, 1))
        feature = centre[label] + 0.01 * rng.normal(size=(*label.shape, 8)).astype(np.float32)
        feature[0, -1], label[0, -1] = 0.0, 0  # filler
        valid = np.full(views, label.shape[1])
        valid[0] -= 1
        content |= {f"{side}_features": feature.astype(np.float32), f"{side}_labels": label, f"{side}_valid": valid}
    return content


def python2(array: np.ndarray) -> bytes:
    """A pickle of {"x": array} in the opcodes that Python 2 wrote: bytes as plain strings, numpy's old module names."""
    raw = array.tobytes()
    kind = array.dtype.str[1:].encode()
    text = b"U" + bytes([len(kind)]) + kind
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    return (
        b"\x80\x02}U\x01xcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"cnumpy\ndtype\n" + text + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tbs."
    )


def test_a_published_pickle_is_scored(tmp_path: Path) -> None:
    path = tmp_path / "features"
    path.write_bytes(pickle.dumps(published(), protocol=2))
    stored = load_stored(path)
    assert (len(stored.gallery), len(stored.probes)) == (11 * 8 - 1, 11 * 4 - 1)  # without filler
    matrix = view_matrix(stored.gallery, stored.probes, "euclidean")
    assert matrix.gallery_views[1] == "018"
    assert matrix.mean == matrix.mean_without_identical == 1.0


def test_python_2_wrote_bytes_as_text(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3) - 200
    path = tmp_path / "old"
    path.write_bytes(python2(array))
    assert np.array_equal(read_pickle(path)["x"], array)


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    fields = {"features": np.eye(3, dtype=np.float32), "labels": np.arange(3), "views": np.array(["a", "b", "a"])}
    np.savez(path, **{f"{side}_{name}": value for side in ("gallery", "probe") for name, value in fields.items()})
    stored = load_stored(path)
    assert stored.gallery.subject_N.tolist() == ["0", "1", "2"]
    assert stored.probes.view_N.tolist() == ["a", "b", "a"]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pickle.dumps({"gallery_features": Evil()}), "which is not read"),  # a file that would run code
        (pickle.dumps({"x": np.array([{}], object)}), "objects|not read|type"),  # objects inside an array
        (pickle.dumps([1, 2]), "not a dictionary"),
        (b"", "not a readable pickle"),
        (pickle.dumps({}), "'gallery_features' is missing"),
        (pickle.dumps(published() | {"probe_valid": np.full(11, 99)}), "'probe_valid'"),  # more than there is
        (pickle.dumps(published() | {"gallery_features": np.full((11, 8, 4), np.nan)}), "'gallery_features' must be finite"),
        (pickle.dumps(published() | {"gallery_labels": np.zeros((2, 2))}), "'gallery_labels'"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "features.pkl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=says) as caught:
        load_stored(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "ran").exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_changed_byte_never_does_more_than_an_error(tmp_path: Path, place: int, byte: int) -> None:
    content = bytearray(pickle.dumps(published(3, 2), protocol=2))
    content[place % len(content)] = byte
    path = tmp_path / "changed"
    path.write_bytes(content)
    try:
        load_stored(path)
    except RecordingError as error:
        assert str(path) in str(error)
