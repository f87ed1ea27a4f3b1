"""People in pictures: motion gate, detector and pose networks, keypoints on a frame-time grid."""
