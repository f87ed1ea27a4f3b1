"""`gaitstream evaluate --all`: every network on every task and every data set at hand, as cached rows.

A network without shipped weights is trained first, by the small recipe, on people of the training part of MotionSense (for extraction of
GeoTec too); weights and rows are kept in the cache folder under names that hold the network's space, so that a second run computes only
what is new.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from models.catalogue import EMBEDDING as EMBEDDING_TASK
from models.catalogue import EXTRACTION as EXTRACTION_TASK
from models.catalogue import INERTIAL, NETWORKS, NetworkEntry
from models.data.loading import load_recordings
from models.data.recordings import Recording
from models.evaluation.extraction import evaluate_extraction
from models.evaluation.identification import evaluate_identification
from models.evaluation.labelled import PairScorer, Windows, labelled_windows, recognise, recognise_pairs
from models.evaluation.report import Evaluation, over_people
from models.evaluation.splits import EXTRACTION, RECOGNITION, ExtractionSplit, RecognitionSplit
from models.evaluation.verification import evaluate_verification
from models.inertial.embedder import PenultimateEmbedding
from models.inertial.extractor import StreamingUNet, WalkExtractor
from models.inertial.published import UNet
from models.inertial.verifier import TEMPLATE_WINDOWS
from models.matching.vectors import leading
from models.registry import WEIGHTS_DIR, RegistryError, find_network, load_embedder, load_extractor, load_verifier, load_weights, read_card
from models.training.train import train
from models.types import GRID_RATE_HZ

VERSION = 3
"""Of the protocol of the rows. Raise it with any change of splits or figures, and cached rows are computed again."""

TRAINING_PEOPLE = "1-12"
TRAINING_TRIALS = "trial=7,8"
"""Of MotionSense, for recognition; trial 15 of the same people stays for the closed-set figure."""

EXTRACTION_PEOPLE = "motionsense=1-12;geotec_spsw=1-11"
"""As for our own extractor."""

PUBLISHED_BLOCK = UNet.WINDOW - StreamingUNet.CONTEXT - StreamingUNet.LOOKAHEAD
"""Whole recordings go through the U-Net in inputs of its published 1024 samples; the answers are those of the streaming form."""

LIVE_SPLITS = 2
"""The first splits are also measured on windows that the default extractor finds; the others' walks are too short, or have no gravity."""

SLOW = ("whugait-dl-lstm-1024", "whugait-cnn-lstm", "whugait-cnnfix-lstm", "whugait-cnn-lstmfix")

SLOW_WINDOWS = 8
"""Of each recording, for the slow networks; the report marks their rows."""

Row = dict[str, Any]
Say = Callable[[str], None]


@dataclass
class Suite:
    """One run. data_dir: folder with imu/*.npz.  cache_dir: weights and rows.  say: called with a line of progress."""

    data_dir: Path
    cache_dir: Path
    say: Say = print

    def rows(self, names: Sequence[str] | None = None) -> list[Row]:
        """Rows of all networks, or of the named ones, in the order of the registry. Raises UnknownNetworkError."""
        inertial = [entry for entry in NETWORKS.values() if entry.modality == INERTIAL]  # cameras: models.evaluation.camera
        chosen = [find_network(name) for name in names] if names else order_of_training(inertial)
        for entry in chosen:
            self.weights_of(entry)
        rows = []
        for entry in [entry for entry in NETWORKS.values() if entry in chosen]:
            rows += self.rows_of(entry)
        return rows

    def weights_of(self, entry: NetworkEntry) -> Path:
        """The folder that has the network's weights: the shipped ones, or trained into the cache."""
        for folder in (WEIGHTS_DIR, self.cache_dir / "weights"):
            try:
                read_card(entry.name, folder)
                return folder
            except RegistryError:
                continue
        if entry.pretrained is not None:
            self.weights_of(find_network(entry.pretrained))
        began, folder = time.monotonic(), self.cache_dir / "weights"
        imu = self.data_dir / "imu"
        extraction = entry.task == EXTRACTION_TASK
        train(
            entry.name,
            [imu / "motionsense.npz", *([imu / "geotec_spsw.npz"] if extraction else [])],
            folder,
            people=EXTRACTION_PEOPLE if extraction else TRAINING_PEOPLE,
            where=None if extraction else TRAINING_TRIALS,
            small=True,
        )
        self.say(f"{entry.name}: trained in {time.monotonic() - began:.0f} s")
        return folder

    def rows_of(self, entry: NetworkEntry) -> list[Row]:
        """The rows of one network on every split of its task."""
        folder = self.weights_of(entry)
        space = str(read_card(entry.name, folder)["space"])
        rows: list[Row] = []
        if entry.task == EXTRACTION_TASK:
            shape = load_extractor("default")
            samples = f"{shape.context_samples}+{shape.block_samples}+{shape.lookahead_samples}"
            rows += [
                self.cached(f"{space}|{place.key}|{samples}", partial(self.extract, entry, folder, place))
                for place in EXTRACTION
                if not (entry.published and place.own_only)
            ]
        else:
            card = read_card(entry.name, folder)
            compared = compared_space(card)
            rows += [
                self.cached(f"{compared}|{split.key}", partial(self.recognise, entry, folder, split))
                for split in RECOGNITION
                if not self.knows(card, split)
            ]
            if entry.default:
                cutter = load_extractor("default").space
                rows += [
                    self.cached(f"{compared}|{cutter}|{split.key}", partial(self.live, entry, split)) for split in RECOGNITION[:LIVE_SPLITS]
                ]
            if entry.per_person:
                rows.append(self.cached(f"{space}|closed", lambda: self.closed_set(entry, folder)))
        return [{"network": entry.name, "task": entry.task, "space": space, **row} for row in rows]

    def knows(self, card: dict[str, Any], split: RecognitionSplit) -> bool:
        """Whether anybody of the split trained or stopped the network: research weights are measured by folds (research_folds) instead."""
        use = card.get("data", {}).get(split.file, {})
        own = {person for part in ("trained_on", "held_out") for person in use.get(part, ())}
        return bool(own) and any(r.subject in own for part in split.load(self.data_dir) for r in part)

    def cached(self, key: str, compute: Callable[[], Row]) -> Row:
        """The row kept under the key, or a new one."""
        name = (
            "".join(c if c.isalnum() or c in "-@" else "_" for c in key) + "-" + hashlib.sha256(f"{VERSION}{key}".encode()).hexdigest()[:8]
        )
        file = self.cache_dir / "rows" / f"{name}.json"
        if file.exists():
            row: Row = json.loads(file.read_text(encoding="utf-8"))
            return row
        began = time.monotonic()
        row = {**compute(), "seconds": round(time.monotonic() - began, 1)}
        self.say(f"{key}: {row['seconds']:.0f} s")
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(row), encoding="utf-8")
        temporary.replace(file)
        return row

    def extract(self, entry: NetworkEntry, folder: Path, split: ExtractionSplit) -> Row:
        """The split's recordings, all networks on the samples that our own extractor decides live."""
        extractor = live = load_extractor(entry.name, folder)
        if entry.published:
            network, card = load_weights(entry, folder)
            assert isinstance(network, StreamingUNet)
            extractor = WalkExtractor(StreamingUNet(network.network, PUBLISHED_BLOCK), entry.name, card["space"], card)
        shape = load_extractor("default")
        evaluation = evaluate_extraction(extractor, split.load(self.data_dir), decided_by=shape)
        return {"split": split.key, "lookahead_s": live.lookahead_samples / GRID_RATE_HZ, "extraction": evaluation.to_json()}

    def recognise(self, entry: NetworkEntry, folder: Path, split: RecognitionSplit) -> Row:
        """Identification and verification of one split."""
        enrol, probe = self.windows(split, slow(entry))
        row: Row = {"split": split.key}
        space = str(read_card(entry.name, folder)["space"])
        if entry.task == EMBEDDING_TASK:
            embedder = load_embedder(entry.name, folder)
            both = recognise(lambda x_WT6: leading(embedder.embed(x_WT6)[0], embedder.matched_dim), enrol, probe, {"embedder": space})
        else:
            verifier = load_verifier(entry.name, folder)
            scorer = PairScorer(verifier.maps, verifier.pair_scores, TEMPLATE_WINDOWS)
            both = recognise_pairs(scorer, enrol, probe, {"verifier": space})
        return row | {evaluation.task: evaluation.to_json() for evaluation in both}

    def live(self, entry: NetworkEntry, split: RecognitionSplit) -> Row:
        """Identification and verification of one split on the windows that the default extractor finds, as live."""
        extractor, embedder = load_extractor("default"), load_embedder(entry.name)
        enrol, probe = split.load(self.data_dir)
        both = evaluate_identification(extractor, embedder, enrol, probe), evaluate_verification(extractor, embedder, enrol, probe)
        row: Row = {"split": split.key, "windows": f"windows of {extractor.name}"}
        return row | {evaluation.task: evaluation.to_json() for evaluation in both}

    def closed_set(self, entry: NetworkEntry, folder: Path) -> Row:
        """The published task: which of the training people, by the last layer, on the recordings of theirs that training left out."""
        network, card = load_weights(entry, folder)
        assert isinstance(network, PenultimateEmbedding)
        people = [str(key).split("/")[1] for key in card["people"]]
        chosen = [r for r in self.closed_set_recordings() if r.subject in people]
        windows = labelled_windows(chosen, SLOW_WINDOWS if slow(entry) else None)
        network.eval()
        right = {person: [0, 0] for person in people}
        with torch.inference_mode():
            for recording, _, x_WT6 in windows:
                guesses = torch.cat([network.network(part).argmax(1) for part in torch.from_numpy(x_WT6).split(128)])
                right[recording.subject][0] += int((guesses == people.index(recording.subject)).sum())
                right[recording.subject][1] += len(guesses)
        return {"split": "closed", "closed": accuracy_over_people(right)}

    def closed_set_recordings(self) -> list[Recording]:
        """Trial 15 of the training people."""
        return load_recordings(self.data_dir / "imu" / "motionsense.npz", people=TRAINING_PEOPLE, where="trial=15")

    def windows(self, split: RecognitionSplit, slow: bool) -> tuple[Windows, Windows]:
        """(enrolment, probes) of a split, cut once; of fewer windows for slow networks."""
        key = f"{split.key}{slow}"
        if key not in self._windows:
            most = split.windows_per_recording
            most = min(most or SLOW_WINDOWS, SLOW_WINDOWS) if slow else most
            enrol, probe = (labelled_windows(recordings, most) for recordings in split.load(self.data_dir))
            self._windows[key] = enrol, probe
        return self._windows[key]

    @cached_property
    def _windows(self) -> dict[str, tuple[Windows, Windows]]:
        return {}


def compared_space(card: Mapping[str, Any]) -> str:
    """The space of a model card, with the number of directions that are compared where the card says it: rows depend on both."""
    return "|".join(str(card[name]) for name in ("space", "matched_dim") if name in card)


def slow(entry: NetworkEntry) -> bool:
    """Whether it has an LSTM of 1024 hidden units, which takes 60 ms a window."""
    return entry.name in SLOW


def accuracy_over_people(right: dict[str, list[int]]) -> dict[str, Any]:
    """Accuracy of windows with its interval over people. right: per person, (right answers, windows)."""
    people = [person for person, (_, count) in right.items() if count]

    def figures(chosen: Sequence[str]) -> dict[str, float]:
        return {"accuracy": sum(right[p][0] for p in chosen) / max(sum(right[p][1] for p in chosen), 1)}

    counts = {"people": len(people), "windows": sum(count for _, count in right.values())}
    return Evaluation("closed-set identification", {}, over_people(people, figures), counts).to_json()


def order_of_training(entries: Sequence[NetworkEntry]) -> list[NetworkEntry]:
    """Quick ones first, those with 1024 hidden units last: a run that is broken off has most rows."""
    return sorted(entries, key=lambda entry: 1 if entry.name in SLOW else 2 if "-unet" in entry.name else 0)
