"""Raw inertial samples of many devices in, walking events and gait samples out."""
