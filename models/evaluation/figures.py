"""Pictures of an evaluation as PNG files: detection error trade-off and confusion. Needs matplotlib (`pip install gaitstream[train]`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from models.evaluation.plots import pyplot, save
from models.evaluation.report import Confusion, Evaluation
from models.evaluation.scores import thinned

TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
"""Error rates marked on both axes of a DET plot."""

LARGEST_LABELLED = 30
"""People up to whom a confusion picture names rows and columns."""


def write_figures(evaluation: Evaluation, directory: Path, title: str) -> list[Path]:
    """Writes what the evaluation has of det.png and confusion.png into the directory; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    if evaluation.curves:
        curves = {_probe_words(name): thinned(curve, 200) for name, curve in evaluation.curves.items()}
        written.append(det_plot(curves, directory / "det.png", title))
    if evaluation.confusion is not None:
        written.append(confusion_picture(evaluation.confusion, directory / "confusion.png", title))
    return written


def det_plot(curves: Mapping[str, Sequence[Sequence[float]]], file: Path, title: str) -> Path:
    """A DET plot: error rates on normal-deviate axes, one line per entry of rows [false match rate, false non-match rate]."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7.0, 6.0), dpi=110)
    low, high = TICKS[0], TICKS[-1]
    for index, (label, rows) in enumerate(curves.items()):
        rates = np.clip(np.asarray(rows, float).reshape(-1, 2), low, high)
        axes.plot(ndtri(rates[:, 0]), ndtri(rates[:, 1]), label=label, linewidth=1.2, linestyle=("-", "--", ":")[index // 10 % 3])
    axes.plot(ndtri([low, high]), ndtri([low, high]), color="0.8", linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(TICKS), [f"{100 * tick:g}" for tick in TICKS])
    axes.set(xlim=ndtri([low, high]), ylim=ndtri([low, high]), xlabel="false match rate, %", ylabel="false non-match rate, %", title=title)
    axes.grid(color="0.92")
    axes.legend(fontsize=7)
    return save(figure, file)


def confusion_picture(confusion: Confusion, file: Path, title: str) -> Path:
    """Shares of single windows given to whom (columns) of each walker (rows)."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(6.5, 6.0), dpi=110)
    image = axes.imshow(confusion.share_GG, vmin=0.0, vmax=1.0, cmap="magma")
    if len(confusion.names) <= LARGEST_LABELLED:
        axes.set_xticks(range(len(confusion.names)), confusion.names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(confusion.names)), confusion.names, fontsize=7)
    axes.set(xlabel="answer", ylabel="walker", title=title)
    figure.colorbar(image, label="share of windows")
    return save(figure, file)


def _probe_words(name: str) -> str:
    return {"1": "1 window", "4": "4 windows", "pair": "window against window"}.get(name, name)
