"""From a few large scans of plates to labelled patches: where patches lie, and how they are made.

A recipe, one TOML file, says which plates, where on them, and how; `stream`, `grid` and `defects`
are the three sets that are made of it.
"""
