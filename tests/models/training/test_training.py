"""Training is repeatable, resumes, holds people out, and writes weights that load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.recordings import CONDITIONS, Recording, RecordingError
from models.data.simulated import simulate
from models.registry import find_network, load_embedder, load_extractor
from models.training import engine
from models.training.augment import disturb_sensors, random_rotations, rotate, transfer
from models.training.corpus import build_corpus, class_numbers, crop, elsewhere, window_starts
from models.training.embedding import EmbeddingTask
from models.training.losses import AdditiveAngularMargin, supervised_contrastive
from models.training.options import TrainOptions, people_of, split_people
from models.training.scoring import calibrate, normalised, probes, score_embedded, walking_windows
from models.training.train import train
from models.types import Float32

OPTIONS = TrainOptions("gait-tcn", (), epochs=3, steps=3, batch=32, seed=4)


def write_recordings(path: Path, recordings: list[Recording]) -> Path:
    """Recordings as a file of the tidy format."""
    columns = {key: np.array([getattr(recording, key) for recording in recordings]) for key in CONDITIONS}
    arrays = {"acc": "acc_N3", "gyro": "gyro_N3", "walk": "walk_N", "act": "act_N"}
    samples = {name: np.concatenate([getattr(recording, key) for recording in recordings]) for name, key in arrays.items()}
    offsets = np.cumsum([0, *(len(recording.acc_N3) for recording in recordings)])
    np.savez(path, off=offsets, fs=np.float64(50.0), **columns, **samples)
    return path


def task() -> EmbeddingTask:
    torch.manual_seed(0)
    walks = simulate(range(70, 75), sessions=2, duration_s=16)
    return EmbeddingTask(find_network("gait-tcn").build(), walks[:6], walks[6:], OPTIONS.batch, "cpu")


def weights(task: EmbeddingTask) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in task.network.parameters()])


def test_the_same_seed_gives_the_same_weights_and_a_killed_run_resumes_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = task()
    history, _ = engine.fit(whole, OPTIONS, tmp_path / "whole")
    assert [row["epoch"] for row in history] == [0, 1, 2]

    class KilledError(Exception):
        pass

    killed, validations = task(), []
    plain_validate = killed.validate

    def validate_then_die() -> dict[str, float]:
        validations.append(1)
        if len(validations) == 3:
            raise KilledError
        return plain_validate()

    monkeypatch.setattr(killed, "validate", validate_then_die)
    with pytest.raises(KilledError):
        engine.fit(killed, OPTIONS, tmp_path / "killed")
    resumed = task()
    again, _ = engine.fit(resumed, OPTIONS, tmp_path / "killed")
    assert [row["score"] for row in again] == pytest.approx([row["score"] for row in history], abs=1e-6)
    assert torch.allclose(weights(resumed), weights(whole), atol=1e-6)


def test_a_checkpoint_of_other_options_is_not_resumed(tmp_path: Path) -> None:
    one = replace(OPTIONS, epochs=1)
    engine.fit(task(), one, tmp_path)
    assert len(engine.fit(task(), replace(one, seed=5), tmp_path)[0]) == 1  # began again: a resumed run would have had nothing to do


def test_learning_rate_rises_and_falls() -> None:
    factors = [engine.rate_factor(progress) for progress in np.linspace(0, 1, 50)]
    assert max(factors) == pytest.approx(1.0, abs=0.02)
    assert factors[0] < 0.1
    assert factors[-1] == pytest.approx(0.0, abs=1e-9)


def test_train_writes_weights_and_card_that_load(tmp_path: Path) -> None:
    card = train("gait-tcn", [], tmp_path, seed=1, epochs=1, simulated=14, steps=2, batch=32)
    embedder = load_embedder("gait-tcn", tmp_path)
    assert embedder.space == card["space"]
    assert embedder.calibration.counts[0][0] > 20
    written = json.loads((tmp_path / "gait-tcn.json").read_text())
    assert written["seed"] == 1
    assert written["command"].startswith("gaitstream train gait-tcn")
    assert written["data"]["simulation"]["trained_on"].startswith("12 walkers")  # the last sixth is held out
    assert written["data"]["simulation"]["held_out"].startswith("2 walkers")
    extraction = train("walk-tcn", [], tmp_path, seed=1, epochs=1, simulated=6, steps=2, batch=32)
    assert load_extractor("walk-tcn", tmp_path).space == extraction["space"]
    assert 0 <= extraction["held_out"]["f1_simulation"] <= 1


def test_a_file_trains_and_its_test_people_give_the_figures_of_the_card(tmp_path: Path) -> None:
    file = write_recordings(tmp_path / "walks.npz", simulate(range(80, 88), sessions=2, duration_s=21))
    card = train("gait-tcn", [file], tmp_path, people="1-6", test_people="7-8", epochs=1, steps=2, batch=32)
    assert card["data"]["walks"]["trained_on"] == [f"sim000{n}" for n in range(80, 84)]
    assert card["weights_set"] == "research"  # nobody said that these data may train shipped weights
    identification, verification = card["evaluation"]["walks"]
    assert identification["counts"]["enrolled"] == 2
    assert verification["figures"]["eer_1"]["low"] is not None
    with pytest.raises(RecordingError, match="sim00085 cannot both train and test"):
        train("gait-tcn", [file], tmp_path, people="1-6", test_people="6-8")


def test_a_finished_task_embeds_by_its_discriminant(tmp_path: Path) -> None:
    one = task()
    engine.fit(one, replace(OPTIONS, epochs=1), tmp_path)
    before = one.network.discriminant.weight.clone()
    one.finish()
    assert not torch.allclose(one.network.discriminant.weight, before)
    x_BT6 = torch.from_numpy(walking_windows(simulate([74], sessions=1, duration_s=16)[0]))
    vector_BD, quality_B = one.network(x_BT6)
    assert vector_BD.shape == (len(x_BT6), one.network.DIM)
    assert torch.allclose(vector_BD.norm(dim=1), torch.ones(len(x_BT6)))
    assert ((quality_B >= 0) & (quality_B <= 1)).all()


def test_simulated_walkers_join_at_other_places_and_are_classes_of_their_own() -> None:
    made = elsewhere(simulate([70, 71], sessions=2, duration_s=2))
    assert {(walk.subject, walk.placement) for walk in made} >= {("sim00070", "waist"), ("sim00071", "waist")}
    assert len({(walk.subject, walk.placement) for walk in made}) == 4
    assert elsewhere([replace(made[0], source="motionsense")]) == []
    numbers = class_numbers(np.array([False, True, False]), copies=3)
    assert numbers.tolist() == [[0, 1, 2], [3, 3, 3], [4, 5, 6]]


def test_a_pretended_place_changes_all_items_alike_and_leaves_gravity() -> None:
    x_BT6 = np.random.default_rng(3).normal(size=(2, 128, 6)).astype(np.float32)
    x_BT6[1] = x_BT6[0]
    x_BT6[..., 2] += 9.81
    moved = transfer(x_BT6, np.random.default_rng(4))
    assert np.allclose(moved[0], moved[1], atol=1e-5)
    assert np.allclose(moved.mean(axis=1), x_BT6.mean(axis=1), atol=1e-5)
    assert np.abs(moved - x_BT6).std() > 0.1


def test_one_person_cannot_train_an_embedding(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two people"):
        EmbeddingTask(find_network("gait-tcn").build(), simulate([70], sessions=1, duration_s=10), [], 32, "cpu")
    with pytest.raises(ValueError, match="no recording"):
        train("gait-tcn", [], tmp_path)


def test_people_are_split_as_people() -> None:
    recordings = simulate(range(70, 82), sessions=2, duration_s=1)
    seen: list[str] = []
    for fold in range(3):
        inside, outside = split_people(recordings, fold, 3)
        people = {recording.subject for recording in outside}
        assert not people & {recording.subject for recording in inside}
        assert len(people) == 4
        seen += people
    assert len(set(seen)) == 12
    assert {recording.subject for recording in split_people(recordings)[1]} == {"sim00080", "sim00081"}
    assert split_people(recordings[:6])[1] == []  # three people: none to spare


@pytest.mark.parametrize(
    ("choice", "file", "people"),
    [
        (None, "a.npz", None),  # all
        ("1-6", "a.npz", "1-6"),  # the same for every file
        ("a=1-6;b=x,y", "/data/b.npz", "x,y"),  # by the stem of the file
    ],
)
def test_people_per_file(choice: str | None, file: str, people: str | None) -> None:
    assert people_of(choice, file) == people


def test_people_for_a_file_that_is_not_named_are_refused() -> None:
    with pytest.raises(RecordingError, match="does not name c"):
        people_of("a=1-6;b=2", "c.npz")


def test_crops_interpolate_and_obey_physics() -> None:
    time_s = np.arange(400) / 50.0
    samples = np.zeros((400, 6), np.float32)
    samples[:, 0] = 9.81 + np.sin(2 * np.pi * time_s)
    samples[:, 3] = np.cos(2 * np.pi * time_s)
    twice = crop(samples, np.array([10.0]), np.array([1.25]), 128)[0]
    expected = samples[:, 3][10] * 1.25
    assert twice[0, 3] == pytest.approx(expected, abs=1e-3)  # rates grow with the speed
    assert np.ptp(twice[:, 0]) == pytest.approx(2 * 1.25**2, abs=0.05)  # accelerations with its square
    assert np.allclose(crop(samples, np.array([5.0]), np.array([1.0]), 100)[0], samples[5:105], atol=1e-5)


def test_window_starts_hold_mostly_walking() -> None:
    corpus = build_corpus(simulate([77], sessions=1, duration_s=60, script="daily"))
    starts, records = window_starts(corpus, 128, 0.75)
    assert len(starts) == len(records) > 10
    assert all((corpus.walk_N[start : start + 128] == 1).mean() >= 0.75 for start in starts)


def test_augmentation_keeps_lengths_and_differs_by_item() -> None:
    rng = np.random.default_rng(1)
    x_BT6 = rng.normal(size=(5, 50, 6)).astype(np.float32)
    turned = rotate(x_BT6, random_rotations(5, rng))
    assert np.allclose(np.linalg.norm(turned[..., :3], axis=2), np.linalg.norm(x_BT6[..., :3], axis=2), atol=1e-4)
    assert np.allclose(np.linalg.norm(turned[..., 3:], axis=2), np.linalg.norm(x_BT6[..., 3:], axis=2), atol=1e-4)
    assert not np.allclose(turned[0], x_BT6[0], atol=0.1)
    assert disturb_sensors(x_BT6, rng).dtype == np.float32


def test_losses_prefer_the_right_arrangement() -> None:
    identity = torch.arange(8) // 2
    together = torch.eye(64)[identity]
    apart = torch.eye(64)[torch.arange(8)]
    assert supervised_contrastive(together, identity) < supervised_contrastive(apart, identity)
    torch.manual_seed(0)
    margin = AdditiveAngularMargin(64, 4)
    centres = torch.nn.functional.normalize(margin.centre_KD.detach(), dim=1)
    assert margin(centres, torch.arange(4)) < margin(centres.roll(1, 0), torch.arange(4))


def unit(*rows: list[float]) -> Float32:
    return normalised(np.array(rows, np.float32))


def test_scores_pair_recordings_of_one_source_only() -> None:
    walks = simulate(range(70, 73), sessions=2, duration_s=1)
    other = [replace(recording, source="elsewhere") for recording in walks]
    vectors = [np.tile(row, (10, 1)) for row in np.eye(64, dtype=np.float32)[np.repeat(np.arange(3), 2)]]
    genuine, impostor = score_embedded(list(zip([*walks, *other], [*vectors, *vectors], strict=True)), 1)
    assert len(genuine) == 2 * 3 * 2 * 10  # two sources, three people, two directions, ten windows
    assert len(impostor) == 2 * 6 * 4 * 10
    assert np.allclose(genuine, 1)
    assert np.allclose(impostor, 0)


def test_probes_are_means_of_consecutive_windows() -> None:
    rows = unit([1, 0], [0, 1], [0, 1])
    assert np.allclose(probes(rows, 2), unit([1, 1], [0, 1]))
    assert len(probes(rows, 4)) == 0


def test_calibration_describes_both_distributions() -> None:
    """An embedding that knows the person but for noise: genuine cosines are high, impostor ones low, longer probes are steadier."""
    walks = simulate(range(70, 82), sessions=2, duration_s=35)
    rng = np.random.default_rng(2)
    centres = normalised(rng.normal(size=(12, 64)).astype(np.float32))
    queue = [centres[int(recording.subject[3:]) - 70] for recording in walks]

    def embed(x_WT6: Float32) -> Float32:
        return normalised(queue.pop(0) + 0.12 * rng.normal(size=(len(x_WT6), 64)).astype(np.float32))

    calibration = calibrate([(embed, walks)], windows=(1, 4))
    assert calibration.people == 12
    assert min(calibration.genuine_mean) > 0.6
    assert abs(calibration.impostor_mean[0]) < 0.1
    assert calibration.genuine_sd[1] < calibration.genuine_sd[0]
    for table in calibration.impostor_quantiles:
        rates, cosines = zip(*table, strict=True)
        assert list(rates) == sorted(rates, reverse=True)
        assert list(cosines) == sorted(cosines)
    assert calibration.counts[0] == (12 * 11 * 4 * 26, 12 * 2 * 26)


def test_calibration_leaves_out_sources_that_have_no_long_probes() -> None:
    """Short walks of other people, all alike: were they in the table of single windows, its impostor mean would jump at four windows."""
    long = simulate(range(70, 76), sessions=2, duration_s=30)
    short = [replace(recording, source="short") for recording in simulate(range(70, 76), sessions=12, duration_s=4.5)]
    rng = np.random.default_rng(3)

    def embed(x_WT6: Float32) -> Float32:
        return normalised(rng.normal(3.0 if len(x_WT6) < 4 else 0.0, 1.0, (len(x_WT6), 64)).astype(np.float32))

    calibration = calibrate([(embed, [*long, *short])], (1, 4))
    assert calibration.windows == (1, 4)
    assert calibration.people == 6
    assert calibration.impostor_mean[0] == pytest.approx(calibration.impostor_mean[1], abs=0.1)
