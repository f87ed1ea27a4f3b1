"""Weights and model card of a published skeleton network for the live camera path, from a run on data that may train shipped weights:

    python -m models.training.vision_ship runs/gaitformer-sm --out models/weights --cache-dir runs/walkers

Matrices are kept in half precision. The card's calibration comes from simulated walkers that no training sees; its figures are those that the
table measured on held-out people (`python -m models.training.vision_run table`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.data.recordings import RecordingError
from models.data.simulated import SOURCE
from models.evaluation.vision_measured import COMMAND, MEASURED
from models.registry import find_network
from models.skeleton import EMBEDDING
from models.skeleton.gaitformer import GaitFormer
from models.skeleton.live import PublishedSkeleton
from models.skeleton.st_gcn import STGCN
from models.training.camera_run import calibrate_on_passes, round_to_half, store_halves
from models.training.camera_scenes import CALIBRATION_SEEDS, passes
from models.training.card import replace_file, weights_set, write
from models.training.options import TrainOptions
from models.training.vision import VisionRun, load_run
from models.training.vision_feeding import SkeletonFeeding, feeding_of


def live_network(run: VisionRun) -> PublishedSkeleton:
    """What the run trained, as the workers use it. Raises RecordingError for a network that is not fed with joints of OpenPose."""
    if run.name not in EMBEDDING or not isinstance(run.network, GaitFormer | STGCN):
        raise RecordingError(f"{run.name}: only {', '.join(EMBEDDING)} are shipped for live use")
    feeding = feeding_of(run.network, small=run.small)
    assert isinstance(feeding, SkeletonFeeding)
    averages = isinstance(run.network, GaitFormer) and run.network.pool == "mean"
    live = PublishedSkeleton(EMBEDDING[run.name], stride=feeding.stride, averages=averages)
    live.network.load_state_dict(run.network.state_dict())
    return live.eval()


def ship(run_dir: Path, out_dir: Path, cache_dir: Path | None = None) -> dict[str, Any]:
    """Writes NAME.safetensors and NAME.json; returns the card. Raises RecordingError where the run is absent, cannot be used live, or has seen
    people of data whose terms do not let them train shipped weights."""
    run = load_run(run_dir)
    live = live_network(run)
    sources: dict[str, Any] = {}
    for person in run.people:
        source, name = person.split("/", 1)
        sources.setdefault(source, {"trained_on": [], "held_out": "the last third of its people"})["trained_on"].append(name)
    if weights_set(list(sources)) != "default":
        raise RecordingError(f"{run_dir}: trained on {', '.join(sorted(sources))}, not all of which may train shipped weights")
    if SOURCE in sources:
        names = sources[SOURCE]["trained_on"]
        sources[SOURCE]["trained_on"] = f"{len(names)} walkers, {names[0]} to {names[-1]}"
    round_to_half(live)
    results: dict[str, Any] = calibrate_on_passes(live, run.name, passes(CALIBRATION_SEEDS, cache_dir))
    results["held_out"] = run.kept
    measured = run_dir / MEASURED
    if measured.exists():
        results["held_out_people"] = json.loads(measured.read_text(encoding="utf-8"))["sets"]
    options = TrainOptions(run.name, (), seed=run.seed, small=run.small)
    card = write(find_network(run.name), store_halves(live), out_dir, options, sources=sources, results=results)
    words = run_dir / COMMAND
    card["command"] = f"{words.read_text(encoding='utf-8').strip()}; python -m models.training.vision_ship RUN --out DIR"
    # the options of our own networks' recipes say nothing about this one's
    del card["options"]
    replace_file(out_dir / f"{run.name}.json", (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    return card


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with the error's text for a run that cannot be shipped."""
    parser = argparse.ArgumentParser(prog="python -m models.training.vision_ship", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache-dir", type=Path, help="where simulated passes are kept")
    options = parser.parse_args(arguments)
    try:
        card = ship(options.run, options.out, options.cache_dir)
    except RecordingError as error:
        parser.exit(1, f"{error}\n")
    print(json.dumps({key: card[key] for key in ("name", "space", "parameters", "licence")}))


if __name__ == "__main__":
    main()
