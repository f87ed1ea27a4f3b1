"""Where tests find the real recordings, and the mark that skips a test without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("GAITSTREAM_DATA", Path(__file__).parents[3] / "shared" / "data"))
MOTIONSENSE = DATA / "imu" / "motionsense.npz"
GEOTEC = DATA / "imu" / "geotec_spsw.npz"


def needs(*files: Path) -> pytest.MarkDecorator:
    """Skips, with a reason, where one of the files is absent."""
    absent = [file.name for file in files if not file.exists()]
    return pytest.mark.skipif(bool(absent), reason=f"real recordings not found: {', '.join(absent)} (set GAITSTREAM_DATA)")
