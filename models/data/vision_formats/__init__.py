"""Loaders of the file formats in which the published camera data sets are handed out. None of them is here: bring your own copy.

`names`: how folders and files say who walks.  `frames`: folders of pictures or silhouettes.  `joints`: skeleton files.  `densegait`: tracks
with soft attributes.  `protocols`: who trains, and what is gallery and probe.  Every error names the file and the place in it.
"""
