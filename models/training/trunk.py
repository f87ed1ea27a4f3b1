"""An embedding on the trunk of another: what was trained stays as it is, the discriminants are fitted anew, in closed form.

For the research set. Training its trunk on all sets was tried, from the start and from the default trunk, and gained nothing on people of
HAPT that it had not seen (models/evaluation/EXPERIMENTS.md); which directions differ between people and which within one does depend on the
place, and that is what the discriminants learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.catalogue import EMBEDDING, NetworkEntry
from models.data.recordings import Recording
from models.inertial.networks import GaitTCN
from models.registry import WEIGHTS_DIR, find_network, load_weights
from models.training.corpus import build_corpus
from models.training.embedding import features_by_identity, fill_discriminant


def on_trunk(entry: NetworkEntry, weights_dir: Path = WEIGHTS_DIR) -> GaitTCN:
    """The network of `entry` with the trunk of entry.pretrained, in evaluation mode, its discriminants still random.

    Raises RegistryError if the trunk's weights are missing.
    """
    assert entry.pretrained is not None
    network = entry.build()
    trained, _ = load_weights(find_network(entry.pretrained, EMBEDDING), weights_dir)
    assert isinstance(network, GaitTCN) and isinstance(trained, GaitTCN)
    trunk = {name: tensor for name, tensor in trained.state_dict().items() if not name.startswith("discriminant.")}
    network.load_state_dict({**network.state_dict(), **trunk})
    return network.eval()


def fit_on_trunk(entry: NetworkEntry, training: Sequence[Recording]) -> GaitTCN:
    """As on_trunk, with discriminants of these recordings. Raises RegistryError, ValueError if no two people share a sensor and placement."""
    network = on_trunk(entry)
    fill_discriminant(network, features_by_identity(network, build_corpus(training), "cpu"))
    return network
