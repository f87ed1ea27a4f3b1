"""Evaluations run the very path of the workers and say how many they stand on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from models.data.recordings import Recording
from models.data.simulated import simulate
from models.evaluation import evaluate_extraction, evaluate_identification, evaluate_verification
from models.evaluation.embedded import embed_recordings, probe_vectors, templates
from models.inertial.cutting import cut
from models.inertial.embedder import GaitEmbedder
from models.inertial.extractor import WalkExtractor
from models.matching.vectors import leading
from models.registry import load_embedder, load_extractor

Networks = tuple[WalkExtractor, GaitEmbedder]


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_extractor(), load_embedder()


@pytest.fixture(scope="module")
def walks() -> list[Recording]:
    """Five walkers, two sessions each."""
    return simulate(range(60, 65), sessions=2, duration_s=16)


def test_windows_of_an_evaluation_are_those_of_the_workers(networks: Networks, walks: list[Recording]) -> None:
    extractor, embedder = networks
    first_index = 1_000_037
    item = embed_recordings(extractor, embedder, walks[:1], first_index)[0]
    assert len(item.starts_W) >= 5
    assert (item.starts_W % 64 == 0).all()
    samples = walks[0].samples_N6
    assert np.array_equal(item.starts_W, cut(samples, first_index, extractor).window_starts_W)
    own = np.stack([samples[start - first_index : start - first_index + 128] for start in item.starts_W])
    assert np.allclose(item.vector_WD, leading(embedder.embed(own)[0], embedder.matched_dim), atol=1e-5)


def test_templates_and_probes_are_normalised_means(networks: Networks, walks: list[Recording]) -> None:
    embedded = embed_recordings(*networks, walks[:4])
    people, rows = templates(embedded)
    assert people == ["sim00060", "sim00061"]
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    probes = probe_vectors(embedded[0], 4)
    assert len(probes) == len(embedded[0].vector_WD) - 3
    mean = embedded[0].vector_WD[1:5].mean(0)
    assert np.allclose(probes[1], mean / np.linalg.norm(mean), atol=1e-5)
    assert len(probe_vectors(embedded[0], None)) == 1
    assert len(probe_vectors(embedded[0], 1000)) == 0


def test_identification_and_verification_of_simulated_walkers(networks: Networks, walks: list[Recording]) -> None:
    identified = evaluate_identification(*networks, walks[::2], walks[1::2])
    assert identified.counts["enrolled"] == 5
    assert identified.counts["strangers"] == 0
    assert identified.figures["rank1_1"].value > 0.5
    assert identified.figures["rank5_1"].value == 1.0  # five enrolled
    verified = evaluate_verification(*networks, walks[::2], walks[1::2])
    assert verified.counts["people"] == 5
    assert verified.counts["impostor_1"] == 4 * verified.counts["genuine_1"]
    assert 0 <= verified.figures["eer_4"].value <= 0.4
    assert json.loads(json.dumps(verified.to_json()))["figures"]["eer_1"]["value"] == verified.figures["eer_1"].value


def test_people_without_enrolment_are_strangers(networks: Networks, walks: list[Recording]) -> None:
    outcome = evaluate_identification(*networks, walks[:6:2], walks[1::2])
    assert (outcome.counts["enrolled"], outcome.counts["strangers"]) == (3, 2)


def test_data_sets_are_never_mixed(networks: Networks, walks: list[Recording]) -> None:
    other = [replace(recording, source="elsewhere") for recording in walks[2:4]]
    for evaluate in (evaluate_identification, evaluate_verification):
        with pytest.raises(ValueError, match="never compared"):
            evaluate(*networks, [*walks[:2], *other], walks[:2])


def test_nobody_walking_is_said(networks: Networks) -> None:
    resting = simulate(range(60, 62), sessions=1, duration_s=16, script="still")
    with pytest.raises(ValueError, match="two"):
        evaluate_identification(*networks, resting, resting)


def test_extraction_leaves_other_gait_out(networks: Networks) -> None:
    days = simulate(range(60, 62), sessions=1, duration_s=60, script="daily")
    outcome = evaluate_extraction(networks[0], days)
    scored = sum(int(np.isin(day.walk_N, (0, 1)).sum()) for day in days)
    assert 0 < outcome.counts["samples"] <= scored
    assert outcome.counts["people"] == 2
    assert set(outcome.tables["f1_by_placement"]) == {"pocket_front"}
    assert 0 <= outcome.tables["walking_share"]["still"] < 0.2
