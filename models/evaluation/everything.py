"""`evaluate_everything`: rows, leakage, strangers and the report of them, all cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from models.data.loading import load_recordings
from models.data.simulated import simulate
from models.evaluation.adaptation import evaluate_adaptation
from models.evaluation.embedded import EmbeddedRecording
from models.evaluation.full_report import write_report
from models.evaluation.labelled import embed_windows, labelled_windows
from models.evaluation.leakage import NETWORKS as LEAKING
from models.evaluation.leakage import leakage
from models.evaluation.small_sites import DRAWS, SIZES, evaluate_small_sites
from models.evaluation.splits import RECOGNITION, RecognitionSplit
from models.evaluation.strangers import Basis, evaluate_strangers
from models.evaluation.suite import Row, Suite, compared_space
from models.inertial.embedder import GaitEmbedder
from models.registry import load_embedder
from models.training.windows import Cut

SIMULATED_STRANGERS = range(2000, 2040)
SIMULATED_SITES = range(2100, 2180)
"""Seeds that neither training nor calibration nor the demo uses."""

CUTS: dict[Cut, str] = {"fixed-128": "fixed windows", "two-step-128": "two-step samples"}

BASES: dict[Basis, str] = {"shipped": "shipped thresholds", "site": "site thresholds", "space": "site space"}

SITES = ("HAPT, experiment 1 → 2", "simulated walkers")
"""Sets with enough people for a space of the site."""

Recognised = tuple[list[EmbeddedRecording], list[EmbeddedRecording]]


def evaluate_everything(
    data_dir: Path, out: Path, cache_dir: Path, command: str, names: Sequence[str] | None = None, say: Callable[[str], None] = print
) -> Path:
    """Computes what the cache lacks and writes the report to `out`; returns it.

    names: networks whose rows are wanted, None for all.  say: called with a line of progress.
    Raises RecordingError if a data set is missing or not readable.
    """
    suite = Suite(data_dir, cache_dir, say)
    rows = suite.rows(names)
    leaks: dict[str, Row] = {}
    for name in LEAKING if names is None else [name for name in LEAKING if name in names]:
        for cut, words in CUTS.items():
            run_dir = cache_dir / "run" / "leakage"
            leaks[f"{name}, {words}"] = suite.cached(f"leakage|{name}|{cut}", partial(leakage, name, cut, data_dir, run_dir))
    embedder = load_embedder("default")
    compared = compared_space(embedder.card)
    strangers: dict[str, Row] = {}
    for title, load in stranger_sets(data_dir).items():
        for basis, words in BASES.items():
            if basis != "space" or title in SITES:
                key = f"{compared}|strangers|{title}|{basis}"
                strangers[f"{title}, {words}"] = suite.cached(key, partial(_strangers, embedder, load, basis))
    for title, teach in small_site_sets(data_dir).items():
        for size in SIZES:
            key = f"{compared}|small sites|{title}|{size}"
            name = f"{title}, {DRAWS} sites of {size}, site space"
            strangers[name] = suite.cached(key, partial(_small_sites, embedder, teach, size))
    adaptation: dict[str, Row] = {}
    for title, load in adaptation_sets(data_dir).items():
        for adapted in (False, True):
            key = f"{compared}|adaptation|{title}|{adapted}"
            name = f"{title}, {'adapted' if adapted else 'not adapted'}"
            adaptation[name] = suite.cached(key, partial(_adaptation, embedder, load, adapted))
    write_report(rows, leaks, strangers, adaptation, out, command)
    return out


def stranger_sets(data_dir: Path) -> dict[str, Callable[[GaitEmbedder], Recognised]]:
    """People no network saw, by the name of the set: (enrolment, probes) embedded."""
    imu = data_dir / "imu"
    return {
        "simulated walkers": _simulated,
        "MotionSense 13-18": lambda embedder: _embedded(embedder, imu / "motionsense.npz", "trial=7", "trial=8,15", "13-18"),
        "HAPT, experiment 1 → 2": lambda embedder: _embedded(embedder, imu / "hapt.npz", "session=1", "session=2,3", None),
    }


def small_site_sets(data_dir: Path) -> dict[str, Callable[[GaitEmbedder], Recognised]]:
    """People no network saw, by the name of the set: (walks that teach, probes). HAPT has one walk of most people but the probes, so these teach too."""
    imu = data_dir / "imu"

    def hapt(embedder: GaitEmbedder) -> Recognised:
        enrolled, probes = _embedded(embedder, imu / "hapt.npz", "session=1", "session=2,3", None)
        return [*enrolled, *probes], probes

    return {"simulated walkers": _simulated_days, "HAPT": hapt}


def adaptation_sets(data_dir: Path) -> dict[str, Callable[[GaitEmbedder], Recognised]]:
    """Sites of at least 16 people no network saw, as `stranger_sets`."""
    foot = next(split for split in RECOGNITION if split.key == "ipol265")
    return {
        "HAPT, experiment 1 → 2": stranger_sets(data_dir)["HAPT, experiment 1 → 2"],
        foot.title: lambda embedder: _of_split(embedder, foot, data_dir),
    }


def _adaptation(embedder: GaitEmbedder, load: Callable[[GaitEmbedder], Recognised], adapted: bool) -> dict[str, Any]:
    return evaluate_adaptation(embedder, *load(embedder), adapted=adapted).to_json()


def _of_split(embedder: GaitEmbedder, split: RecognitionSplit, data_dir: Path) -> Recognised:
    enrolled, probes = (
        embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(recordings)) for recordings in split.load(data_dir)
    )
    return enrolled, probes


def _strangers(embedder: GaitEmbedder, load: Callable[[GaitEmbedder], Recognised], basis: Basis) -> dict[str, Any]:
    return evaluate_strangers(embedder, *load(embedder), basis=basis).to_json()


def _embedded(embedder: GaitEmbedder, file: Path, enrol: str, probe: str, people: str | None) -> Recognised:
    enrolled, probes = (
        embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(load_recordings(file, people=people, where=where)))
        for where in (enrol, probe)
    )
    return enrolled, probes


def _small_sites(embedder: GaitEmbedder, load: Callable[[GaitEmbedder], Recognised], size: int) -> dict[str, Any]:
    return evaluate_small_sites(embedder, *load(embedder), size).to_json()


def _simulated_days(embedder: GaitEmbedder) -> Recognised:
    walks = simulate(SIMULATED_SITES, sessions=3, duration_s=40.0)
    embedded = embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(walks))
    return [item for item in embedded if item.recording.session != "2"], [item for item in embedded if item.recording.session == "2"]


def _simulated(embedder: GaitEmbedder) -> Recognised:
    walks = simulate(SIMULATED_STRANGERS, sessions=2, duration_s=40.0)
    embedded = embed_windows(lambda x_WT6: embedder.embed(x_WT6)[0], labelled_windows(walks))
    return [item for item in embedded if item.recording.session == "0"], [item for item in embedded if item.recording.session == "1"]
