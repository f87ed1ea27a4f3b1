"""Silhouettes of walking people: alignment, the gait energy image as a baseline, and our own network."""
