"""The entry point: one seed, one person; one session, one day."""

import numpy as np
import pytest

from models.simulation import SimulatedRecording, Walker
from models.simulation.activities import SCRIPTS
from models.simulation.features import record_features
from models.simulation.phone import PLACEMENTS


def samples(recording: SimulatedRecording) -> np.ndarray:
    return np.concatenate([recording.acc_N3, recording.gyro_N3], axis=1)


def test_a_recording_keeps_its_contract():
    r = Walker(3).record(duration_s=12.5, session=2, placement="waist", script="daily", rate_hz=100.0)
    assert r.acc_N3.shape == r.gyro_N3.shape == (1250, 3) and r.acc_N3.dtype == r.gyro_N3.dtype == np.float32
    assert r.walk_N.shape == r.act_N.shape == r.time_s_N.shape == r.phase_N.shape == (1250,)
    assert (r.walk_N.dtype, r.act_N.dtype) == (np.uint8, np.int8)
    assert (r.seed, r.session, r.placement, r.rate_hz) == (3, 2, "waist", 100.0)
    assert 0.8 < r.stride_s < 1.6


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("placement", ["pocket_front", "wrist"])
def test_the_same_arguments_give_the_same_recording(script, placement):
    a, b = (Walker(11).record(duration_s=8, session=1, script=script, placement=placement) for _ in range(2))
    assert np.array_equal(samples(a), samples(b)) and np.array_equal(a.walk_N, b.walk_N)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 12},  # another person
        {"session": 1},  # another day
        {"take": 1},  # the same day, another walk
        {"placement": "bag"},
        {"script": [("walk", 3.0), ("stand", 2.0)]},
    ],
)
def test_every_argument_matters(change):
    base = {"seed": 11, "duration_s": 8.0, "session": 0, "placement": "pocket_front", "script": "walk", "take": 0}

    def record(arguments):
        return Walker(arguments.pop("seed")).record(**arguments)

    assert not np.allclose(samples(record(dict(base))), samples(record(base | change)), atol=0.1)


@pytest.mark.parametrize(
    "script, act, walk",
    [
        ("walk", {1}, {1}),
        ("still", {0}, {0}),
        ("vehicle", {7}, {0}),
        ("run", {5}, {2}),
        ("stairs", {2, 3, 6}, {2}),
        ([("turn", 2.0), ("walk", 4.0)], {6, 1}, {2, 1}),
        ([("stand", 2.0), ("handle", 4.0)], {0, 7}, {0}),
    ],
)
def test_labels_are_those_of_the_recordings(script, act, walk):
    r = Walker(4).record(duration_s=60, script=script)
    assert set(r.act_N) == act and set(r.walk_N) == walk


def test_a_day_has_everything_in_it_and_labels_fit_the_signal():
    """Where a label says walking the phone moves, where it says still it does not, beyond half a second around each change."""
    walking, still, seen = [], [], set()
    for seed in range(6):
        r = Walker(seed).record(duration_s=120, script="daily")
        seen |= set(r.act_N)
        size = np.linalg.norm(r.acc_N3, axis=1)
        for code, found in ((1, walking), (0, still)):
            inner = np.convolve(r.act_N == code, np.ones(101), "same") > 100.5  # a second on either side
            found += [size[i - 25 : i + 25].std() for i in np.flatnonzero(inner)[::50]]
    assert {0, 1, 6, 7} <= seen
    assert np.percentile(walking, 1) > 1.0 and np.percentile(still, 95) < 0.6


def test_phase_counts_the_steps_that_the_phone_feels():
    """The dominant rhythm of the gyroscope is the stride that the phase counts."""
    for seed in range(6):
        r = Walker(seed).record(duration_s=40)
        step_hz = np.median(record_features(r.acc_N3, r.gyro_N3, r.rate_hz)[:, 0])
        assert step_hz == pytest.approx(2.0 * (r.phase_N[-1] - r.phase_N[0]) / 40.0, rel=0.05)


@pytest.mark.parametrize("script, noisy_ms2", [("still", 0.25), ([("stand", 60.0)], 0.15), ([("sit", 60.0)], 0.25)])
def test_what_is_still_is_quiet(script, noisy_ms2):
    for seed in range(8):
        r = Walker(seed).record(duration_s=30, script=script)
        size = np.linalg.norm(r.acc_N3, axis=1)
        assert size.mean() == pytest.approx(9.81, abs=0.35)  # bias and gain of the sensor
        assert np.median([s.std() for s in np.split(size, 30)]) < noisy_ms2


def test_a_vehicle_shakes_less_than_a_walk_and_more_than_a_chair():
    spread = {
        script: np.median([np.linalg.norm(Walker(s).record(duration_s=40, script=script).acc_N3, axis=1).std() for s in range(8)])
        for script in ("still", "vehicle", "walk", "run")
    }
    assert spread["still"] < 0.2 < spread["vehicle"] < 1.5 < spread["walk"] < spread["run"]


@pytest.mark.parametrize("rate_hz", [25.0, 50.0, 100.0, 200.0])
def test_the_rate_of_the_phone_does_not_change_the_walk(rate_hz):
    r, reference = (Walker(8).record(duration_s=30, rate_hz=hz, session=1) for hz in (rate_hz, 50.0))
    assert len(r.acc_N3) == 30 * rate_hz
    assert np.linalg.norm(r.acc_N3, axis=1).mean() == pytest.approx(np.linalg.norm(reference.acc_N3, axis=1).mean(), rel=0.1)


def test_irregular_samples_lie_on_the_same_motion():
    """The session's phone and walk are the same; only the clock differs."""
    even, uneven = (Walker(8).record(duration_s=20, irregular=i) for i in (False, True))
    again = np.stack([np.interp(even.time_s_N[:900], uneven.time_s_N, uneven.acc_N3[:, k]) for k in range(3)], axis=1)
    error = np.linalg.norm(again - even.acc_N3[:900], axis=1)
    assert np.median(error) < 0.35 * np.linalg.norm(even.acc_N3, axis=1).std()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"duration_s": 0.0}, "duration_s"),
        ({"duration_s": float("nan")}, "duration_s"),
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"script": "swim"}, "unknown script 'swim'"),
        ({"script": [("swim", 3.0)]}, "unknown activity 'swim'"),
        ({"script": [("walk", -1.0)]}, "positive time"),
        ({"script": []}, "at least one"),
        ({"script": [("walk", 3.0), ("table", 3.0)]}, "off the body"),
        ({"placement": "hat"}, "unknown placement 'hat'"),
    ],
)
def test_wrong_arguments_are_explained(arguments, words):
    with pytest.raises(ValueError, match=words):
        Walker(0).record(**({"duration_s": 2.0} | arguments))


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed"):
        Walker(-1)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_gives_walking(placement):
    r = Walker(6).record(duration_s=10, placement=placement)
    assert np.isfinite(samples(r)).all()
    assert 0.8 < np.linalg.norm(r.acc_N3, axis=1).std() < 15


def nearest_share(gallery: list[np.ndarray], probe: list[np.ndarray]) -> float:
    """Share of probe windows whose nearest person (mean of the gallery windows, standardised features) is the right one."""
    everything = np.concatenate(gallery)
    centre, spread = everything.mean(0), everything.std(0)
    people = np.array([(g.mean(0) - centre) / spread for g in gallery])
    hits = [np.linalg.norm(people - (w - centre) / spread, axis=1).argmin() == i for i, windows in enumerate(probe) for w in windows]
    return float(np.mean(hits))


def test_people_differ_and_yet_a_person_is_not_a_fingerprint():
    """40 people, enrolled once and met in the same and in another session, by simple orientation-free features: far above chance (1/40);
    another session costs something."""

    def features(session, take):
        recordings = (Walker(seed).record(duration_s=32, session=session, take=take) for seed in range(40))
        return [record_features(r.acc_N3, r.gyro_N3, r.rate_hz) for r in recordings]

    enrolled = features(session=0, take=0)
    same_session, other_session = nearest_share(enrolled, features(0, 1)), nearest_share(enrolled, features(1, 0))
    assert 0.35 < other_session < 0.9
    assert other_session + 0.05 < same_session


def test_thousands_of_seeds_are_thousands_of_people():
    gaits = np.array([Walker(s).style.gait_V for s in range(2000)])
    assert len(np.unique(gaits.round(3), axis=0)) == 2000
