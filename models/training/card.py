"""Weights and model card of a run: written by the run itself, the card last, each beside its final name and renamed."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from models.catalogue import NetworkEntry
from models.inertial.embedder import PenultimateEmbedding, UnitClassical, matched_dim
from models.inertial.networks import GaitTCN
from models.registry import space_id
from models.training.final import final_figures
from models.training.options import TrainOptions

SOURCES: dict[str, dict[str, Any]] = {
    "motionsense": {
        "title": "MotionSense (Malekzadeh, Clegg, Cavallaro, Haddadi: Mobile Sensor Data Anonymization, IoTDI 2019)",
        "licence": "MIT",
        "may_train_default": True,
    },
    "geotec_spsw": {
        "title": "Smartphone and smartwatch HAR dataset (Matey-Sanz, Casteleyn, Granell: GeoTec, Universitat Jaume I, 2023)",
        "licence": "CC BY 4.0",
        "may_train_default": True,
    },
    "hapt": {"title": "HAPT (Reyes-Ortiz et al. 2015)", "licence": "non-commercial", "may_train_default": False},
    "ipol265_footL": {"title": "IPOL 265 gait data, left foot", "licence": "CC BY-NC-SA", "may_train_default": False},
    "hugadb_thigh": {"title": "HuGaDB", "licence": "none stated", "may_train_default": False},
    "cmu_walk": {
        "title": "CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu; created with funding from NSF EIA-0196217)",
        "licence": "free to use, credit asked for",
        "may_train_default": True,
    },
    "simulation": {
        "title": "simulated walkers (models.simulation; motion derived from the CMU motion capture database)",
        "licence": "Apache-2.0",
    },
}
"""What is known of the sets by the stem of their files; others are named as they are, licence "stated by whoever trained"."""


def write(
    entry: NetworkEntry, network: nn.Module, out_dir: Path, options: TrainOptions, *, sources: dict[str, Any], results: dict[str, Any]
) -> dict[str, Any]:
    """Writes NAME.safetensors and NAME.json into out_dir and returns the card.

    sources: per source of data, the people used for training and held out.  results: further entries of the card (figures, calibration).
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    content = safetensors.torch.save(tensors)
    card = {
        "name": entry.name,
        "task": entry.task,
        "summary": entry.summary,
        "space": space_id(entry, content),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "weights_set": weights_set(list(sources)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()) or sum(tensor.numel() for tensor in tensors.values()),
        "input": entry.input,
        "preprocessing": entry.preprocessing,
        **({"matched_dim": matched_dim(network)} if isinstance(network, GaitTCN | PenultimateEmbedding | UnitClassical) else {}),
        "licence": licence(list(sources)),
        "data": {
            name: {**SOURCES.get(name, {"title": name, "licence": "stated by whoever trained"}), **use} for name, use in sources.items()
        },
        "options": options.to_card(),
        "command": command(options),
        "seed": options.seed,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "limits": "Every data set is one visit per person: nothing here shows how the network does from day to day.",
        **results,
        "evaluation": final_figures(entry, network, space_id(entry, content), options),
    }
    replace_file(out_dir / f"{entry.name}.safetensors", content)
    replace_file(out_dir / f"{entry.name}.json", (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    return card


def command(options: TrainOptions) -> str:
    """The command line that repeats the run."""
    parts = [f"gaitstream train {options.name}", *(f"--data {file}" for file in options.to_card()["data_files"]), "--out DIR"]
    parts += [f'--people "{options.people}"'] if options.people else []
    parts += [f'--test-people "{options.test_people}"'] if options.test_people else []
    parts += [f'--where "{options.where}"'] if options.where else []
    parts += [flag for flag, on in (("--small", options.small), ("--legacy", options.legacy)) if on]
    parts += [f"--simulated {options.simulated}", f"--seed {options.seed}", f"--epochs {options.epochs}", f"--folds {options.folds}"]
    parts += [f"--steps {options.steps}"] if options.steps else []
    parts += [f"--batch {options.batch}"]
    return " ".join(parts)


def weights_set(sources: list[str]) -> str:
    """ "default" if every source may train shipped weights, "research" otherwise."""
    return "default" if all(SOURCES.get(name, {}).get("may_train_default", name == "simulation") for name in sources) else "research"


def licence(sources: list[str]) -> str:
    """One line: the licence of the weights and what their data ask for."""
    asked = "; ".join(f"{name}: {SOURCES.get(name, {}).get('licence', 'stated by whoever trained')}" for name in sources)
    own = "Apache-2.0" if weights_set(sources) == "default" else "research use only"
    return f"{own} (trained on {asked})"


def replace_file(path: Path, content: bytes) -> None:
    """Written beside and renamed, so that a reader sees the old file or the new one, never half of one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
