"""From the frames of cameras to tracks, joints, silhouettes and gait samples."""
