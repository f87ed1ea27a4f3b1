"""Extractors of different reach are compared on the same samples, and the short U-Net says what the long one says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data.simulated import simulate
from models.evaluation import evaluate_extraction
from models.evaluation.splits import handling
from models.evaluation.suite import PUBLISHED_BLOCK
from models.inertial.extractor import StreamingUNet, WalkExtractor
from models.inertial.published import EXTRACTION, UNet
from models.registry import load_extractor


@pytest.mark.parametrize("name", sorted(EXTRACTION))
def test_the_block_of_a_streaming_unet_is_that_of_the_published_input(name: str) -> None:
    torch.manual_seed(1)
    network = EXTRACTION[name]().eval()
    x_BT6 = torch.randn(1, UNet.WINDOW, 6) * 3
    streaming = StreamingUNet(network)
    with torch.inference_mode():
        whole = network(x_BT6)[0]
        for begin in (256, 448, 640):  # anywhere inside
            own = streaming(x_BT6[:, begin - 192 : begin + 64 + 200])[0]
            assert torch.allclose(own, whole[begin : begin + 64], atol=1e-5)
        short = streaming(x_BT6[:, 448 - 192 : 448 + 64 + 200].clone().index_fill_(1, torch.tensor([455]), 0.0))[0]
    assert torch.allclose(short, whole[448:512], atol=1e-5)  # the last sample of the look-ahead is beyond its reach


def test_same_samples_whatever_the_reach() -> None:
    days = simulate([60], sessions=2, duration_s=20, script="daily")
    own = load_extractor()
    unet = WalkExtractor(StreamingUNet(UNet(), PUBLISHED_BLOCK), "whugait-unet", "whugait-unet@0", {})
    live = evaluate_extraction(own, days)
    assert evaluate_extraction(own, days, decided_by=own).counts == live.counts
    assert evaluate_extraction(unet, days, decided_by=own).counts["samples"] == live.counts["samples"]


def test_own_extractor_says_the_same_of_a_recording_and_its_continuation() -> None:
    days = simulate([61], sessions=1, duration_s=30, script="daily")
    own = load_extractor()
    whole, live = evaluate_extraction(own, days, decided_by=own, first_index=7), evaluate_extraction(own, days, first_index=7)
    assert whole.figures["f1"].value == pytest.approx(live.figures["f1"].value, abs=1e-9)


def test_handling_keeps_the_ends_only() -> None:
    changed = handling(simulate([60], sessions=1, duration_s=20)[0])
    assert (changed.act_N[:150] == 7).all()
    assert (changed.act_N[-100:] == 7).all()
    assert (changed.act_N[150:-100] == -1).all()
    assert np.array_equal(changed.acc_N3, simulate([60], sessions=1, duration_s=20)[0].acc_N3)
