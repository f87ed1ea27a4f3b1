"""Programs that the tests of deploy/ run, and why a test is skipped where one is missing."""

import importlib.util
import lzma
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from models.pose import fetch

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
PACKAGES = {
    "promtool": "apt-get install prometheus",
    "prometheus": "apt-get install prometheus",
    "amtool": "apt-get install prometheus-alertmanager",
    "prometheus-alertmanager": "apt-get install prometheus-alertmanager",
}


def program(name: str) -> str:
    """Path of a program of Debian; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {PACKAGES[name]}")
    return found


def package(name: str, requirement: str) -> None:
    """Skip the test where a Python package of the dev extra is missing."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install {requirement}")


def helm(folder: Path) -> str:
    """Path of Helm: on the path, or unpacked into `folder` from ../shared/tools (or GAITSTREAM_HELM_XZ)."""
    if found := shutil.which("helm"):
        return found
    packed = Path(os.environ.get("GAITSTREAM_HELM_XZ", REPOSITORY / ".." / "shared" / "tools" / "helm.xz"))
    if not packed.is_file():
        pytest.skip("helm is not on the path: install Helm 3, or set GAITSTREAM_HELM_XZ to an xz-packed binary")
    path = folder / "helm"
    if not path.exists():
        path.write_bytes(lzma.decompress(packed.read_bytes()))
        path.chmod(0o755)
    return str(path)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed; its errors are the text of the failure."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def no_camera_networks() -> str | None:
    """Why a camera worker cannot run here, or None."""
    try:
        for weights in fetch.ALL:
            fetch.path_of(weights)
    except fetch.WeightsUnavailable as error:
        return str(error)
    return None
