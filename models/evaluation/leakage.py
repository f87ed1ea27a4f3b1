"""How much a random split of overlapping windows flatters: the published CNN and LSTM on MotionSense, once so and once split by record.

Leaking, as published: windows of 2.56 s every 1.28 s (or two-step samples that share a step) from trials 7, 8 and 15 of all people; a tenth at
random is the test set, and the checkpoint with the best accuracy on it is kept. Split by record: trials 7 and 8 train, trial 15 tests, the last weights are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.data.loading import load_recordings
from models.inertial.embedder import PenultimateEmbedding
from models.registry import find_network
from models.training.engine import AS_PUBLISHED, fit
from models.training.options import TrainOptions
from models.training.published import IdentificationTask
from models.training.recipes import plan
from models.training.windows import Cut, LabelledWindows

NETWORKS = ("whugait-cnn", "whugait-sl-lstm")

ALL_TRIALS, TRAINING_TRIALS, TEST_TRIALS = "trial=7,8,15", "trial=7,8", "trial=15"


def leakage(name: str, cut: Cut, data_dir: Path, run_dir: Path, seed: int = 0) -> dict[str, Any]:
    """{"leaking": accuracy, "by_record": accuracy, "people", "leaking_windows", "by_record_windows"} of one network by its small recipe."""
    file = data_dir / "imu" / "motionsense.npz"
    entry = find_network(name)
    recipe = plan(entry, small=True)
    options = TrainOptions(
        name, (str(file),), seed=seed, epochs=recipe.epochs, steps=recipe.steps or 0, batch=recipe.batch, learning_rate=recipe.learning_rate
    )
    result: dict[str, Any] = {}
    for how, where in (("leaking", ALL_TRIALS), ("by_record", TRAINING_TRIALS)):
        windows = LabelledWindows.of(load_recordings(file, where=where), cut)
        torch.manual_seed(seed)
        network = entry.build(len(windows.people))
        assert isinstance(network, PenultimateEmbedding)
        task = IdentificationTask(network, windows, [], options.batch, "cpu", seed=seed, legacy=how == "leaking")
        fit(task, options.with_steps(task.steps), run_dir / f"{name}-{cut}-{how}", label=f"{name} {cut} {how}", optimisation=AS_PUBLISHED)
        if how == "leaking":
            accuracy, count = task.accuracy(task.x_NT6[task.test], task.person_N[task.test]), len(task.test)
        else:
            test = LabelledWindows.of(load_recordings(file, where=TEST_TRIALS), cut)
            accuracy, count = task.accuracy(torch.from_numpy(test.x_NT6), torch.from_numpy(test.person_N)), len(test)
        result |= {how: accuracy, f"{how}_windows": count, "people": len(windows.people)}
    return result
