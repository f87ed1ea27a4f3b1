"""Figures that were published for the smartphone system (Zou et al., IEEE TIFS 15, 2020), in percent, by registered name.

Identification: accuracy over 118 people on two-step samples, 90/10 at random by sample (data set #1). Authentication: accuracy on pairs of
20 people that did not train. Extraction: share of samples labelled rightly, 98 people that did not train. Some were read off charts.
None of the recordings is public here, so none of these is comparable with a figure measured here; `WHY` says what else differs.
"""

from __future__ import annotations

IDENTIFICATION: dict[str, float] = {
    "whugait-cnn": 92.89,
    "whugait-sl-lstm": 90.1,
    "whugait-bi-lstm": 91.0,
    "whugait-dl-lstm": 91.88,
    "whugait-sl-lstm-acc": 91.3,
    "whugait-bi-lstm-acc": 91.58,
    "whugait-dl-lstm-acc": 91.0,
    "whugait-sl-lstm-gyr": 90.0,
    "whugait-bi-lstm-gyr": 86.9,
    "whugait-dl-lstm-gyr": 89.1,
    "whugait-sl-lstm-mag": 78.6,
    "whugait-bi-lstm-mag": 68.9,
    "whugait-dl-lstm-mag": 78.1,
    "whugait-cnn-lstm": 92.51,
    "whugait-cnnfix-lstm": 92.94,
    "whugait-cnn-lstmfix": 93.52,
}

AUTHENTICATION: dict[str, float] = {
    "whugait-pair-cnn-horizontal": 78.47,
    "whugait-pair-cnn-vertical": 87.72,
    "whugait-pair-lstm-horizontal": 82.39,
    "whugait-pair-lstm-vertical": 91.70,
    "whugait-pair-cnn-lstm-horizontal": 84.45,
    "whugait-pair-cnn-lstm-vertical": 92.79,
    "whugait-pair-cnnfix-lstm-horizontal": 85.54,
    "whugait-pair-cnnfix-lstm-vertical": 93.75,
    "whugait-pair-eigengait-difference": 78.97,
    "whugait-pair-wavelet-horizontal": 78.55,
    "whugait-pair-wavelet-vertical": 77.37,
    "whugait-pair-fourier-horizontal": 92.70,
    "whugait-pair-fourier-vertical": 61.86,
}

EXTRACTION: dict[str, float] = {"whugait-unet": 85.57}

WHY = """\
Not comparable: the published recordings are not public here, so people, phones and walks are others. The published identification split is
90/10 at random by sample, of samples that overlap by half, which leaks (see below); ours is by record and, for rank-1, of people no network
saw. The published networks trained for 100 to 300 epochs on 33,000 to 66,000 samples; here the small recipe shows them a few thousand of ten
people, which for the networks with 1024 hidden units is far from enough. Published authentication is accuracy at a fixed threshold, on
pairs whose people and recordings are not told; ours is the error rate where both errors are equal, on pairs from different recordings."""
