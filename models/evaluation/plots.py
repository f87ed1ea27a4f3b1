"""matplotlib as every picture here uses it. Needs `pip install gaitstream[train]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def pyplot() -> Any:
    """pyplot without a display. Raises ImportError naming the extra."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install gaitstream[train]") from error
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save(figure: Any, file: Path) -> Path:
    """Writes the figure, without the library's version in the file, and closes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(file, metadata={"Software": None})
    pyplot().close(figure)
    return file
