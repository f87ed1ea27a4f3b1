"""Gait samples in; embeddings and identity events out, matched against the gallery of enrolled people."""
