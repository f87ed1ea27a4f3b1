"""How camera samples are cut: what the camera worker and the identity worker agree on."""

CUT = "camera-32"
"""32 moments of 80 ms (2.56 s), every 0.64 s."""
