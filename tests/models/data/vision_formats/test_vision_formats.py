"""Formats of the published camera data sets: good files are read whole, errors name file and place."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data.recordings import RecordingError
from models.data.vision_formats.densegait import load_tracklets
from models.data.vision_formats.frames import pictures, silhouettes, walks
from models.data.vision_formats.joints import load_fifteen, load_openpose, pose_folder
from models.data.vision_formats.names import WalkName, read_name
from models.data.vision_formats.protocols import PROTOCOLS, load_fvg, positions
from models.skeleton.appearance import NAMES


@pytest.mark.parametrize(
    ("dataset", "name", "expected"),
    [
        ("casia-b", "001-nm-01-090", WalkName("001", "nm", 1, "090")),  # file name
        ("casia-b", "CASIA-B/124/cl-02/180", WalkName("124", "cl", 2, "180")),  # folders
        ("tum-gaid", "image/p305/s02", WalkName("305", "s", 2, "")),
        ("tum-gaid", "p001/n12", WalkName("001", "n", 12, "")),  # second session
        ("outdoor-gait", "526_scene2_cl_L_090_4", WalkName("526", "cl", 4, "scene2")),
        ("szu", "099/8", WalkName("099", "", 8, "")),
        ("fvg", "session2/147_12", WalkName("147", "", 12, "2")),
    ],
)
def test_names(dataset: str, name: str, expected: WalkName) -> None:
    assert read_name(dataset, name) == expected


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("casia-b", "001-nm-07-090"),  # there are six normal walks
        ("casia-b", "001-nm-01-091"),  # no such view
        ("tum-gaid", "p001/x01"),
        ("outdoor-gait", "526_scene2_cl_R_090_4"),
        ("szu", "099/9"),
        ("nowhere", "001"),
    ],
)
def test_unknown_names_are_refused(dataset: str, name: str) -> None:
    with pytest.raises(RecordingError, match=name if dataset != "nowhere" else "nowhere"):
        read_name(dataset, name)


def picture(file: Path, left: int, top: int = 20, bottom: int = 220) -> None:
    """A silhouette 60 pixels wide in a picture of 320 x 240."""
    file.parent.mkdir(parents=True, exist_ok=True)
    frame = np.zeros((240, 320), np.uint8)
    frame[top:bottom, left : left + 60] = 255
    assert cv2.imwrite(str(file), frame)


def test_folders_of_silhouettes(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / "007" / "bg-02" / "036" / f"007-bg-02-036-00{k}.png", 20 + 80 * k)
    cv2.imwrite(str(tmp_path / "007" / "bg-02" / "036" / "007-bg-02-036-003.png"), np.zeros((240, 320), np.uint8))
    ((name, folder),) = walks("casia-b", tmp_path)
    assert name == WalkName("007", "bg", 2, "036")
    masks = silhouettes(folder)
    assert masks.shape == (4, 64, 44)
    assert np.array_equal(masks[0], masks[2])  # wherever the person stands
    assert masks[0].any(axis=1).all()  # the height fills the rows
    columns = np.flatnonzero(masks[0].any(axis=0))
    assert (columns.mean(), len(columns)) == (pytest.approx(21.5, abs=1), pytest.approx(60 * 64 / 200, abs=1))
    assert not masks[3].any()


def bad_picture(root: Path) -> object:
    folder = root / "001" / "nm-01" / "000"
    folder.mkdir(parents=True)
    (folder / "frame.png").write_bytes(b"no picture")
    return pictures(folder)


def nobody(root: Path) -> object:
    (root / "w").mkdir()
    cv2.imwrite(str(root / "w" / "a.png"), np.zeros((20, 20), np.uint8))
    return silhouettes(root / "w")


def misnamed(root: Path) -> object:
    picture(root / "someone" / "a.png", 3)
    return list(walks("casia-b", root))


def joints(root: Path, array: np.ndarray) -> object:
    np.save(root / "001-nm-01-000.npy", array)
    return load_openpose(root / "001-nm-01-000.npy")


def tracks(root: Path, change: Callable[[dict[str, str]], object] = lambda row: None, drop: str | None = None) -> object:
    """A csv of two tracks; the second is changed."""
    rows = [{"track_id": f"t{k}", "file_path": f"{k}.npy"} | dict.fromkeys(NAMES, "0.25") for k in range(2)]
    change(rows[1])
    columns = [name for name in rows[0] if name != drop]
    with (root / "tracks.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return load_tracklets(root / "tracks.csv")


def fvg(root: Path, text: str) -> object:
    (root / "fvg.txt").write_text(text)
    return load_fvg(root / "fvg.txt")


def fifteen(root: Path, **changed: np.ndarray) -> object:
    about = {"label": np.arange(2), "angle": np.array([0, 18]), "situation": np.array(["nm", "cl"])}
    np.savez(root / "a.npz", **({"joints": np.ones((2, 64, 15, 2), np.float32)} | about | changed))
    return load_fifteen(root / "a.npz")


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (bad_picture, r"frame\.png: not a readable picture"),
        (nobody, "no frame holds a silhouette"),
        (misnamed, "someone: .*SUBJECT-CONDITION"),
        (lambda root: list(walks("casia-b", root / "absent")), "absent: no such folder"),
        (lambda root: joints(root, np.zeros((5, 17, 3))), r"npy: must hold \(frames, 18, 3\)"),  # COCO instead of OpenPose
        (lambda root: joints(root, np.where(np.arange(5)[:, None, None] == 3, np.nan, np.zeros((5, 18, 3)))), "npy: frame 3 holds NaN"),
        (lambda root: list(pose_folder("casia-b", root)), "no npy files"),
        (lambda root: tracks(root, drop="Boots"), "line 1: 1 of 42 attributes are missing: Boots"),
        (lambda root: tracks(root, lambda row: row.update(Boots="much")), "line 3: column 'Boots': 'much' is no number"),
        (lambda root: tracks(root, lambda row: row.update(Fat="1.5")), "line 3: column 'Fat': 1.5 is no probability"),
        (
            lambda root: tracks(root, lambda row: row.update(file_path="../../secret.npy")),
            "line 3: column 'file_path': .* leaves the folder",
        ),
        (lambda root: tracks(root, drop="track_id"), "line 1: no column 'track_id'"),
        (lambda root: fvg(root, "WS,gallery,1,2\nWS,prob,1,4\n"), "line 2: 'WS,prob,1,4' is not"),
        (lambda root: fvg(root, "WS,gallery,1,2\n"), "protocol 'WS' has no probe"),
        (lambda root: fifteen(root, angle=np.zeros(3)), r"a\.npz: field 'angle' must have 2 entries"),
        (lambda root: fifteen(root, joints=np.full((2, 64, 15, 2), np.nan)), r"a\.npz: field 'joints', walk 0 holds NaN"),
    ],
)
def test_errors_name_file_and_place(tmp_path: Path, read: Callable[[Path], object], says: str) -> None:
    with pytest.raises(RecordingError, match=says) as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_skeleton_files(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).normal(size=(30, 18, 3))
    np.save(tmp_path / "001-bg-01-054.npy", stored)
    (walk,) = pose_folder("casia-b", tmp_path)
    assert walk.name == WalkName("001", "bg", 1, "054")
    assert np.allclose(walk.joints, stored, atol=1e-6)
    assert np.allclose(load_openpose(tmp_path / "001-bg-01-054.npy", upside_down=True)[..., 1], -stored[..., 1], atol=1e-6)


def test_tracks_carry_their_attributes_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.ones((4, 18, 3)))
    both = tracks(tmp_path, lambda row: row.update(Female="0.75", HoldObjectsInFront="1"))
    assert isinstance(both, list)
    assert [track.track for track in both] == ["t0", "t1"]
    assert (both[1].soft_A[0], both[1].soft_A[41], both[1].soft_A[5]) == (0.75, 1.0, 0.25)
    assert both[1].joints()[0, 0].tolist() == [1.0, -1.0, 1.0]  # y upwards
    with pytest.raises(RecordingError, match=r"0\.npy: no such file"):
        both[0].joints()


def test_fifteen_joints_end_before_the_first_empty_frame(tmp_path: Path) -> None:
    stored = np.ones((2, 64, 15, 2), np.float32)
    stored[0, 40:, [6, 7, 13, 14], 0] = 0.0
    stored[1, 0, [6, 7, 13, 14], 0] = 0.0  # nobody from the start: left out
    walks_read = fifteen(tmp_path, joints=stored)
    assert isinstance(walks_read, list)
    assert [len(walk.joints) for walk in walks_read] == [40]
    assert walks_read[0].name == WalkName("0", "nm", 1, "0")


def test_protocols_divide_people_and_walks() -> None:
    def role(protocol: str, name: WalkName) -> str | None:
        return PROTOCOLS[protocol].role(name)

    assert role("casia-b-74", WalkName("075", "nm", 4, "090")) == "gallery"
    assert role("casia-b-74", WalkName("075", "nm", 5, "090")) == "probe"
    assert role("casia-b-74", WalkName("074", "nm", 5, "090")) is None  # trains
    assert PROTOCOLS["casia-b-74"].trains(WalkName("074", "nm", 5, "090"))
    assert role("casia-b-62", WalkName("063", "CL", 2, "000")) == "probe"
    assert role("szu", WalkName("050", "", 4, "")) == "gallery"
    assert role("tum-gaid", WalkName("300", "n", 7, "")) is None  # second session
    for protocol in PROTOCOLS.values():
        assert protocol.training[1] < protocol.test[0]  # nobody trains who is tested
    assert positions(["600", "525", "530"])["530"] == "2"


def test_fvg_protocols(tmp_path: Path) -> None:
    read = fvg(tmp_path, "# speed\nWS,gallery,1,2\nWS, probe, 1, 4  # slow\nWS,probe,2,6\n\nALL,gallery,1,2\nALL,probe,3,1\n")
    assert isinstance(read, dict)
    assert read["WS"] == {"gallery": {(1, 2)}, "probe": {(1, 4), (2, 6)}}
    assert set(read) == {"WS", "ALL"}
