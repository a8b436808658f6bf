"""From a few large scans of plates, and a few scribbles, to labelled patches and masks.

A recipe, one TOML file, says which plates, where on them, and how; `stream`, `grid` and `defects`
are the three sets that are made of it. Masks are made from scribbles, whatever the images are of.
"""
