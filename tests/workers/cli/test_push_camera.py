"""`gaitstream push camera`, `simulate` and `models fetch` as a person uses them: what is printed, what is sent, exit codes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pose import fetch
from streams.clients import read_partitions
from streams.messages import CameraFrame, ImuChunk
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES, IMU_RAW
from tests.support.brokers import BrokerProcess, free_port
from tests.support.fetched import require_networks
from tests.workers.cli.test_cli_errors import run


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess("embedded", tmp_path_factory.mktemp("push-camera") / "broker") as process:
        asyncio.run(ensure_topics(Settings(bootstrap=process.bootstrap)))
        yield process


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "front door"
    folder.mkdir()
    for n in range(6):
        cv2.imwrite(str(folder / f"{n}.jpg"), np.full((48, 64, 3), 40 * n, np.uint8))
    return folder


def frames_of(broker: BrokerProcess, camera_id: str) -> list[CameraFrame]:
    async def read() -> list[CameraFrame]:
        records = read_partitions(Settings(bootstrap=broker.bootstrap), CAMERA_FRAMES.name)
        frames = [CameraFrame.from_bytes(record.value) async for record in records]
        return [frame for frame in frames if frame.camera_id == camera_id]

    return asyncio.run(read())


def test_a_real_video(data_dir: Path, broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Without a start the clip ends now; with one the same clip gives the same frames."""
    clip = str(data_dir / "vision" / "kth_walk" / "person01_walking_d1.avi")
    before_ns = time.time_ns()
    arguments = ["--bootstrap", broker.bootstrap, "push", "camera", clip, "--speed", "max"]
    assert run([*arguments, "--json"], monkeypatch, capsys) == (0, '{"camera": "person01_walking_d1", "frames": 555, "dropped": 0}\n')
    frames = frames_of(broker, "person01_walking_d1")
    assert len(frames) == 555
    assert before_ns <= frames[-1].time_ns <= time.time_ns()
    for _ in range(2):
        code, said = run([*arguments, "--camera-id", "again", "--start-ns", "1000", "--fps", "5"], monkeypatch, capsys)
        assert (code, "111 frames of camera again" in said) == (0, True), said
    frames = frames_of(broker, "again")
    assert [frame.to_bytes() for frame in frames[:111]] == [frame.to_bytes() for frame in frames[111:]]
    assert frames[0].time_ns == 1000


def test_a_directory(pictures: Path, broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    arguments = ["--bootstrap", broker.bootstrap, "push", "camera", str(pictures), "--speed", "10"]
    code, said = run(arguments, monkeypatch, capsys)
    assert (code, "6 frames of camera front-door" in said) == (0, True), said
    frames = frames_of(broker, "front-door")
    assert [frame.time_ns - frames[0].time_ns for frame in frames] == [n * 80_000_000 for n in range(6)]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["absent.avi"], 1, "absent.avi: no such file or directory"),
        (["empty"], 1, "no pictures here"),
        (["damaged"], 1, "1.jpg: not a picture"),
        (["no-video.mp4"], 1, "not a video"),
        (["ftp://host/video"], 1, "ftp:// is no camera"),
        (["rtsp://"], 1, "names no host"),
        (["damaged", "--speed", "fast"], 1, "--speed is a positive number or max"),
        (["damaged", "--camera-id", "a/b"], 1, "cannot be a camera id"),
        (["damaged", "--quality", "0"], 2, "--quality"),
        (["damaged", "--loop", "--speed", "max"], 1, "--loop goes on for ever"),
        (["rtsp://host/live", "--speed", "2"], 1, "are for recorded pictures"),  # a live camera has one speed
        (["0", "--loop"], 1, "are for recorded pictures"),
    ],
)
def test_a_refusal_is_a_sentence(
    arguments: list[str],
    code: int,
    says: str,
    broker: BrokerProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "damaged"):
        (tmp_path / folder).mkdir()
    cv2.imwrite("damaged/0.jpg", np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "damaged" / "1.jpg").write_bytes(b"\xff\xd8 cut off")
    (tmp_path / "no-video.mp4").write_bytes(bytes(1000))
    found, said = run(["--bootstrap", broker.bootstrap, "push", "camera", *arguments], monkeypatch, capsys)
    assert (found, says in " ".join(said.split())) == (code, True), said
    assert "Traceback" not in said


def test_ctrl_c_ends_a_live_camera_that_is_not_there(broker: BrokerProcess):
    """The password is not printed."""
    uri = f"rtsp://user:secret@127.0.0.1:{free_port()}/live"
    command = [sys.executable, "-m", "workers.cli", "--bootstrap", broker.bootstrap, "push", "camera", uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "tried again" in said:
                break
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
        assert process.wait(20) == 0, said
    assert "does not answer" in said and "0 frames of camera 127.0.0.1-live" in said
    assert "secret" not in said and "Traceback" not in said


def test_simulated_cameras_and_phones(broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    simulate = ["--bootstrap", broker.bootstrap, "simulate"]
    code, said = run([*simulate, "cameras", "--cameras", "1", "--people", "1", "--strangers", "0", "--seconds", "1"], monkeypatch, capsys)
    assert (code, "of 1 cameras: camera-0" in said) == (0, True), said
    assert frames_of(broker, "camera-0")
    code, said = run([*simulate, "phones", "--phones", "1", "--strangers", "1", "--seconds", "2.5"], monkeypatch, capsys)
    assert (code, "of 2 phones: phone-walker-1, phone-stranger-2" in said) == (0, True), said

    async def devices() -> Counter[str]:
        records = read_partitions(Settings(bootstrap=broker.bootstrap), IMU_RAW.name)
        return Counter([ImuChunk.from_bytes(record.value).device_id async for record in records])

    assert set(asyncio.run(devices())) == {"phone-walker-1", "phone-stranger-2"}
    code, said = run([*simulate, "cameras", "--people", "0", "--strangers", "0"], monkeypatch, capsys)
    assert (code, "nobody is there" in said) == (1, True), said


# ---- models fetch -----------------------------------------------------------------------------------------------------------------------


def test_fetched_networks_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Where they are there already nothing is asked of the network."""
    require_networks()
    monkeypatch.setattr(fetch, "_download", None)
    monkeypatch.setattr("sys.argv", ["gaitstream", "models", "fetch", "--json"])
    from workers.cli import main

    with pytest.raises(SystemExit) as raised:
        main()
    rows = json.loads(capsys.readouterr().out)
    assert not raised.value.code
    assert [(row["name"], Path(row["path"]).is_file()) for row in rows] == [(weights.name, True) for weights in fetch.ALL]
    code, said = run(["models", "fetch"], monkeypatch, capsys)
    assert (code, said.count("already in")) == (0, len(fetch.ALL))


def test_networks_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A pip without an index is a machine without a network."""
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    for name, value in {"GAITSTREAM_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}.items():
        monkeypatch.setitem(os.environ, name, value)
    code, said = run(["models", "fetch"], monkeypatch, capsys)
    assert code == 1
    for weights in fetch.ALL:
        assert f"{weights.name} could not be fetched" in said and weights.without in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("given", "harm", "what", "state", "says"),
    [
        ({}, "none", "detector", "note", "motion alone"),  # never fetched: phones need neither, so nothing is wrong
        ({}, "none", "pose", "note", "no pose"),
        ({}, "damaged", "pose", "wrong", "delete it"),
        ({"camera_detector": "motion"}, "none", "detector", "fine", "motion alone"),
        ({"camera_detector": "yolo.onnx"}, "none", "detector", "wrong", "no file yolo.onnx"),
        ({"camera_pose": __file__}, "none", "pose", "fine", __file__),  # the operator's own, by path
    ],
)
async def test_the_doctor_looks_for_them(
    given: dict[str, str], harm: str, what: str, state: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from workers.doctor import examine

    monkeypatch.setenv("GAITSTREAM_CACHE", str(tmp_path))
    if harm == "damaged":
        (tmp_path / fetch.POSE.file).write_bytes(b"half")
    findings = await examine(Settings(bootstrap="127.0.0.1:1", **given))  # type: ignore[arg-type]
    (finding,) = [finding for finding in findings if finding.what == what]
    assert (finding.state, says in finding.text) == (state, True), finding
