"""How fast the gallery matches and erases: `python -m models.matching.bench`. Random unit vectors: the product takes the same time for any data."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

from models.matching.gallery import Gallery
from models.types import Float32

TEMPLATES_PER_PERSON = 4


DIM = 64
"""Directions of the default embedding that are compared (models.inertial.networks.GaitTCN.MATCHED_DIM, which would load torch)."""


def random_gallery(templates: int, dim: int, threads: int | None = None, seed: int = 0) -> Gallery:
    """A gallery of `templates` random unit vectors, TEMPLATES_PER_PERSON per person."""
    gallery = Gallery("bench", dim, threads)
    for index, vector_D in enumerate(random_units(templates, dim, seed)):
        gallery.put(f"person-{index // TEMPLATES_PER_PERSON:06d}", str(index % TEMPLATES_PER_PERSON), vector_D)
    return gallery


def random_units(count: int, dim: int, seed: int) -> Float32:
    """(count, dim) unit vectors, uniform on the sphere."""
    vector_ND = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    return vector_ND / np.linalg.norm(vector_ND, axis=1, keepdims=True)


def bench_match(templates: int = 200_000, dim: int = DIM, batch: int = 64, repeats: int = 30) -> dict[str, float]:
    """Milliseconds to match a batch: least and median of wall time, and median of CPU time of all threads."""
    gallery = random_gallery(templates, dim)
    probe_BD = random_units(batch, dim, seed=1)
    gallery.match(probe_BD)
    wall_ms, cpu_ms = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        gallery.match(probe_BD)
        wall_ms.append((time.perf_counter() - wall) * 1e3)
        cpu_ms.append((time.process_time() - cpu) * 1e3)
    return {
        "templates": templates,
        "dim": dim,
        "batch": batch,
        "threads": gallery.threads,
        "match_ms_min": round(min(wall_ms), 2),
        "match_ms_median": round(float(np.median(wall_ms)), 2),
        "match_cpu_ms_median": round(float(np.median(cpu_ms)), 2),
    }


def bench_erase(templates: int = 200_000, dim: int = DIM, repeats: int = 30) -> dict[str, float]:
    """Seconds to erase one person, least and largest; every second person erased has been enrolled early, where a row must move."""
    gallery = random_gallery(templates, dim)
    people = gallery.names()
    taken_s = []
    for i in range(repeats):
        subject = people[i] if i % 2 else people[-1 - i]
        start = time.perf_counter()
        gallery.remove_subject(subject)
        taken_s.append(time.perf_counter() - start)
    return {"templates": templates, "erase_s_min": min(taken_s), "erase_s_max": max(taken_s)}


def main() -> None:
    """Runs both and prints one JSON object; BLAS is held to one thread in a child process, because it reads that before numpy loads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        command = [sys.executable, "-m", "models.matching.bench", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}).returncode)
    print(json.dumps({**bench_match(options.templates, options.dim, options.batch), **bench_erase(options.templates, options.dim)}))


if __name__ == "__main__":
    main()
