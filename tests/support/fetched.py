"""Networks that are fetched and not committed: tests of what needs them skip where they cannot be had."""

from __future__ import annotations

import pytest

from models.pose import fetch


def require_networks() -> None:
    """Skips the test, with the reason, where the detector or the pose network is not there."""
    for weights in fetch.ALL:
        try:
            fetch.path_of(weights)
        except fetch.WeightsUnavailable as error:
            pytest.skip(str(error))
