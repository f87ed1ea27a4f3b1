"""The traditional methods that the published smartphone system is compared with: EigenGait, Wavelet and Fourier.

Neither code nor parameters of them are published; these are reconstructions. Each turns a sample into features, which serve as an embedding
(nearest neighbour by cosine or Euclid). For pairs, `PairBaseline` puts a linear support vector machine on features of both samples:
EigenGait on the absolute difference of the two, Wavelet and Fourier on the features of the joined samples, one behind the other in time
("horizontal") or side by side as channels ("vertical"). Note that a linear machine cannot compare two sides that the features keep apart:
of the joined layouts only the horizontal Fourier magnitudes mix them.

Shape letters: N samples, T time (128 at 50 Hz; any even multiple of 16 works), C channels (6 axes, 12 where joined), D features,
M wavelet coefficients, F frequencies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import comb
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from models.types import Float32, ShapeError

Float64 = NDArray[np.float64]

Layout = Literal["difference", "horizontal", "vertical"]

LEAST_DEVIATION = 1e-6
"""A feature that varies less over the training samples is only centred: it is constant, and division would blow up its rounding."""


class NotFittedError(RuntimeError):
    """Features were asked of a method that has not seen its training samples."""


class Baseline(ABC):
    """Samples to features: fixed coefficients, then what `fit` learns of the training samples, by default centre and deviation of each."""

    def __init__(self) -> None:
        self._centre_D: Float64 | None = None
        self._deviation_D: Float64 | None = None

    @abstractmethod
    def coefficients(self, x_NTC: Float32) -> Float64:
        """(N, T, C) raw samples -> (N, D), nothing learnt."""

    def fit(self, x_NTC: Float32, label_N: ArrayLike | None = None) -> Self:
        """Learns from training samples. label_N is not used by these methods, none of which is supervised. Raises ShapeError."""
        values_ND = self.coefficients(_checked(x_NTC, least=2))
        self._centre_D = values_ND.mean(axis=0)
        deviation_D = values_ND.std(axis=0)
        self._deviation_D = np.where(deviation_D < LEAST_DEVIATION, 1.0, deviation_D)
        return self

    def features(self, x_NTC: Float32) -> Float32:
        """(N, T, C) raw samples -> (N, D). Raises ShapeError, NotFittedError."""
        if self._centre_D is None or self._deviation_D is None:
            raise NotFittedError(f"{type(self).__name__}: call fit before features")
        values_ND = self.coefficients(_checked(x_NTC))
        if values_ND.shape[1] != len(self._centre_D):
            raise ShapeError(f"{type(self).__name__} was fitted on {len(self._centre_D)} coefficients, got {values_ND.shape[1]}")
        return ((values_ND - self._centre_D) / self._deviation_D).astype(np.float32)

    def learnt(self) -> dict[str, Float64]:
        """What `fit` learnt, by name; empty before it."""
        if self._centre_D is None or self._deviation_D is None:
            return {}
        return {"centre": self._centre_D, "deviation": self._deviation_D}

    def restore(self, learnt: Mapping[str, Float64]) -> Self:
        """Puts back what `learnt` gave. Raises KeyError where something is missing."""
        self._centre_D, self._deviation_D = learnt["centre"], learnt["deviation"]
        return self


class EigenGait(Baseline):
    """Principal components of the flattened sample that keep 99.5 % of the training samples' variance.

    Source: Zou, Ni, Wang, Li, Wang, "Robust Gait Recognition by Integrating Inertial and RGBD Sensors", IEEE T. Cybernetics 48, 2018.
    """

    def __init__(self, kept_variance: float = 0.995) -> None:
        super().__init__()
        self.kept_variance = kept_variance
        self._axes_MD: Float64 | None = None

    def coefficients(self, x_NTC: Float32) -> Float64:
        """(N, T * C)."""
        return _flat(x_NTC.astype(np.float64))

    def fit(self, x_NTC: Float32, label_N: ArrayLike | None = None) -> Self:
        """Learns mean and components. Raises ShapeError."""
        values_NM = self.coefficients(_checked(x_NTC, least=2))
        self._centre_D = values_NM.mean(axis=0)
        centred_NM = values_NM - self._centre_D
        variance_M, axes_MM = np.linalg.eigh(centred_NM.T @ centred_NM)
        share_M = np.cumsum(np.maximum(variance_M[::-1], 0.0))
        kept = 1 + int(np.searchsorted(share_M, self.kept_variance * share_M[-1]))
        self._axes_MD = axes_MM[:, ::-1][:, :kept]
        self._deviation_D = np.ones_like(self._centre_D)
        return self

    def features(self, x_NTC: Float32) -> Float32:
        """(N, T, C) raw samples -> (N, components). Raises ShapeError, NotFittedError."""
        centred_NM = super().features(x_NTC)
        assert self._axes_MD is not None
        return (centred_NM @ self._axes_MD).astype(np.float32)

    def learnt(self) -> dict[str, Float64]:
        """As `Baseline.learnt`, with the components."""
        return super().learnt() | ({} if self._axes_MD is None else {"axes": self._axes_MD})

    def restore(self, learnt: Mapping[str, Float64]) -> Self:
        """As `Baseline.restore`."""
        self._axes_MD = learnt["axes"]
        return super().restore(learnt)


class Wavelet(Baseline):
    """Coefficients of a four-level Daubechies-4 wavelet transform of every channel, standardised."""

    LEVELS = 4

    def coefficients(self, x_NTC: Float32) -> Float64:
        """(N, C * T). Raises ShapeError where T is not a multiple of 16."""
        x_NCT = x_NTC.transpose(0, 2, 1).astype(np.float64)
        return _flat(wavelet_transform(x_NCT, self.LEVELS))


class Fourier(Baseline):
    """Magnitudes of the 40 lowest frequencies of every channel (up to 15.2 Hz for 128 samples), standardised."""

    FREQUENCIES = 40

    def coefficients(self, x_NTC: Float32) -> Float64:
        """(N, 40 * C)."""
        spectrum_NFC = np.fft.rfft(x_NTC.astype(np.float64), axis=1)[:, : self.FREQUENCIES]
        return _flat(np.abs(spectrum_NFC))


BASELINES: dict[str, type[Baseline]] = {"eigengait": EigenGait, "wavelet": Wavelet, "fourier": Fourier}
"""Every baseline by name."""


class PairBaseline:
    """Same person or not, from two samples: a linear support vector machine on pair features."""

    def __init__(self, baseline: Baseline, layout: Layout) -> None:
        self.baseline, self.layout = baseline, layout
        self._machine: LinearMachine | None = None

    def fit(self, a_NT6: Float32, b_NT6: Float32, same_N: NDArray[np.bool_]) -> Self:
        """Learns features and machine from labelled pairs. Raises ShapeError, ValueError where one kind of pair is missing."""
        single = np.concatenate([a_NT6, b_NT6]) if self.layout == "difference" else self._joined(a_NT6, b_NT6)
        self.baseline.fit(single)
        self._machine = LinearMachine().fit(self._pair_features(a_NT6, b_NT6), same_N)
        return self

    def score(self, a_NT6: Float32, b_NT6: Float32) -> Float32:
        """(N,) signed distance from the boundary, above 0 for the same person. Raises ShapeError, NotFittedError."""
        if self._machine is None:
            raise NotFittedError("PairBaseline: call fit before score")
        return self._machine.decide(self._pair_features(a_NT6, b_NT6))

    def learnt(self) -> dict[str, Float64]:
        """What `fit` learnt, by name; empty before it."""
        return self.baseline.learnt() | (self._machine.learnt() if self._machine is not None else {})

    def restore(self, learnt: Mapping[str, Float64]) -> Self:
        """Puts back what `learnt` gave. Raises KeyError where something is missing."""
        self.baseline.restore(learnt)
        self._machine = LinearMachine().restore(learnt)
        return self

    def _joined(self, a_NT6: Float32, b_NT6: Float32) -> Float32:
        return np.concatenate([a_NT6, b_NT6], axis=1 if self.layout == "horizontal" else 2)

    def _pair_features(self, a_NT6: Float32, b_NT6: Float32) -> Float32:
        if self.layout == "difference":
            return np.abs(self.baseline.features(a_NT6) - self.baseline.features(b_NT6))
        return self.baseline.features(self._joined(a_NT6, b_NT6))


class LinearMachine:
    """Linear support vector machine with squared hinge loss, features standardised; deterministic (L-BFGS from zero)."""

    PENALTY = 1e-3
    """Factor of half the squared norm of the weights against the mean loss."""

    def __init__(self) -> None:
        self._centre_D = self._deviation_D = np.zeros(0)
        self._weights_D, self._offset = np.zeros(0), 0.0

    def fit(self, x_ND: Float32, positive_N: NDArray[np.bool_]) -> Self:
        """Learns the boundary. Raises ValueError where one class is missing."""
        if positive_N.all() or not positive_N.any():
            raise ValueError(f"both classes are needed, got {int(positive_N.sum())} positive of {len(positive_N)}")
        self._centre_D, deviation_D = x_ND.mean(axis=0, dtype=np.float64), x_ND.std(axis=0, dtype=np.float64)
        self._deviation_D = np.where(deviation_D < LEAST_DEVIATION, 1.0, deviation_D)
        scaled_ND = ((x_ND - self._centre_D) / self._deviation_D).astype(np.float64)
        sign_N = np.where(positive_N, 1.0, -1.0)

        def loss(parameters: Float64) -> tuple[float, Float64]:
            weights_D, offset = parameters[:-1], parameters[-1]
            short_N = np.maximum(1.0 - sign_N * (scaled_ND @ weights_D + offset), 0.0)
            slope_N = -2.0 * sign_N * short_N / len(sign_N)
            gradient = np.append(slope_N @ scaled_ND + self.PENALTY * weights_D, slope_N.sum())
            return float((short_N**2).mean() + 0.5 * self.PENALTY * weights_D @ weights_D), gradient

        found = minimize(loss, np.zeros(x_ND.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
        self._weights_D, self._offset = found.x[:-1], float(found.x[-1])
        return self

    def decide(self, x_ND: Float32) -> Float32:
        """(N,) value of the linear function, above 0 for the positive class."""
        return (((x_ND - self._centre_D) / self._deviation_D) @ self._weights_D + self._offset).astype(np.float32)

    def learnt(self) -> dict[str, Float64]:
        """The boundary, by name."""
        return {
            "machine_centre": self._centre_D,
            "machine_deviation": self._deviation_D,
            "machine_weights": np.append(self._weights_D, self._offset),
        }

    def restore(self, learnt: Mapping[str, Float64]) -> Self:
        """Puts back what `learnt` gave. Raises KeyError where something is missing."""
        self._centre_D, self._deviation_D = learnt["machine_centre"], learnt["machine_deviation"]
        self._weights_D, self._offset = learnt["machine_weights"][:-1], float(learnt["machine_weights"][-1])
        return self


def daubechies(moments: int) -> Float64:
    """(2 * moments,) scaling filter with that many vanishing moments, computed by spectral factorisation.

    Source of the method: Daubechies, "Ten Lectures on Wavelets", 1992, chapter 6: the zeros inside the unit circle are taken.
    """
    filter_ = np.array([1.0])
    for _ in range(moments):
        filter_ = np.convolve(filter_, [0.5, 0.5])
    # Every root y of the Daubechies polynomial gives a pair z, 1/z with y = (2 - z - 1/z) / 4.
    for y in np.roots([comb(moments - 1 + k, k) for k in range(moments)][::-1]):
        z = min(np.roots([1.0, 4.0 * y - 2.0, 1.0]), key=abs)
        filter_ = np.convolve(filter_, np.array([1.0, -z]) / (1.0 - z))
    return np.sqrt(2.0) * np.real(filter_)


def wavelet_transform(x_NCT: Float64, levels: int, moments: int = 4) -> Float64:
    """(N, C, T) -> (N, C, T) orthonormal periodic wavelet coefficients: approximation of the last level, then details, coarse to fine.

    Raises ShapeError where T is not a multiple of 2 to the power of `levels`.
    """
    if x_NCT.shape[-1] % 2**levels:
        raise ShapeError(f"{levels} levels need a length divisible by {2**levels}, got {x_NCT.shape}")
    low = daubechies(moments)
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    details: list[Float64] = []
    for _ in range(levels):
        length = x_NCT.shape[-1]
        taken = (2 * np.arange(length // 2)[:, None] + np.arange(len(low))) % length
        details.insert(0, x_NCT[..., taken] @ high)
        x_NCT = x_NCT[..., taken] @ low
    return np.concatenate([x_NCT, *details], axis=-1)


def _flat(x_NAB: Float64) -> Float64:
    return x_NAB.reshape(len(x_NAB), x_NAB.shape[1] * x_NAB.shape[2])  # -1 is refused where N = 0


def _checked(x_NTC: Float32, least: int = 0) -> Float32:
    if x_NTC.ndim != 3 or len(x_NTC) < least:
        raise ShapeError(f"x_NTC must be (N >= {least}, T, C), got {x_NTC.shape}")
    return x_NTC
