"""The gallery equals the naive computation, whatever the order, the batch, ties and expiry; what is erased is gone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.matching import Gallery, SpaceMismatch
from models.matching import gallery as gallery_module
from models.types import ShapeError
from tests.models.matching.build import near, units

DIM = 16


def naive(templates: dict[tuple[str, str], np.ndarray], probe_D: np.ndarray, top: int) -> list[tuple[str, float]]:
    """Best template per person in float64, by falling score, then by name."""
    best: dict[str, float] = {}
    for (subject, _), vector_D in templates.items():
        best[subject] = max(best.get(subject, -2.0), float(probe_D.astype(np.float64) @ vector_D.astype(np.float64)))
    ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:top]
    return [(subject, min(score, 1.0)) for subject, score in ranked]


def same(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    """Equal names and scores; summation order moves float64 scores by far less than any two distinct float32 vectors differ here."""
    return [name for name, _ in found] == [name for name, _ in expected] and np.allclose(
        [score for _, score in found], [score for _, score in expected], rtol=0, atol=1e-13
    )


def filled(count: int, people: int, seed: int, dim: int = DIM) -> tuple[Gallery, dict[tuple[str, str], np.ndarray]]:
    gallery, templates = Gallery("space@1", dim), {}
    for index, vector_D in enumerate(units(count, dim, seed)):
        key = (f"p{index % people:05d}", f"t{index // people}")
        templates[key] = vector_D
        gallery.put(*key, vector_D)
    return gallery, templates


@pytest.mark.parametrize(
    ("count", "people", "top"),
    [
        (1, 1, 5),  # one template
        (7, 3, 1),  # fewer people than a margin and a list need
        (256, 256, 5),  # largest gallery without screening
        (257, 100, 5),  # smallest with screening
        (2048, 2048, 5),  # exactly one block
        (2049, 700, 3),  # one row in a second block
        (9000, 9000, 20),  # several blocks, a list longer than the spare groups
        (9000, 3, 3),  # 3,000 templates a person: the first groups hold one person only
    ],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_match_is_the_naive_computation(count: int, people: int, top: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.matching.screening.THREADED_ROWS", 0)  # threads even for few rows
    gallery, templates = filled(count, people, seed=count)
    gallery.threads = threads
    probe_BD = units(70, DIM, seed=1)  # more than a slice
    matches = gallery.match(probe_BD, top)
    assert (matches.enrolled, matches.templates, matches.score_BP.shape) == (people, count, (70, min(people, max(top, 2))))
    for row in (0, 1, 35, 63, 64, 69):
        assert same(matches.candidates(row), naive(templates, probe_BD[row], max(top, 2)))


@settings(max_examples=40, deadline=None)
@given(
    people=st.integers(2, 40),
    distinct=st.integers(1, 6),
    count=st.integers(300, 900),
    top=st.integers(1, 8),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_exact_ties_go_by_name(people: int, distinct: int, count: int, top: int, seed: int, data: st.DataObject) -> None:
    """Many copies of few vectors: hundreds of rows share the best score, in whatever order they came."""
    vectors = units(distinct, DIM, seed)
    owners = data.draw(st.lists(st.integers(0, people - 1), min_size=count, max_size=count))
    gallery, templates = Gallery("space@1", DIM), {}
    for index, owner in enumerate(owners):
        key = (f"p{owner:03d}", str(index))
        templates[key] = vectors[(owner + index) % distinct]
        gallery.put(*key, templates[key])
    probe_BD = units(3, DIM, seed + 1)
    matches = gallery.match(probe_BD, top)
    for row in range(3):
        assert same(matches.candidates(row, top), naive(templates, probe_BD[row], top))


@settings(max_examples=40, deadline=None)
@given(
    operations=st.lists(
        st.tuples(st.sampled_from(["put", "put", "put", "remove", "forget"]), st.integers(0, 8), st.integers(0, 3)), max_size=60
    ),
    seed=st.integers(0, 1000),
)
def test_any_history_leaves_what_is_enrolled_and_nothing_else(operations: list[tuple[str, int, int]], seed: int) -> None:
    gallery, templates = Gallery("space@1", DIM), {}
    vectors = iter(units(len(operations) + 1, DIM, seed))
    for what, person, number in operations:
        subject, template_id = f"p{person}", f"t{number}"
        if what == "put":
            templates[subject, template_id] = next(vectors)
            gallery.put(subject, template_id, templates[subject, template_id])
        elif what == "remove":
            assert gallery.remove(subject, template_id) == (templates.pop((subject, template_id), None) is not None)
        else:
            gone = [key for key in templates if key[0] == subject]
            assert gallery.remove_subject(subject) == len(gone)
            for key in gone:
                del templates[key]
    assert len(gallery) == len(templates)
    assert gallery.names() == sorted({subject for subject, _ in templates})
    assert gallery.subjects == len(gallery.names())
    allocated = gallery._templates._allocated_ND
    assert not allocated[len(gallery) :].any()
    assert sorted(map(bytes, allocated[: len(gallery)])) == sorted(map(bytes, templates.values()))
    probe_BD = units(2, DIM, seed + 7)
    matches = gallery.match(probe_BD)
    for row in range(2):
        assert same(matches.candidates(row), naive(templates, probe_BD[row], 5))


def test_scores_do_not_depend_on_batch_or_order() -> None:
    gallery, templates = filled(5000, 2500, seed=3)
    shuffled = Gallery("space@1", DIM, threads=2)
    for key in sorted(templates, key=lambda key: hash((key[1], key[0][::-1]))):
        shuffled.put(*key, templates[key])
    probe_BD = units(130, DIM, seed=4)
    whole = gallery.match(probe_BD)
    for part in (slice(0, 1), slice(5, 69), slice(129, 130)):
        for other in (gallery, shuffled):
            matches = other.match(probe_BD[part])
            assert (matches.subject_BP == whole.subject_BP[part]).all()
            assert (matches.score_BP == whole.score_BP[part]).all()  # bit for bit


def test_screening_reads_only_what_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 9,000 templates at most a few groups are scored exactly for a probe without ties."""
    gallery, _ = filled(9000, 9000, seed=5)
    scored: list[int] = []
    exact = gallery_module._cosines
    monkeypatch.setattr(gallery_module, "_cosines", lambda rows, probes: (scored.append(rows.shape[1]), exact(rows, probes))[1])
    gallery.match(units(4, DIM, seed=6))
    assert sum(scored) <= 200


def test_erased_vector_is_nowhere_in_memory_of_the_gallery() -> None:
    gallery, templates = filled(1000, 250, seed=8)  # has grown several times
    before = gallery._templates._allocated_ND
    secrets = [bytes(vector_D) for (subject, _), vector_D in templates.items() if subject == "p00007"]
    assert len(secrets) == 4
    assert all(secret in before.tobytes() for secret in secrets)
    assert gallery.remove_subject("p00007") == 4
    assert not any(secret in gallery._templates._allocated_ND.tobytes() for secret in secrets)
    for index, vector_D in enumerate(units(2000, DIM, seed=9)):  # grows: the old matrix must not keep anybody
        gallery.put("later", str(index), vector_D)
    assert gallery._templates._allocated_ND is not before
    assert not before.any()
    assert not gallery.has("p00007")


def test_replaced_template_counts_no_more() -> None:
    gallery = Gallery("space@1", DIM)
    old, new = units(2, DIM)
    gallery.put("ann", "t", old, quality=0.5, windows=3, expires_ns=50)
    gallery.put("ann", "t", new, quality=0.8, windows=9)
    assert len(gallery) == 1
    assert gallery.match(old[None]).score_BP[0, 0] == pytest.approx(float(old @ new), abs=1e-6)
    (info,) = gallery.templates_of("ann")
    assert (info.template_id, info.quality, info.windows, info.expires_ns) == ("t", 0.8, 9, None)


@pytest.mark.parametrize("count", [10, 3000])  # scored exactly; screened
def test_expired_templates_do_not_match(count: int) -> None:
    gallery = Gallery("space@1", DIM)
    vectors = units(count, DIM, seed=2)
    for index, vector_D in enumerate(vectors):
        gallery.put(f"p{index // 2:05d}", str(index % 2), vector_D, expires_ns=1000 if index in (0, 1, 4) else None)
    probe_BD = vectors[[0, 4, 5]]
    fresh = gallery.match(probe_BD, now_ns=999)
    assert fresh.subject_BP[:, 0].tolist() == ["p00000", "p00002", "p00002"]
    assert (fresh.enrolled, fresh.templates) == (count // 2, count)
    late = gallery.match(probe_BD, top=count, now_ns=1000)  # expires at that time
    assert (late.enrolled, late.templates) == (count // 2 - 1, count - 3)
    assert "p00000" not in late.subject_BP
    assert late.score_BP[1].max() < 0.999
    assert late.subject_BP[2, 0] == "p00002"  # the other template of that person still counts
    assert np.isnan(gallery.score_subject(probe_BD, "p00000", now_ns=1000)).all()
    assert gallery.score_subject(probe_BD, "p00002", now_ns=1000)[1] < 0.999
    assert gallery.match(probe_BD).enrolled == count // 2  # without a time none expires


def test_expiry_moves_with_its_template() -> None:
    gallery = Gallery("space@1", DIM)
    vectors = units(3, DIM)
    for name, vector_D, expires_ns in zip(("ann", "bob", "cid"), vectors, (None, 2000, 1000), strict=True):
        gallery.put(name, "t", vector_D, expires_ns=expires_ns)
    gallery.remove("ann", "t")  # cid takes ann's row
    assert gallery.match(vectors, now_ns=1500).subject_BP.tolist() == [["bob"]] * 3
    gallery.put("dan", "t", vectors[0])  # takes the row that came free
    assert gallery.match(vectors[:1], now_ns=9000).candidates(0) == [("dan", pytest.approx(1.0))]


def test_many_expired_templates_do_not_hide_the_rest() -> None:
    """The best 600 rows have expired, more than the first groups hold."""
    gallery, templates = filled(3000, 3000, seed=12)
    probe_D = units(1, DIM, seed=13)[0]
    ranked = naive(templates, probe_D, 610)
    for subject, _ in ranked[:600]:
        gallery.put(subject, "t0", templates[subject, "t0"], expires_ns=10)
    assert same(gallery.match(probe_D[None], now_ns=10).candidates(0), ranked[600:605])


def test_score_subject_is_the_best_of_the_persons_templates() -> None:
    gallery, templates = filled(30, 10, seed=1)
    probe_BD = units(5, DIM, seed=2)
    mine = np.array([vector_D for (subject, _), vector_D in templates.items() if subject == "p00004"], np.float64)
    np.testing.assert_allclose(gallery.score_subject(probe_BD, "p00004"), (probe_BD @ mine.T).max(axis=1), atol=1e-13)
    assert np.isnan(gallery.score_subject(probe_BD, "nobody")).all()


def test_margin_of_few_people() -> None:
    gallery = Gallery("space@1", DIM)
    vector = units(1, DIM)[0]
    nobody = gallery.match(vector[None])
    assert (nobody.enrolled, nobody.best[0], nobody.margin[0], nobody.candidates(0)) == (0, 0.0, 0.0, [])
    gallery.put("ann", "t", vector)
    one = gallery.match(vector[None])
    assert one.margin[0] == pytest.approx(2.0, abs=1e-6)  # over the lowest cosine
    gallery.put("bob", "t", near(vector, 0.6))
    two = gallery.match(vector[None], top=1)  # the second is there although one was asked for
    assert two.margin[0] == pytest.approx(0.4, abs=1e-6)
    assert two.candidates(0, 1) == [("ann", pytest.approx(1.0, abs=1e-6))]


def test_spaces_do_not_mix() -> None:
    gallery = Gallery("gait-tcn@one", DIM)
    vector = units(1, DIM)[0]
    for call in (
        lambda: gallery.put("ann", "t", vector, space="gait-tcn@two"),
        lambda: gallery.match(vector[None], space="gait-tcn@two"),
        lambda: gallery.score_subject(vector[None], "ann", space="gait-tcn@two"),
    ):
        with pytest.raises(SpaceMismatch, match=r"gait-tcn@one.*gait-tcn@two"):
            call()
    assert len(gallery) == 0
    gallery.put("ann", "t", vector, space="gait-tcn@one")
    assert gallery.match(vector[None], space="gait-tcn@one").space == "gait-tcn@one"


UNIT = units(1, DIM)[0]


@pytest.mark.parametrize(
    "vector",
    [
        UNIT[:8],  # too short
        np.concatenate([UNIT, UNIT]),  # too long
        UNIT[None],  # a matrix
        UNIT * 1.01,  # not of unit length
        np.zeros(DIM),  # no direction
        np.where(np.arange(DIM) == 3, np.nan, UNIT),  # not a number
        np.where(np.arange(DIM) == 3, np.inf, UNIT),  # infinite
    ],
)
def test_ill_formed_vectors_are_refused(vector: np.ndarray) -> None:
    gallery = Gallery("space@1", DIM)
    with pytest.raises(ShapeError):
        gallery.put("ann", "t", vector)
    gallery.put("ann", "t", UNIT)
    with pytest.raises(ShapeError):
        gallery.match(vector if vector.ndim == 1 else vector[None])
    assert len(gallery) == 1


@pytest.mark.parametrize("fields", [{"quality": -0.1}, {"quality": 1.1}, {"windows": 0}])
def test_ill_formed_descriptions_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError):
        Gallery("space@1", DIM).put("ann", "t", UNIT, **fields)


def test_no_probes_and_no_top() -> None:
    gallery, _ = filled(400, 400, seed=1)
    assert gallery.match(np.zeros((0, DIM), np.float32)).score_BP.shape == (0, 5)
    with pytest.raises(ValueError, match="top"):
        gallery.match(UNIT[None], top=0)
