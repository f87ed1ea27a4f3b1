"""Small state files, replaced whole: a reader after a crash sees the old content or the new one, never a mixture."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` (temporary file, then rename).

    Raises:
        OSError: nothing was changed, for instance because the disk is full.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(value))
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path, default: Any) -> Any:
    """Content of ``path``, or ``default`` where there is none."""
    return json.loads(path.read_text()) if path.exists() else default
