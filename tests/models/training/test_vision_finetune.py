"""Fine-tuning: how many walks, which layer learns how fast."""

from __future__ import annotations

import numpy as np
import pytest

from models.skeleton import STGCN, GaitFormer
from models.training.options import TrainOptions
from models.training.vision_data import JointWalk
from models.training.vision_finetune import FINE_TUNING, by_fraction, by_runs, groups_of


def walks() -> list[JointWalk]:
    joints = np.zeros((2, 17, 3), np.float32)
    return [JointWalk(joints, subject, view, str(k), "s") for subject in "ab" for view in ("0", "90") for k in range(4)]


def test_walks_are_chosen_per_person_and_view_or_at_random() -> None:
    assert len(by_runs(walks(), 3)) == 2 * 2 * 3
    assert {walk.session for walk in by_runs(walks(), 1)} == {"0"}
    assert len(by_fraction(walks(), 0.25)) == 4
    assert len(by_fraction(walks(), 1.0)) == 16
    for call in (lambda: by_runs(walks(), 0), lambda: by_fraction(walks(), 0.0)):
        with pytest.raises(ValueError, match="0"):
            call()


@pytest.mark.parametrize("network", [GaitFormer(4), STGCN()])
def test_every_parameter_learns_once_and_lower_layers_slower(network: GaitFormer | STGCN) -> None:
    groups = groups_of(network)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates)  # from the input upwards
    assert (rates[-1], sorted(set(rates))[-2]) == (3.6e-3, 3.5e-4)
    assert sorted(set(rates))[-3] == pytest.approx(0.9 * 3.5e-4)
    assert all(group["weight_decay"] == 0 for group in groups for parameter in group["params"] if parameter.ndim == 1)
    optimizer = FINE_TUNING.build(network, 1.0)
    assert len(optimizer.param_groups) == len(groups)
    assert FINE_TUNING.factor(2, TrainOptions("x", ())) == pytest.approx(0.9995**2)
