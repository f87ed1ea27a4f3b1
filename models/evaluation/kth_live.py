"""KTH clips through the live path: whom events would name, when people are enrolled from the passes of one clip and pass again.

    python -m models.evaluation.kth_live --data-dir ../shared/data --cache-dir ../kth_live_cache [--json]

Video → JPEG → the camera worker's own `CameraScene` and `TrackSequence` → windows → embedder → evidence of the track → decision policy: what
`tests/integration/test_kth_camera.py` shows to give the same events as the workers on a broker. A pass of KTH takes 1.2 to 2.2 s, less than a window of
2.56 s, so few windows come of it, and whoever is seen for too short is `undecided`, whatever the score: the rank-1 rows tell who scored best.

Enrolment takes every window of the enrolled passes (the control plane would ask for five of one track); with one template per track.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.camera_embedder import CameraEmbedder
from models.data.recordings import RecordingError
from models.evaluation.markdown import table
from models.matching import DecisionPolicy, Gallery
from models.matching.evidence import combine
from models.pose import fetch
from models.pose.blazepose import BlazePose, Pose
from models.pose.boxes import Image
from models.pose.detector import EfficientDetLite0
from models.pose.scene import CameraScene
from models.pose.sequences import CameraWindow, TrackSequence
from models.pose.trimmed import MASK_PX
from models.registry import WEIGHTS_DIR, load_camera_embedder
from models.types import Float32

FRAME_NS = 40_000_000
BEGIN_NS = 1_790_000_000_000_000_000
JPEG_QUALITY = 80
"""As `gaitstream push camera` sends by default."""
LEAST_WALKING = 0.3
"""As `workers.camera.view`."""
TARGET_FPIR = 0.001
MIN_WINDOWS = 3
"""Both as the settings' defaults."""
WORDS = ("right", "wrong", "unknown", "undecided", "no window")


@dataclass(frozen=True, slots=True)
class Observed:
    """A track in one picture, as `CameraScene` gave it."""

    track: str
    time_ns: int
    pose: Pose
    box_4: Float32
    score: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """One track of one clip. windows: may be none."""

    person: str
    scenario: int
    track: str
    first_ns: int
    pictures: int
    windows: tuple[CameraWindow, ...]


def sent(video: Path, begin_ns: int = BEGIN_NS) -> Iterator[tuple[int, Image]]:
    """Time and picture of every frame as a camera worker decodes it. Raises RecordingError."""
    capture = cv2.VideoCapture(str(video))
    number = 0
    while (read := capture.read())[0]:
        jpeg = cv2.imencode(".jpg", read[1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        yield begin_ns + number * FRAME_NS, np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
        number += 1
    capture.release()
    if not number:
        raise RecordingError(f"{video}: no picture can be decoded")


def observations(pictures: Iterable[tuple[int, Image]]) -> Iterator[Observed]:
    """Everybody whom the camera path sees in one camera's pictures. Raises WeightsUnavailable without the fetched networks."""
    scene = CameraScene(EfficientDetLite0(fetch.path_of(fetch.DETECTOR)), BlazePose(fetch.path_of(fetch.POSE)))
    for time_ns, image_HW3 in pictures:
        if scene.wants(time_ns):
            for seen in scene.look(image_HW3, time_ns).seen:
                yield Observed(seen.name, time_ns, seen.pose, seen.box_4, seen.score, seen.sure)


def passages(observed: Sequence[Observed], person: str, scenario: int) -> list[Passage]:
    """Tracks that became sure, in the order of their beginnings, cut as the camera worker cuts them."""
    found = []
    for track in dict.fromkeys(o.track for o in observed):
        mine = [o for o in observed if o.track == track]
        if not mine[-1].sure:
            continue
        sequence, windows = TrackSequence(), list[CameraWindow]()
        for o in mine:
            sequence.add(o.time_ns, o.pose, o.box_4, o.score)
            windows += sequence.windows()
        windows += sequence.finish()
        walking = tuple(window for window in windows if window.walking >= LEAST_WALKING)
        found.append(Passage(person, scenario, track, mine[0].time_ns, len(mine), walking))
    return found


def load(data_dir: Path, cache_dir: Path | None) -> list[Passage]:
    """Passages of every clip of scenarios 1, 3 and 4 that is there. Raises RecordingError without clips, WeightsUnavailable."""
    clips = sorted((data_dir / "vision" / "kth_walk").glob("person*_walking_d[134].avi"))
    if not clips:
        raise RecordingError(f"{data_dir / 'vision' / 'kth_walk'}: no person*_walking_d[134].avi")
    found = []
    for clip in clips:
        observed = _cached(clip, cache_dir)
        found += passages(observed, clip.stem[:8], int(clip.stem[-1]))
    return found


def _cached(clip: Path, cache_dir: Path | None) -> list[Observed]:
    """Observations of a clip, kept as npz: they take the networks a minute per clip on a busy machine, and no evaluation changes them."""
    kept = cache_dir / f"{clip.stem}.npz" if cache_dir else None
    if kept is None or not kept.is_file():
        observed = list(observations(sent(clip)))
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            masks_NHW = np.stack([o.pose.mask_HW if o.pose.mask_HW is not None else np.zeros((MASK_PX, MASK_PX), bool) for o in observed])
            np.savez_compressed(
                kept, track=[o.track for o in observed], time_ns=[o.time_ns for o in observed], box=[o.box_4 for o in observed],
                score=[o.score for o in observed], sure=[o.sure for o in observed], crop=[o.pose.crop_23 for o in observed],
                keypoints=[o.pose.keypoints_J3 for o in observed], mask=np.packbits(masks_NHW, axis=-1),
            )  # fmt: skip
        return observed
    with np.load(kept, allow_pickle=False) as z:
        rows = {name: z[name] for name in z.files}
    masks_NHW = np.unpackbits(rows["mask"], axis=-1).astype(bool)
    return [
        Observed(
            str(rows["track"][n]), int(rows["time_ns"][n]),
            Pose(rows["keypoints"][n], float(rows["score"][n]), masks_NHW[n], rows["crop"][n]),
            rows["box"][n], float(rows["score"][n]), bool(rows["sure"][n]),
        )
        for n in range(len(rows["track"]))
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vectors:
    """A passage's windows embedded: vector_WD unit rows, quality_W (the lower of network's and picture's), start_ns_W."""

    vector_WD: Float32
    quality_W: Float32
    start_ns_W: NDArray[np.int64]


def embedded(passage: Passage, embedder: CameraEmbedder) -> Vectors | None:
    """As the identity worker embeds them; None without a window."""
    if not passage.windows:
        return None
    vector_WD, quality_W = embedder.embed(
        np.stack([w.poses.keypoints_TJ3 for w in passage.windows]), np.stack([w.silhouettes.masks_THW for w in passage.windows])
    )
    picture_W = np.array([w.quality for w in passage.windows], np.float32)
    return Vectors(vector_WD, np.minimum(quality_W, picture_W), np.array([w.start_ns for w in passage.windows], np.int64))


def gallery_of(templates: Sequence[tuple[Passage, Vectors]], embedder: CameraEmbedder, without: str | None = None) -> Gallery:
    """One template per enrolled track."""
    gallery = Gallery(embedder.space, embedder.dim)
    for n, (passage, vectors) in enumerate(templates):
        if passage.person != without:
            gallery.put(passage.person, str(n), template_of(vectors))
    return gallery


def template_of(vectors: Vectors) -> Float32:
    """(D,) unit vector of a track's windows."""
    return combine([vectors.vector_WD], [vectors.quality_W])[0][0]


@dataclass(frozen=True, slots=True)
class Identified:
    """What came of looking for everybody of `probe` among the people of `enrol`: counts of passes by WORDS, and by the best score alone.

    rank1: of the passes that gave a window.  stranger_named: passes that were given a name after their owner was taken out of the gallery.
    """

    task: str
    min_windows: int
    people: int
    passes: int
    words: dict[str, int]
    rank1: float
    stranger_named: int


def identify(task: str, enrol: Sequence[Passage], probe: Sequence[Passage], embedder: CameraEmbedder, min_windows: int) -> Identified:
    """The last event of every pass: its evidence is all windows of the track."""
    policy = DecisionPolicy(embedder.calibration, TARGET_FPIR, min_windows)
    templates = [(p, v) for p in enrol if (v := embedded(p, embedder)) is not None]
    people = {p.person for p, _ in templates}
    words = dict.fromkeys(WORDS, 0)
    best, named = [], 0
    looked_for = [p for p in probe if p.person in people]
    for passage in looked_for:
        vectors = embedded(passage, embedder)
        if vectors is None:
            words["no window"] += 1
            continue
        for without in (None, passage.person):
            gallery = gallery_of(templates, embedder, without)
            evidence_1D, effective_1 = combine([vectors.vector_WD], [vectors.quality_W], [vectors.start_ns_W])
            matches = gallery.match(evidence_1D, 1)
            decisions = policy.decide(matches, effective_1, [len(vectors.vector_WD)])
            subject = decisions.subject[0]
            if without is not None:
                named += subject is not None
                continue
            words[decisions.outcome[0] if subject is None else "right" if subject == passage.person else "wrong"] += 1
            best.append(matches.subject_BP[0, 0] == passage.person)
    rank1 = float(np.mean(best)) if best else float("nan")
    return Identified(task, min_windows, len(people), len(looked_for), words, rank1, named)


def tasks(found: Sequence[Passage]) -> list[tuple[str, list[Passage], list[Passage]]]:
    """(name, enrolled passes, passes looked for): the first two passes of a clip against its later ones; all of d1 against d3 and d4."""
    order: dict[tuple[str, int], int] = {}
    number = []
    for passage in found:
        key = (passage.person, passage.scenario)
        number.append(order.get(key, 0))
        order[key] = number[-1] + 1
    rows = list(zip(found, number, strict=True))
    result = [
        (
            f"d{s} passes 1-2 → d{s} later",
            [p for p, n in rows if p.scenario == s and n < 2],
            [p for p, n in rows if p.scenario == s and n >= 2],
        )
        for s in (1, 3, 4)
    ]
    first = [p for p in found if p.scenario == 1]
    return result + [(f"d1 → d{s}", first, [p for p in found if p.scenario == s]) for s in (3, 4)]


def markdown(found: Sequence[Passage], rows: Sequence[Identified]) -> str:
    """What the clips gave, and the tasks."""
    windows = [len(p.windows) for p in found]
    counts = " ".join(f"{windows.count(n)} of {n}," for n in sorted(set(windows)))
    head = ("task", "least windows", "enrolled", "passes", *WORDS, "rank-1", "strangers named")
    cells = [
        (
            r.task, str(r.min_windows), str(r.people), str(r.passes), *(str(r.words[w]) for w in WORDS), f"{r.rank1:.2f}",
            f"{r.stranger_named}",
        )
        for r in rows
    ]  # fmt: skip
    return f"{len(found)} tracks; windows per track: {counts.rstrip(',')}.\n\n{table(head, cells)}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation.kth_live", description="KTH clips through the live camera path")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with vision/kth_walk")
    parser.add_argument("--cache-dir", type=Path, help="keeps what the detector and pose networks saw")
    parser.add_argument("--weights-dir", type=Path, default=WEIGHTS_DIR)
    parser.add_argument("--network", default="gait-camera")
    parser.add_argument("--min-windows", default=f"{MIN_WINDOWS},1", help="comma-separated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    embedder = load_camera_embedder(options.network, options.weights_dir)
    found = load(options.data_dir, options.cache_dir)
    least = [int(text) for text in options.min_windows.split(",")]
    rows = [identify(*task, embedder, n) for n in least for task in tasks(found)]
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else markdown(found, rows))


if __name__ == "__main__":
    main()
