"""The simulation against people: level walking with the phone in the front trouser pocket."""

import numpy as np
import pytest

from models.simulation.compare import TOLERANCES, data_folder, over_people, real_people, simulated_people
from models.simulation.features import NAMES

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def people():
    path = data_folder() / "imu" / "motionsense.npz"
    if not path.exists():
        pytest.skip(f"no real recordings at {path} (set GAITSTREAM_DATA)")
    return real_people(path), simulated_people(36, first_seed=500)


@pytest.mark.parametrize("name", NAMES)
def test_the_median_person_is_like_a_real_one(people, name):
    """Tolerances and their reasons stand in ``compare``. Other seeds than those used while building."""
    i = NAMES.index(name)
    real, simulated = (over_people(p)[0][1, i] for p in people)
    assert simulated == pytest.approx(real, abs=TOLERANCES[name])


@pytest.mark.parametrize(
    "name",
    [
        "step_hz",
        "acc_sd_ms2",
        "gyro_sd_rad_s",
        "acc_8_25hz",
        "step_autocorrelation",
    ],
)
def test_people_scatter_about_as_much_as_real_ones(people, name):
    """Between half and two and a half times the real range: 18 students in one place are a narrow group, and training wants a wide one."""
    i = NAMES.index(name)
    (low, _, high), (real_low, _, real_high) = (over_people(p)[0][:, i] for p in reversed(people))
    assert 0.5 < (high - low) / (real_high - real_low) < 2.5


def test_the_two_distributions_overlap(people):
    """For every feature most simulated people lie within the real range widened by its own width on each side."""
    real, simulated = (np.array([walks.mean(0) for walks in p.values()]) for p in people)
    low, high = real.min(0), real.max(0)
    inside = ((simulated > low - (high - low)) & (simulated < high + (high - low))).mean(0)
    assert inside.min() > 0.8, dict(zip(NAMES, inside.round(2), strict=True))
