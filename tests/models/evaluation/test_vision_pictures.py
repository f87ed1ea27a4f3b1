"""Pictures of the camera systems, and the support vector machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.evaluation.linear_svm import fit_svm
from models.evaluation.vision_pictures import code_heat_maps, exchange_strip, fourier_picture, heat_map_picture, view_matrix_picture
from models.evaluation.vision_protocols import ViewMatrix
from models.skeleton import Disentangle
from models.skeleton.fourier import spectrum
from models.training.vision_pose import Pictures


def matrix(file: Path) -> Path:
    rates = np.array([[1.0, 0.5], [0.25, np.nan]])
    return view_matrix_picture(ViewMatrix(("0", "90"), ("0", "90"), rates, np.full((2, 2), 4)), file, "views")


def spectra(file: Path) -> Path:
    time_s = np.arange(100) / 25
    walk = np.zeros((100, 16, 2))
    walk[:, :, 1] = np.sin(2 * np.pi * 2 * time_s)[:, None]
    return fourier_picture({"a": spectrum(walk), "b": spectrum(0.5 * walk)}, file, "spectra")


def codes(file: Path) -> Path:
    torch.manual_seed(0)
    return code_heat_maps(Disentangle(2, "pose").eval(), torch.randn(3, 64, 15, 2), file, "codes")


def strip(file: Path) -> Path:
    torch.manual_seed(0)
    return exchange_strip(Disentangle(2, "pose").eval(), torch.randn(64, 15, 2), torch.randn(64, 15, 2), file, "strip")


def heat(file: Path) -> Path:
    rng = np.random.default_rng(0)
    pictures = Pictures(rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8), np.full((2, 16, 3), 30.0, np.float32), np.array(["0", "1"]))
    return heat_map_picture(pictures, rng.random((2, 16, 32, 32)), np.full((2, 16, 2), 40.0), file, "heat maps")


@pytest.mark.parametrize("draw", [matrix, spectra, codes, strip, heat])
def test_pictures_are_written_and_show_something(tmp_path: Path, draw: Callable[[Path], Path]) -> None:
    pytest.importorskip("matplotlib")
    file = draw(tmp_path / "new folder" / "picture.png")
    picture = cv2.imread(str(file))
    assert picture is not None
    assert picture.shape[0] > 200 and picture.shape[1] > 200
    assert (picture < 250).any(axis=2).mean() > 0.02  # not a white sheet


def test_svm_separates_what_is_separable_and_keeps_a_margin() -> None:
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(4, 6)) * 3
    label = np.repeat(np.arange(4), 5)
    vectors = (centre[label] + 0.3 * rng.normal(size=(20, 6))).astype(np.float32)
    names = np.array([f"p{k}" for k in label])
    svm = fit_svm(vectors, names)
    assert svm.answers(vectors) == names.tolist()
    assert svm.answers(centre.astype(np.float32)) == ["p0", "p1", "p2", "p3"]
    with pytest.raises(ValueError, match="two people"):
        fit_svm(vectors[:5], names[:5])


def test_svm_agrees_with_the_solution_on_paper() -> None:
    # two points at -1 and +1: minimise w²/2 + 2 (1 - w)², so w = 4 / 5
    svm = fit_svm(np.array([[-1.0], [1.0]], np.float32), np.array(["a", "b"]))
    assert svm.weight_PD[1, 0] == pytest.approx(0.8, abs=1e-5)
    assert svm.bias_P[1] == pytest.approx(0.0, abs=1e-5)
