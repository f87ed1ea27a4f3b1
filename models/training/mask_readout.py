"""Fits the last convolution of `models.pose.trimmed`: from BlazePose's features of 128 x 128 to its mask. `python -m models.training.mask_readout`

Data: simulated walkers before simulated cameras, in boxes that err a little. Linear least squares on the logits of the whole network, cut at
+-4 so that the border counts and not how sure the network is inside. Printed is how well the masks agree (IoU) on walkers left out.

Shape letters: N pictures, H x W, C channels, F values of a window.
"""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.blazepose import MARGIN, blaze_input
from models.pose.boxes import square_crop
from models.pose.fetch import POSE, path_of
from models.pose.litert import LiteRtGraph
from models.pose.trimmed import FULL_PX, MASK_PX, READOUT, with_features
from models.training.camera_film import BOX_ERROR, TRAINING_SITES, passage_scene
from models.types import CAMERA_STEP_NS, Float32

TRAINING_SEEDS, TEST_SEEDS = range(200_000, 200_060), range(200_060, 200_080)
EVERY = 8
"""Pictures between two that are taken of a passage."""
MOST_LOGIT = 4.0
RIDGE = 1e-3


def collect(graph: LiteRtGraph, seeds: range) -> tuple[Float32, Float32]:
    """Features (N, 128, 128, 8) and logits (N, 128, 128), means of 2 x 2, of what these walkers' pictures show."""
    mask = graph.output_shapes.index((1, FULL_PX, FULL_PX, 1))
    features, logits = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        scene, pictures = passage_scene(seed, (0, seed % 2, 0), TRAINING_SITES, 4.0)
        for n in range(EVERY, pictures, EVERY):
            frame = scene.frame(n * CAMERA_STEP_NS)
            for box_4 in frame.boxes_P4:
                error_4 = rng.normal(0, BOX_ERROR, 4) * np.tile(box_4[2:] - box_4[:2], 2)
                crop, _ = square_crop(frame.image_HW3, box_4 + error_4, FULL_PX, MARGIN)
                mask_HW, feature_HWC = (x[0] for x in graph(blaze_input(crop), [mask, len(graph.output_shapes) - 1]))
                features.append(feature_HWC)
                logits.append(
                    cv2.resize(np.clip(mask_HW[..., 0], -MOST_LOGIT, MOST_LOGIT), (MASK_PX, MASK_PX), interpolation=cv2.INTER_AREA)
                )
    return np.stack(features), np.stack(logits)


def windows(feature_NHWC: Float32) -> NDArray[np.float64]:
    """(N, H, W, F) values under a 3 x 3 convolution, rows before columns before channels, and a one."""
    height, width = feature_NHWC.shape[1:3]
    padded = np.pad(feature_NHWC, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.concatenate([*parts, np.ones((*feature_NHWC.shape[:3], 1))], axis=-1, dtype=np.float64)


def fit(feature_NHWC: Float32, logit_NHW: Float32) -> NDArray[np.float64]:
    """(F,) weights, the last of which is the bias."""
    count = 9 * feature_NHWC.shape[-1] + 1
    square_FF, product_F = RIDGE * np.eye(count), np.zeros(count)
    for feature_HWC, logit_HW in zip(feature_NHWC, logit_NHW, strict=True):
        row_MF = windows(feature_HWC[None]).reshape(-1, count)
        square_FF += row_MF.T @ row_MF
        product_F += row_MF.T @ logit_HW.ravel()
    return np.asarray(np.linalg.solve(square_FF, product_F), np.float64)


def agreement(weight_F: NDArray[np.float64], feature_NHWC: Float32, logit_NHW: Float32) -> NDArray[np.float64]:
    """(N,) intersection over union of the masks."""
    found = np.stack([windows(feature_HWC[None])[0] @ weight_F > 0 for feature_HWC in feature_NHWC])
    both, either = found & (logit_NHW > 0), found | (logit_NHW > 0)
    return np.asarray(both.sum(axis=(1, 2)) / np.maximum(either.sum(axis=(1, 2)), 1))


def main() -> None:
    """Fits, prints the agreement, writes `READOUT`."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    path = path_of(POSE)
    graph = LiteRtGraph(path, content=with_features(path.read_bytes()))
    weight_F = fit(*collect(graph, TRAINING_SEEDS))
    feature_NHWC, logit_NHW = collect(graph, TEST_SEEDS)
    iou_N = agreement(weight_F, feature_NHWC, logit_NHW)
    measured = {
        "pictures": len(iou_N),
        "iou_median": round(float(np.median(iou_N)), 4),
        "iou_p10": round(float(np.quantile(iou_N, 0.1)), 4),
    }
    print(json.dumps(measured))
    readout = {
        "command": "python -m models.training.mask_readout",
        "data": f"simulated walkers {TRAINING_SEEDS[0]} to {TRAINING_SEEDS[-1]}; figures on {TEST_SEEDS[0]} to {TEST_SEEDS[-1]}",
        **measured,
        "weight_HWC": np.round(weight_F[:-1].reshape(3, 3, -1), 5).tolist(),
        "bias": round(float(weight_F[-1]), 5),
    }
    READOUT.write_text(json.dumps(readout, indent=1) + "\n")


if __name__ == "__main__":
    main()
