"""`python -m models.training NAME --data FILE... --out DIR`: the training command without the rest of the command line."""

from __future__ import annotations

import argparse
import os

import torch

from models.training.train import train


def main() -> None:
    """Parses the options of `train` and runs it. OMP_NUM_THREADS limits the threads, as everywhere in torch."""
    parser = argparse.ArgumentParser(prog="python -m models.training", description=train.__doc__)
    parser.add_argument("name")
    parser.add_argument("--data", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--people")
    parser.add_argument("--test-people")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--simulated", type=int, default=0)
    parser.add_argument("--folds", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    card = train(
        options.name,
        options.data,
        options.out,
        people=options.people,
        device=options.device,
        seed=options.seed,
        epochs=options.epochs,
        simulated=options.simulated,
        folds=options.folds,
        test_people=options.test_people,
    )
    print(f"{card['space']}  {card['held_out']}")


if __name__ == "__main__":
    main()
