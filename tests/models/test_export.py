"""An exported network gives what the registered one gives, for any batch, without this project's code."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.export import export
from models.registry import load_embedder, load_extractor

ALONE = """
import sys, numpy as np, torch
x = torch.from_numpy(np.load(sys.argv[2]))
out = torch.export.load(sys.argv[1]).module()(x)
assert not [name for name in sys.modules if name.split(".")[0] in ("models", "streams", "workers")]
np.save(sys.argv[3], (out[0] if isinstance(out, tuple) else out).detach().numpy())
"""


@pytest.mark.parametrize(("name", "window"), [("gait-tcn", 128), ("walk-tcn", 224)])
def test_the_file_runs_alone(name: str, window: int, tmp_path: Path) -> None:
    card = export(name, tmp_path / "net.pt2")
    assert card["name"] == name and (tmp_path / "net.json").is_file()
    x_BT6 = np.random.default_rng(0).standard_normal((5, window, 6)).astype(np.float32) + np.array([0, 0, 9.8, 0, 0, 0], np.float32)
    np.save(tmp_path / "x.npy", x_BT6)
    arguments = [str(tmp_path / part) for part in ("net.pt2", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", ALONE, *arguments], check=True, cwd=tmp_path, timeout=120)
    found = np.load(tmp_path / "y.npy")
    expected = load_embedder(name).embed(x_BT6)[0] if window == 128 else load_extractor(name).predict(x_BT6)
    np.testing.assert_allclose(found if window == 128 else 1 / (1 + np.exp(-found)), expected, atol=1e-5)
