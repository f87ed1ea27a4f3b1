"""The audit of dependencies and the bill of materials, of this very environment."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.deploy.tools import REPOSITORY, run


def _load() -> ModuleType:
    """deploy/ is no package: its programs run by themselves."""
    spec = importlib.util.spec_from_file_location("deploy_audit", REPOSITORY / "deploy" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deploy_audit"] = module
    spec.loader.exec_module(module)
    return module


audit = _load()


@pytest.fixture(scope="module")
def bom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As `make sbom` writes it."""
    file = tmp_path_factory.mktemp("sbom") / "new" / "sbom.json"
    run(sys.executable, REPOSITORY / "deploy" / "audit.py", "sbom", file)
    return dict(json.loads(file.read_text()))


def test_what_runs_is_pinned_installed_as_pinned_and_licensed() -> None:
    assert audit.findings(audit.parts()) == []


def test_each_finding_is_found() -> None:
    def part(**change: Any) -> dict[str, Any]:
        known = dict(audit.parts())
        fields = {name: getattr(known["aiokafka"], name) for name in ("name", "pinned", "installed", "licence", "needs")}
        return known | {"aiokafka": audit.Part(**(fields | change))}

    rows = [
        ({"pinned": None}, "aiokafka 0.14.0 is needed at run time and not pinned"),
        ({"installed": None}, "not installed"),
        ({"installed": "0.13.0"}, "aiokafka 0.13.0 is installed, 0.14.0 is pinned"),
        ({"licence": ""}, "states no licence"),
        ({"licence": "GNU Affero General Public License v3 (AGPL)"}, "is under GNU Affero"),
        ({"licence": "GPL-3.0-only"}, "is under GPL-3.0-only"),
    ]
    for change, said in rows:
        (text,) = audit.findings(part(**change))
        assert said in text
    for licence in ("GPL-2.0-only OR MIT", "GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.1"):  # may be had otherwise
        assert audit.findings(part(licence=licence)) == []


def test_what_is_no_pin_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "constraints.txt"
    for line in ("aiokafka>=0.14", "aiokafka", "aiokafka==0.14.*", "aiokafka==0.14; python_version > '3'"):
        file.write_text(f"# c\nPyYAML==6.0.3\n\n{line}\n")
        with pytest.raises(ValueError, match="not an exact pin"):
            audit.pins(file)
    file.write_text("# c\nPyYAML==6.0.3  # d\n\n")
    assert audit.pins(file) == {"pyyaml": "6.0.3"}


def test_changed_and_missing_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit.changed_files("aiokafka") == []
    about = tmp_path / "thing-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (tmp_path / "thing.py").write_text("x = 2\n")
    (about / "RECORD").write_text("thing.py,sha256=0000,6\ngone.py,sha256=0000,6\nthing-1.dist-info/RECORD,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert audit.changed_files("thing") == ["thing: thing.py was changed", "thing: gone.py is gone"]


def test_advisories_as_pip_audit_tells_them() -> None:
    rows = [
        {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}, {"id": "CVE-2", "fix_versions": []}]},
        {"name": "b", "version": "1", "vulns": []},
        {"name": "c", "skip_reason": "Dependency not found"},
    ]
    wrong, said = audit.reported(json.dumps({"dependencies": rows, "fixes": []}))
    assert wrong == ["a 1: CVE-1, mended in 1.1", "a 1: CVE-2, mended in no version"]
    assert said.startswith("looked up for 2 of 3 packages")


def test_the_audit_runs_and_says_how_far_it_got() -> None:
    said = subprocess.run(
        [sys.executable, REPOSITORY / "deploy" / "audit.py", "check"], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    assert re.search(r"^torch +\S+ +\S", said.stdout, re.MULTILINE)
    assert "advisories: " in said.stdout
    assert re.search(r"^\d+ packages run, \d+ are pinned or needed, \d+ findings$", said.stdout, re.MULTILINE)


def test_the_bill_has_what_cyclonedx_requires(bom: dict[str, Any]) -> None:
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bom["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bom["metadata"]["timestamp"])
    assert bom["metadata"]["component"]["name"] == "gaitstream"
    for component in bom["components"]:
        assert component["type"] in {"library", "machine-learning-model"}
        assert component["name"] and component["version"] and component["bom-ref"]
        assert component.get("scope", "required") in {"required", "optional", "excluded"}
    refs = [component["bom-ref"] for component in bom["components"]]
    assert len(refs) == len(set(refs))
    known = {*refs, bom["metadata"]["component"]["bom-ref"]}
    assert {d["ref"] for d in bom["dependencies"]} <= known
    assert {ref for d in bom["dependencies"] for ref in d["dependsOn"]} <= known


def test_each_constraint_and_each_shipped_network_is_in_the_bill(bom: dict[str, Any]) -> None:
    libraries = {c["name"]: c for c in bom["components"] if c["type"] == "library"}
    assert {name: c["version"] for name, c in libraries.items()}.items() >= audit.pins().items()
    assert libraries["torch"]["purl"] == f"pkg:pypi/torch@{audit.pins()['torch']}"
    scopes = {name: libraries[name]["scope"] for name in ("cryptography", "matplotlib", "pytest")}
    assert scopes == {"cryptography": "required", "matplotlib": "optional", "pytest": "excluded"}
    networks = {c["name"]: c for c in bom["components"] if c["type"] == "machine-learning-model"}
    assert set(networks) == {file.stem for file in (REPOSITORY / "models" / "weights").glob("*.safetensors")}
    assert all(re.fullmatch("[0-9a-f]{64}", n["hashes"][0]["content"]) for n in networks.values())
    (root,) = [d for d in bom["dependencies"] if d["ref"] == bom["metadata"]["component"]["bom-ref"]]
    assert libraries["aiokafka"]["bom-ref"] in root["dependsOn"] and libraries["pytest"]["bom-ref"] not in root["dependsOn"]
