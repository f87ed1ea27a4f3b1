"""A pair network answers from a kept template as it would from the raw windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.calibration import CalibrationError, ScoreCalibration
from models.catalogue import NETWORKS, VERIFICATION
from models.inertial.verifier import TEMPLATE_WINDOWS, PairVerifier, Verdict
from models.registry import find_network
from models.types import Float32, ShapeError

CALIBRATION = ScoreCalibration(
    windows=(1, 4),
    impostor_mean=(-2.0, -2.0),
    impostor_sd=(1.0, 1.0),
    impostor_quantiles=(((0.1, 0.0), (0.01, 2.0)), ((0.1, -0.5), (0.01, 1.0))),
    genuine_mean=(2.0, 2.0),
    genuine_sd=(1.0, 1.0),
    genuine_quantiles=(((0.05, -1.0), (0.5, 2.0)), ((0.05, 3.0), (0.5, 4.0))),
    counts=((1000, 100), (1000, 100)),
    people=10,
)


def verifier(name: str) -> PairVerifier:
    torch.manual_seed(2)
    return PairVerifier(find_network(name).build(), name, f"{name}@0", {"calibration": CALIBRATION.to_card()})


def windows(count: int, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).normal(size=(count, 128, 6)).astype(np.float32)


TRAINABLE = [
    entry.name for entry in NETWORKS.values() if (entry.task == VERIFICATION and "-lstm-" in entry.name) or "pair-cnn-" in entry.name
]


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_decoded_template_scores_like_the_windows(name: str) -> None:
    own = verifier(name)
    template = own.template(windows(9))
    assert len(template) == TEMPLATE_WINDOWS
    content = own.encode(template)
    assert len(content) == own.template_bytes
    probe = own.maps(windows(3, seed=1))
    direct = own.accept(template, probe)
    assert own.accept(own.decode(content), probe) == pytest.approx(direct, rel=0.02, abs=0.02)  # half floats
    with torch.inference_mode():
        pairs = [(a, b) for b in windows(3, seed=1) for a in windows(9)[[0, 3, 5, 8]]]
        logits = own.network(*(torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True)))
    assert direct == pytest.approx(float((logits[:, 1] - logits[:, 0]).mean()), rel=1e-3, abs=1e-3)
    assert own.window_scores(template, probe).mean() == pytest.approx(direct, rel=1e-5)


def test_sizes_of_templates() -> None:
    assert verifier("whugait-pair-cnn-lstm-vertical").template_bytes == 4 * 2 * 16 * 128
    assert verifier("whugait-pair-lstm-vertical").template_bytes == 4 * 2 * 128 * 6


@pytest.mark.parametrize(
    ("score", "count", "target", "verdict"),
    [
        (2.5, 1, 0.01, Verdict.ACCEPTED),  # above the threshold of the target
        (2.0, 1, 0.01, Verdict.ACCEPTED),  # at it
        (1.0, 1, 0.01, Verdict.UNDECIDED),  # an impostor in a hundred is here, and so are many genuine probes
        (1.0, 1, 0.1, Verdict.ACCEPTED),  # a laxer target
        (1.0, 4, 0.01, Verdict.ACCEPTED),  # four windows need less
        (-1.5, 1, 0.01, Verdict.REJECTED),  # 19 of 20 genuine probes are above
        (0.9, 4, 0.01, Verdict.REJECTED),  # where genuine and impostor lie apart there is nothing to be undecided about
        (1.0, 1, 1e-6, Verdict.UNDECIDED),  # a target below the table: its strictest row
    ],
)
def test_verdicts(score: float, count: int, target: float, verdict: Verdict) -> None:
    assert verifier("whugait-pair-lstm-vertical").verdict(score, count, target) == verdict


def test_no_calibration_no_verdict() -> None:
    own = PairVerifier(find_network("whugait-pair-lstm-vertical").build(), "n", "n@0", {})
    with pytest.raises(CalibrationError, match="calibration"):
        own.verdict(0.0, 1)


def test_wrong_shapes_are_said() -> None:
    own = verifier("whugait-pair-cnn-lstm-vertical")
    maps = own.maps(windows(2))
    for wrong in (windows(2)[:, :100], windows(1)[0]):
        with pytest.raises(ShapeError, match="128, 6"):
            own.maps(wrong)
    with pytest.raises(ShapeError, match="at least one"):
        own.template(windows(0))
    with pytest.raises(ShapeError, match="16, 128"):
        own.accept(maps[:, :8], maps)
    for content in (b"", own.encode(maps)[:-1]):
        with pytest.raises(ShapeError, match="multiple of 4096"):
            own.decode(content)
    with pytest.raises(ShapeError, match="NaN"):
        own.decode(own.encode(np.full((1, 16, 128), np.nan, np.float32)))
