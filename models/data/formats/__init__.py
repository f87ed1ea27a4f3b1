"""File formats of the published inertial data sets (whuGAIT #1 to #8 and its laboratory's earlier recordings): bring your own copy."""
