"""Defect generators, one file each: its name is the generator's, and adding one touches no list.

A module holds one frozen dataclass of settings, all with defaults, that is called with an image and
a random generator, and may hold `PRESETS`, settings by preset name.
"""
