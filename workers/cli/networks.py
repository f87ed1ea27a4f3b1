"""`gaitstream models`, `train`, `evaluate`, `calibrate`: the networks."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The networks and their weights.")
evaluate = typer.Typer(no_args_is_help=True, help="Figures with confidence intervals, on people the network never saw.")

Json = Annotated[bool, typer.Option("--json", help="JSON")]
Data = Annotated[Path, typer.Option(help="Recordings (npz)", exists=True, dir_okay=False)]
People = Annotated[str | None, typer.Option(help="1-6, or names: ms01,ms03; by their order in the file")]
Out = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as JSON")]


class Device(StrEnum):
    """Where networks train."""

    CPU = "cpu"
    CUDA = "cuda"


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every registered network: task, size, space, licence."""
    from models.registry import list_networks

    rows = [asdict(info) for info in list_networks()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "task", "parameters", "input", "space", "set", "licence")
    for row in rows:
        name = f"{row['name']} (default)" if row["default"] else row["name"]
        cells = (
            row["task"],
            f"{row['parameters']:,}",
            row["input"],
            row["space"] or "no weights",
            row["weights_set"],
            row["licence"] or "-",
        )
        table.add_row(name, *cells)
    Console().print(table)


@app.command()
def show(name: str) -> None:
    """The model card of a network as JSON."""
    from models.registry import find_network, read_card

    typer.echo(json.dumps(read_card(find_network(name).name), indent=2))


def train(
    model: Annotated[str, typer.Argument(help="A name of `gaitstream models list`")],
    data: Annotated[list[Path], typer.Option(help="Recordings (npz); repeat for more", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder of weights, model card and run")],
    people: Annotated[str | None, typer.Option(help='For every file: "1-12"; per file: "motionsense=1-12;geotec_spsw=1-11"')] = None,
    device: Annotated[Device, typer.Option(help="cpu or cuda")] = Device.CPU,
    simulated: Annotated[int, typer.Option(help="Simulated walkers that join", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything random")] = 0,
    epochs: Annotated[int | None, typer.Option(help="Most epochs", min=1)] = None,
    folds: Annotated[int, typer.Option(help="People-disjoint folds of cross-fitted calibration", min=0)] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps per epoch", min=1)] = None,
    batch: Annotated[int | None, typer.Option(help="Items per step", min=1)] = None,
    test_people: Annotated[str | None, typer.Option(help="People whose figures go into the model card; written like --people")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads", min=1)] = 1,
) -> None:
    """Train a network; the run writes the model card itself, and resumes when it was killed."""
    import torch

    from models.training.train import train as run

    torch.set_num_threads(threads)
    card = run(
        model, data, out, people=people, device=device.value, seed=seed, epochs=epochs,
        simulated=simulated, folds=folds, steps=steps, batch=batch, test_people=test_people,
    )  # fmt: skip
    typer.echo(f"{card['space']}: weights and model card are in {out}")


def calibrate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Where the site calibration goes; set GAITSTREAM_SITE_CALIBRATION to use it, unset to undo")],
    as_json: Json = False,
) -> None:
    """Adapt thresholds to this site from its own enrolled people: how alike different people are here."""
    from models.matching import DecisionPolicy
    from models.registry import load_embedder
    from workers.cli.run import run_async
    from workers.control.client import read_gallery
    from workers.identity.site import measure_site

    settings: Settings = context.obj
    embedder = load_embedder(settings.embedder)
    templates = run_async(read_gallery(settings))
    site = measure_site(templates, embedder.space, embedder.dim)
    out.write_text(site.model_dump_json(indent=2) + "\n")
    comparisons = len(templates)
    policies = {
        "shipped": DecisionPolicy(embedder.calibration, settings.target_fpir, settings.min_windows),
        "site": DecisionPolicy(embedder.calibration, settings.target_fpir, settings.min_windows, site=site.impostors(embedder.space)),
    }
    thresholds = {name: [float(t) for t in policy.threshold(comparisons, [1.0, 4.0, 12.0])] for name, policy in policies.items()}
    if as_json:
        typer.echo(json.dumps({"people": site.people, "space": site.space, "target_fpir": settings.target_fpir, "thresholds": thresholds}))
        return
    table = Table("thresholds", "1 window", "4 windows", "12 windows", title=f"{site.people} people, FPIR {settings.target_fpir:.1%}")
    for name, row in thresholds.items():
        table.add_row(name, *(f"{t:.3f}" for t in row))
    Console().print(table)
    typer.echo(f"written to {out}; use it with GAITSTREAM_SITE_CALIBRATION={out}")


Extractor = Annotated[str, typer.Option(help="Walking extractor that cuts the recordings")]
Where = Annotated[str, typer.Option(help='Conditions: "trial=7", "trial=8,15"')]


@evaluate.command("extraction")
def extraction(
    model: str, data: Data, people: People = None, where: Annotated[str | None, typer.Option(help="Conditions")] = None, out: Out = None
) -> None:
    """Walking per sample: F1, precision, recall, accuracy; false walking per activity."""
    from models.data.recordings import load_recordings
    from models.evaluation.extraction import evaluate_extraction
    from models.registry import load_extractor

    _report(evaluate_extraction(load_extractor(model), load_recordings(data, people=people, where=where)).to_json(), out)


@evaluate.command("identification")
def identification(
    model: str, data: Data, enrol: Where, probe: Where, people: People = None, extractor: Extractor = "default", out: Out = None
) -> None:
    """1:N: rank-1, rank-5, and TPIR at FPIR 1 %; people with a probe and no enrolment are strangers."""
    from models.data.recordings import load_recordings
    from models.evaluation.identification import evaluate_identification
    from models.registry import load_embedder, load_extractor

    enrolled, probes = load_recordings(data, people=people, where=enrol), load_recordings(data, people=people, where=probe)
    _report(evaluate_identification(load_extractor(extractor), load_embedder(model), enrolled, probes).to_json(), out)


@evaluate.command("verification")
def verification(
    model: str, data: Data, enrol: Where, probe: Where, people: People = None, extractor: Extractor = "default", out: Out = None
) -> None:
    """1:1: equal error rate, FNMR at FMR 1 %."""
    from models.data.recordings import load_recordings
    from models.evaluation.verification import evaluate_verification
    from models.registry import load_embedder, load_extractor

    enrolled, probes = load_recordings(data, people=people, where=enrol), load_recordings(data, people=people, where=probe)
    _report(evaluate_verification(load_extractor(extractor), load_embedder(model), enrolled, probes).to_json(), out)


def _report(result: dict[str, Any], out: Path | None) -> None:
    table = Table("figure", "value", f"{result['confidence']:.0%} interval over people", title=f"{result['task']}  {result['networks']}")
    for name, figure in result["figures"].items():
        interval = "-" if figure["low"] is None else f"{figure['low']:.3f} – {figure['high']:.3f}"
        table.add_row(name, f"{figure['value']:.3f}", interval)
    console = Console()
    console.print(table)
    console.print("counts", result["counts"])
    for name, rows in result["tables"].items():
        console.print(name, rows)
    console.print(result["limits"])
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n")
