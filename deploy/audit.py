"""What an installation consists of: the bill of materials (SBOM), pins, licences, changed files, and known vulnerabilities.

    python deploy/audit.py check [--files]     every runtime dependency is pinned, installed as pinned, has a licence that is allowed
    python deploy/audit.py sbom FILE           CycloneDX 1.6 JSON, from the metadata of what is installed, pinned, and shipped as weights

`check` also asks pip-audit for advisories where that is installed (`pip install pip-audit`) and its service is reached; where not, it
says so: a pinned list is reproducible, it is not known to be free of vulnerabilities.  Run it with the interpreter of the installation.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
WEIGHTS = REPOSITORY / "models" / "weights"
PROJECT = "gaitstream"

ALLOWED = re.compile(
    r"apache|bsd|\bmit\b|isc\b|mpl|mozilla|\bpsf|python software|zlib|0bsd|hpnd|unlicense|cmu|epl|eclipse|public domain", re.I
)
FORBIDDEN = re.compile(r"(?<!l)a?gpl|sspl|commons clause|business source", re.I)
"""Of what runs: licences that would bind this program or its users beyond its own.  The LGPL does not."""


@dataclass(frozen=True, slots=True)
class Part:
    """One package: pinned, installed, or both."""

    name: str
    pinned: str | None
    installed: str | None
    licence: str
    needs: tuple[str, ...]

    @property
    def version(self) -> str:
        """The pinned version, without a pin the installed one."""
        return self.pinned or self.installed or "0"

    @property
    def purl(self) -> str:
        """Package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def pins(file: Path = CONSTRAINTS) -> dict[str, str]:
    """Version of each constraint by canonical name.  Raises ValueError for a line that is no exact pin."""
    found = {}
    for line in file.read_text().splitlines():
        text = line.split("#", 1)[0].strip()
        if text:
            name, equals, version = text.partition("==")
            if not equals or not re.fullmatch(r"[A-Za-z0-9._+!-]+", version):
                raise ValueError(f"{file.name}: not an exact pin: {line}")
            found[str(canonicalize_name(name))] = version
    return found


def needed(name: str, extra: str = "") -> list[str]:
    """Packages that a distribution asks for on this platform; none when it is not installed.  Of gaitstream itself: as pyproject.toml says."""
    if name == PROJECT:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    else:
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            return []
    wanted = [Requirement(line) for line in lines]
    return sorted({str(canonicalize_name(r.name)) for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})})


def closure(roots: list[str]) -> set[str]:
    """The roots and everything they need, directly or not."""
    found: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += needed(name)
    return found


def licence_of(name: str) -> str:
    """As the distribution's own metadata say, in one line; empty when they do not."""
    try:
        about: Any = metadata.metadata(name)  # an email message, says its documentation
    except metadata.PackageNotFoundError:
        return ""
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [c for c in classifiers if c != "OSI Approved"]
    text = (about.get("License") or "").strip().splitlines()
    return " OR ".join(named) or (text[0][:80] if text else "")


def parts() -> dict[str, Part]:
    """Every pinned package and every installed one that gaitstream needs, by canonical name."""
    pinned = pins()
    found = {}
    for name in sorted(set(pinned) | (closure([PROJECT]) - {PROJECT})):
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = None
        found[name] = Part(name, pinned.get(name), installed, licence_of(name), tuple(needed(name)))
    return found


def findings(known: dict[str, Part]) -> list[str]:
    """What is wrong with the packages that run, in words."""
    wrong = []
    for name in sorted(closure([PROJECT]) - {PROJECT}):
        part = known[name]
        if part.pinned is None:
            wrong.append(f"{name} {part.installed} is needed at run time and not pinned in {CONSTRAINTS.name}")
        elif part.installed is None:
            wrong.append(f"{name} is needed at run time and not installed")
        elif part.installed.partition("+")[0] != part.pinned.partition("+")[0]:  # torch 2.13.0+cpu is 2.13.0
            wrong.append(f"{name} {part.installed} is installed, {part.pinned} is pinned")
        if part.installed and not part.licence:
            wrong.append(f"{name} states no licence")
        elif FORBIDDEN.search(part.licence) and not ALLOWED.search(part.licence):
            wrong.append(f"{name} is under {part.licence}")
    return wrong


def changed_files(name: str) -> list[str]:
    """Files of an installed distribution that are not what its RECORD says, or are gone."""
    distribution = metadata.distribution(name)
    wrong = []
    for path, digest, _ in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        kind, _, expected = digest.partition("=")
        if kind != "sha256":
            continue
        file = Path(str(distribution.locate_file(path)))
        if not file.is_file():
            wrong.append(f"{name}: {path} is gone")
        else:
            with file.open("rb") as data:
                found = base64.urlsafe_b64encode(hashlib.file_digest(data, "sha256").digest()).rstrip(b"=").decode()
            if found != expected:
                wrong.append(f"{name}: {path} was changed")
    return wrong


def advisories() -> tuple[list[str], str]:
    """What pip-audit found, and how far it got: a service that is not reached has found nothing."""
    program = shutil.which("pip-audit", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        return [], "not looked up, pip-audit is not installed here (pip install pip-audit)"
    command = [program, "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return [], "not looked up, pip-audit got no answer within 300 s"
    try:
        return reported(done.stdout)
    except (ValueError, KeyError, TypeError):
        return [], f"not looked up, pip-audit failed: {(done.stderr.strip().splitlines() or [''])[-1][:200]}"


def reported(answer: str) -> tuple[list[str], str]:
    """The same from pip-audit's JSON.  Raises ValueError, KeyError or TypeError for anything else."""
    rows = json.loads(answer)["dependencies"]
    asked = [row for row in rows if "vulns" in row]
    wrong = [
        f"{row['name']} {row['version']}: {v['id']}, mended in {', '.join(v['fix_versions']) or 'no version'}"
        for row in asked
        for v in row["vulns"]
    ]
    return wrong, f"looked up for {len(asked)} of {len(rows)} packages; the others are not known to the service that answered"


def weights() -> list[dict[str, object]]:
    """Networks that are shipped, as components: their hash, and their licence as the model card says."""
    rows: list[dict[str, object]] = []
    for file in sorted(WEIGHTS.glob("*.safetensors")):
        card_file = file.with_suffix(".json")
        card = json.loads(card_file.read_text()) if card_file.exists() else {}
        row: dict[str, object] = {
            "type": "machine-learning-model",
            "bom-ref": f"weights/{file.stem}",
            "name": file.stem,
            "version": str(card.get("space", PROJECT)),
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}],
        }
        if card.get("licence"):
            row["licenses"] = [{"license": {"name": str(card["licence"])[:200]}}]
        rows.append(row)
    return rows


def sbom(known: dict[str, Part]) -> dict[str, object]:
    """The bill of materials.  The same installation gives the same document but for its time (SOURCE_DATE_EPOCH fixes that too)."""
    runs = closure([PROJECT])
    trains = closure(needed(PROJECT, "train"))
    root = f"pkg:pypi/{PROJECT}@{metadata.version(PROJECT)}"
    components: list[dict[str, object]] = []
    for part in known.values():
        row: dict[str, object] = {
            "type": "library", "bom-ref": part.purl, "name": part.name, "version": part.version, "purl": part.purl,
            "scope": "required" if part.name in runs else "optional" if part.name in trains else "excluded",
        }  # fmt: skip
        if part.licence:
            row["licenses"] = [{"license": {"name": part.licence}}]
        components.append(row)
    models = weights()
    identity = json.dumps([components, models], sort_keys=True)
    time_s = int(os.environ.get("SOURCE_DATE_EPOCH", datetime.now(UTC).timestamp()))
    purls = {part.name: part.purl for part in known.values()}
    direct = [purls[name] for name in needed(PROJECT) if name in purls]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "gaitstream deploy/audit.py"}]},
            "component": {
                "type": "application", "bom-ref": root, "name": PROJECT, "version": metadata.version(PROJECT), "purl": root,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components + models,
        "dependencies": [
            {"ref": root, "dependsOn": sorted(direct + [str(model["bom-ref"]) for model in models])},
            *({"ref": part.purl, "dependsOn": sorted(purls[n] for n in part.needs if n in purls)} for part in known.values()),
        ],
    }  # fmt: skip


def check(files: bool) -> int:
    """Print what was looked at; 1 when something is wrong."""
    known = parts()
    wrong = findings(known)
    runs = sorted(closure([PROJECT]) - {PROJECT})
    for name in runs:
        print(f"{name:<28} {known[name].version:<16} {known[name].licence}")
    if files:
        wrong += [text for name in runs if known[name].installed for text in changed_files(name)]
    known_weak, said = advisories()
    wrong += known_weak
    print(f"advisories: {said}")
    for text in wrong:
        print(f"wrong: {text}", file=sys.stderr)
    print(f"{len(runs)} packages run, {len(known)} are pinned or needed, {len(wrong)} findings")
    return 1 if wrong else 0


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    checking = verbs.add_parser("check", help="pins, versions, licences, advisories")
    checking.add_argument("--files", action="store_true", help="also compare every installed file with its RECORD")
    writing = verbs.add_parser("sbom", help="write the bill of materials")
    writing.add_argument("file", type=Path)
    given = parser.parse_args()
    if given.verb == "check":
        return check(given.files)
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(json.dumps(sbom(parts()), indent=1) + "\n")
    print(f"written: {given.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
