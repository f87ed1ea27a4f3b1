"""Pictures of the published camera systems as PNG files: codes of a triplet, exchanged views, spectra of joints, view matrices.

Needs matplotlib (`pip install gaitstream[train]`). Shape letters: T frames, J joints, C channels of a code, F frequencies, K joints of the
Fourier matcher, V views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.evaluation.plots import pyplot, save
from models.evaluation.vision_protocols import ViewMatrix
from models.skeleton.disentangle import Disentangle, from_rows, to_rows
from models.skeleton.fourier import USED
from models.training.vision_pose import Pictures
from models.video.human_pose import JOINTS

BONES = ((0, 1), (1, 2), (1, 5), (1, 8), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (8, 12), (9, 10), (10, 11), (12, 13), (13, 14))
"""Of the fifteen joints of the disentangling network; of each side the right one is drawn darker."""

RIGHT = {(1, 2), (2, 3), (3, 4), (8, 9), (9, 10), (10, 11)}

SHOWN = tuple(JOINTS.index(name) for name in ("head_top", "pelvis", "right_wrist", "right_knee", "left_ankle"))
"""Joints whose heat maps are drawn."""

STRIP_FRAMES = tuple(range(0, 31, 5))


def view_matrix_picture(matrix: ViewMatrix, file: Path, title: str) -> Path:
    """Rank-1 of every probe view (row) against every gallery view (column), numbers in per cent; the identical view is framed."""
    plt = pyplot()
    rows, columns = len(matrix.probe_views), len(matrix.gallery_views)
    figure, axes = plt.subplots(figsize=(max(7.0, 2.5 + 0.6 * columns), 2.5 + 0.5 * rows), dpi=110)
    image = axes.imshow(matrix.rank1_VV, vmin=0.0, vmax=1.0, cmap="viridis")
    for i in range(rows):
        for j in range(columns):
            if not np.isnan(matrix.rank1_VV[i, j]):
                shade = "black" if matrix.rank1_VV[i, j] > 0.6 else "white"
                axes.text(j, i, f"{100 * matrix.rank1_VV[i, j]:.0f}", ha="center", va="center", fontsize=8, color=shade)
            if matrix.identical_VV[i, j]:
                axes.add_patch(plt.Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, fill=False, edgecolor="red", linewidth=1.2))
    axes.set_xticks(range(columns), matrix.gallery_views, fontsize=8)
    axes.set_yticks(range(rows), matrix.probe_views, fontsize=8)
    means = f"mean {100 * matrix.mean:.1f} %, without identical view {100 * matrix.mean_without_identical:.1f} %"
    axes.set(xlabel="gallery view", ylabel="probe view", title=f"{title}\n{means}")
    figure.colorbar(image, label="rank-1")
    return save(figure, file)


def heat_map_picture(
    pictures: Pictures,
    heat_NJHW: NDArray[np.floating],
    found_NJ2: NDArray[np.floating],
    file: Path,
    title: str,
    joints: Sequence[int] = SHOWN,
) -> Path:
    """A row for every picture: itself with found (cross) and marked (circle) joints, then the maps of some joints."""
    plt = pyplot()
    figure, panels = plt.subplots(
        len(pictures), 1 + len(joints), figsize=(1.9 * (1 + len(joints)), 2.0 * len(pictures)), dpi=90, squeeze=False
    )
    for row, rgb_HW3, joints_J3, heat_JHW, found_J2 in zip(
        panels, pictures.rgb_NHW3, pictures.joints_NJ3, heat_NJHW, found_NJ2, strict=True
    ):
        row[0].imshow(rgb_HW3)
        seen_J = joints_J3[:, 2] > 0
        row[0].plot(joints_J3[seen_J, 0], joints_J3[seen_J, 1], "o", color="white", fillstyle="none", markersize=5)
        row[0].plot(found_J2[seen_J, 0], found_J2[seen_J, 1], "x", color="red", markersize=5)
        for axes, joint in zip(row[1:], joints, strict=True):
            axes.imshow(heat_JHW[joint], cmap="magma", vmin=0.0)
            axes.set_xlabel(f"highest {heat_JHW[joint].max():.2f}", fontsize=8)
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
    panels[0, 0].set_title("found x, marked o", fontsize=8)
    for axes, joint in zip(panels[0, 1:], joints, strict=True):
        axes.set_title(JOINTS[joint].replace("_", " "), fontsize=8)
    figure.suptitle(title)
    return save(figure, file)


def fourier_picture(spectra: Mapping[str, NDArray[np.float64]], file: Path, title: str, rate_hz: float = 25.0) -> Path:
    """Magnitude of the Fourier transforms (F, 8) of the heights of the matcher's joints, one line per walk, up to 5 Hz."""
    plt = pyplot()
    figure, panels = plt.subplots(2, len(USED) // 2, figsize=(12.0, 5.5), dpi=110, sharex=True)
    for k, (axes, joint) in enumerate(zip(panels.flat, USED, strict=True)):
        for name, spectrum_FK in spectra.items():
            frequency_F = np.arange(len(spectrum_FK)) * rate_hz / len(spectrum_FK)
            shown = (frequency_F > 0) & (frequency_F <= 5.0)
            axes.plot(frequency_F[shown], np.abs(spectrum_FK[shown, k]) / len(spectrum_FK), label=name, linewidth=1.0)
        axes.set_title(joint.replace("_", " "), fontsize=9)
        axes.grid(color="0.92")
    for axes in panels[-1]:
        axes.set_xlabel("frequency, Hz")
    for axes in panels[:, 0]:
        axes.set_ylabel("|real part|, torsos", fontsize=8)
    panels[0, 0].legend(fontsize=7)
    figure.suptitle(title)
    return save(figure, file)


def code_heat_maps(network: Disentangle, triplet_3TJ2: Tensor, file: Path, title: str) -> Path:
    """Body and view codes of a triplet (rows a, v, i) as strips, and how far the motion codes of a and v, and of a and i, lie apart.

    triplet_3TJ2: (3, 64, 15, 2): a; v, the same person from another view; i, another person from a's view.
    """
    plt = pyplot()
    with torch.no_grad():
        codes = network.autoencoder.encode(to_rows(triplet_3TJ2, network.layout))
    motion_3CT = codes.motion_BCT.numpy()
    figure, panels = plt.subplots(2, 2, figsize=(12.0, 6.5), dpi=110, gridspec_kw={"height_ratios": (1, 3)})
    for axes, name, code_3C in ((panels[0, 0], "body", codes.body_BC1), (panels[0, 1], "view", codes.view_BC1)):
        image = axes.imshow(code_3C[..., 0].numpy(), aspect="auto", cmap="viridis")
        axes.set_yticks(range(3), ("a", "v: same person", "i: same view"), fontsize=8)
        axes.set(xlabel="channel", title=f"{name} code")
        figure.colorbar(image, ax=axes, orientation="horizontal", pad=0.35)
    differences = {"|motion a - motion v|": motion_3CT[0] - motion_3CT[1], "|motion a - motion i|": motion_3CT[0] - motion_3CT[2]}
    top = max(float(np.abs(difference).max()) for difference in differences.values())
    for axes, (name, difference_CT) in zip(panels[1], differences.items(), strict=True):
        image = axes.imshow(np.abs(difference_CT), aspect="auto", cmap="viridis", vmin=0.0, vmax=top)
        axes.set(xlabel="frame", ylabel="channel", title=f"{name}, mean {np.abs(difference_CT).mean():.3f}")
        figure.colorbar(image, ax=axes, orientation="horizontal", pad=0.15)
    figure.suptitle(title)
    return save(figure, file)


def exchange_strip(network: Disentangle, first_TJ2: Tensor, second_TJ2: Tensor, file: Path, title: str) -> Path:
    """Stick figures of two walks, of their reconstructions, and of their reconstructions with the view codes exchanged."""
    plt = pyplot()
    with torch.no_grad():
        rows_2RT = to_rows(torch.stack([first_TJ2, second_TJ2]), network.layout)
        codes = network.autoencoder.encode(rows_2RT)
        rebuilt_2RT = network.autoencoder.decode(codes.motion_BCT, codes.body_BC1, codes.view_BC1)
        exchanged_2RT = network.autoencoder.decode(codes.motion_BCT, codes.body_BC1, codes.view_BC1.flip(0))
    strips: list[tuple[str, NDArray[np.floating]]] = []
    for words, rows in (("", rows_2RT), (", rebuilt", rebuilt_2RT), (", view exchanged", exchanged_2RT)):
        walks_2TJ2 = from_rows(rows, network.layout).numpy()
        strips += [(f"{name}{words}", walk_TJ2) for name, walk_TJ2 in zip(("first", "second"), walks_2TJ2, strict=True)]
    figure, panels = plt.subplots(len(strips), 1, figsize=(9.0, 1.9 * len(strips)), dpi=100)
    for axes, (name, walk_TJ2) in zip(panels, strips, strict=True):
        _stick_figures(axes, walk_TJ2, name)
    figure.suptitle(f"{title}: frames {STRIP_FRAMES[0]} to {STRIP_FRAMES[-1]} by 5")
    return save(figure, file)


def loss_curves(losses: Mapping[str, Mapping[str, Sequence[float]]], file: Path) -> Path:
    """Mean training loss of every epoch as a share of the first epoch's: by system a panel, by run a line, logarithmic."""
    plt = pyplot()
    figure, axes = plt.subplots(
        (len(losses) + 1) // 2, min(len(losses), 2), figsize=(13, 2.6 * ((len(losses) + 1) // 2)), dpi=80, squeeze=False
    )
    for panel, (system, runs) in zip(axes.flat, losses.items(), strict=False):
        for index, (name, values) in enumerate(runs.items()):
            share = np.asarray(values, float) / values[0]
            panel.plot(range(1, len(share) + 1), share, marker="o", markersize=3, linestyle=("-", "--")[index // 10 % 2], label=name)
        panel.set(xlabel="epoch", ylabel="loss / first epoch's", yscale="log", title=system)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("{x:g}")
        panel.grid(color="0.92", which="both")
        panel.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    for panel in axes.flat[len(losses) :]:
        panel.remove()
    return save(figure, file)


def _stick_figures(axes: Any, walk_TJ2: NDArray[np.floating], name: str, frames: Sequence[int] = STRIP_FRAMES) -> None:
    for place, frame in enumerate(frames):
        body_J2 = walk_TJ2[frame] - walk_TJ2[frame, 8]  # on the spot, or figures would walk into each other
        for bone in BONES:
            x, y = body_J2[list(bone), 0] + 2.5 * place, body_J2[list(bone), 1]
            axes.plot(x, y, color="tab:blue" if bone in RIGHT else "tab:orange" if 1 not in bone or 8 not in bone else "0.2", linewidth=1.5)
    axes.set(xlim=(-1.5, 2.5 * len(frames) - 1.0), ylim=(-2.6, 2.2), aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(name, fontsize=9, loc="left")
