"""The report's tables: every figure of the evaluation, and the entries of the model's card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blemish.report.words import number, percentage, text

LONG = 12  # a list or mapping of more plain values than this is shown by its length
NOTHING = "\u2013"

RANKING = (
    ("Image AUROC", "image", "auroc", "how often a defective image scores above a good one"),
    ("Image average precision", "image", "average_precision", "mean precision over all recalls"),
    ("Pixel AUROC", "pixel", "auroc", "the same for pixels; large defects weigh most"),
    ("AUPRO", "pixel", "aupro", "overlap with each marked region, up to 30 % false pixels"),
    ("Sample AUROC", "sample", "auroc", "the same for parts, by their highest view"),
)
COUNTS = (
    ("Good, passed", "tn"),
    ("Good, rejected", "fp"),
    ("Defective, passed", "fn"),
    ("Defective, rejected", "tp"),
)
RATES = (("Recall", "recall"), ("False-reject rate", "fpr"), ("Precision", "precision"))
COEFFICIENTS = (("MCC", "mcc"), ("F1", "f1"))


def ranking_table(figures: Mapping[str, Any]) -> str:
    """Threshold-free figures (AUROC, AUPRO and others) of an evaluation, as a table."""
    rows = []
    for name, group, key, meaning in RANKING:
        values = figures.get(group) or {}
        low_high = _between(values.get(f"{key}_interval"), lambda share: f"{share:.3f}")
        rows.append(
            f'<tr><th scope="row">{text(name)}</th><td class="n">{_figure(values.get(key))}</td>'
            f'<td class="n">{low_high}</td><td class="small">{text(meaning)}</td></tr>'
        )
    head = "<th>Figure</th><th class=n>Value</th><th class=n>95 % interval</th><th>Meaning</th>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def views_table(figures: Mapping[str, Any]) -> str:
    """Each view by itself, how views are combined, and what one view alone rejects; or nothing."""
    sample = figures.get("sample") or {}
    if not sample.get("views"):
        return ""
    keys = ("n_good", "n_defective", "caught_alone", "false_rejects_alone")
    rows = [
        f'<tr><th scope="row">{text(view)}</th><td class="n">{_figure(values["auroc"])}</td>'
        + "".join(f'<td class="n">{_count(values[key])}</td>' for key in keys)
        + "</tr>"
        for view, values in sample["views"].items()
    ]
    names = ("AUROC", "Good", "Defective", "Caught alone", "False rejects alone")
    head = "<th>View</th>" + "".join(f"<th class=n>{name}</th>" for name in names)
    return (
        '<div class="views"><h3>Views</h3>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f'<p class="small">{text(_combined(sample))} Good and defective are images of the view, '
        "each by its own label. Alone: parts that this view rejects at the calibrated threshold "
        "and no other view does.</p></div>"
    )


def categories_table(figures: Mapping[str, Any]) -> str:
    """Each category by itself at its own threshold, and their mean; or nothing for one category."""
    categories = figures.get("categories")
    if not categories:
        return ""
    groups = (("image", "auroc"), ("pixel", "aupro"), ("sample", "auroc"))

    def row(name: str, of_one: Mapping[str, Any], decided: Sequence[str]) -> str:
        ranked = [_figure((of_one.get(group) or {}).get(key)) for group, key in groups]
        cells = "".join(f'<td class="n">{cell}</td>' for cell in [*ranked, *decided])
        return f'<tr><th scope="row">{text(name)}</th>{cells}</tr>'

    rows = [row(name, own, _decided(own["decision"])) for name, own in categories.items()]
    mean = figures["mean"]
    rates = [NOTHING, _rate(mean["decision"], "fpr"), _rate(mean["decision"], "recall")]
    rows.append(row("Mean", mean, rates))
    names = ("Image AUROC", "AUPRO", "Sample AUROC", "Threshold", "Good, rejected", "Caught")
    head = "<th>Category</th>" + "".join(f"<th class=n>{name}</th>" for name in names)
    return (
        '<div class="categories"><h3>Categories</h3>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        '<p class="small">Each category is decided at its own threshold where the model has one; '
        "all else on this page pools the categories, at the one threshold for all.</p></div>"
    )


def _decided(decision: Mapping[str, Any]) -> list[str]:
    """Threshold, rejected of the good parts, and rejected of the defective parts."""
    good, defective = decision["tn"] + decision["fp"], decision["fn"] + decision["tp"]
    return [
        _threshold(decision),
        f"{_count(decision['fp'])} of {_count(good)}",
        f"{_count(decision['tp'])} of {_count(defective)}",
    ]


def _combined(sample: Mapping[str, Any]) -> str:
    said = (
        f"Sample AUROC by the highest view {_figure(sample.get('auroc'))}, "
        f"by the mean of the views {_figure(sample.get('auroc_mean'))}"
    )
    if sample.get("auroc_calibrated") is None:
        return f"{said}."
    return (
        f"{said}, by the highest view when each is measured on the scale of its own good images "
        f"{_figure(sample['auroc_calibrated'])}."
    )


def decision_table(figures: Mapping[str, Any]) -> str:
    """Counts and rates at the calibrated threshold and at the oracle one, side by side."""
    columns = [figures.get("decision") or {}, figures.get("oracle_f1") or {}]

    def row(name: str, cells: Iterator[str]) -> str:
        return f'<tr><th scope="row">{text(name)}</th>{"".join(cells)}</tr>'

    def cell(value: str) -> str:
        return f'<td class="n">{value}</td>'

    rows = [row("Threshold", (cell(_threshold(column)) for column in columns))]
    rows += [row(name, (cell(_count(c.get(key))) for c in columns)) for name, key in COUNTS]
    rows += [row(name, (cell(_rate(c, key)) for c in columns)) for name, key in RATES]
    rows += [row(name, (cell(_figure(c.get(key))) for c in columns)) for name, key in COEFFICIENTS]
    head = "<th>At the threshold</th><th class=n>Calibrated</th><th class=n>Oracle</th>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def settings_tables(card: Mapping[str, Any]) -> str:
    """Every entry of a model's card, nested ones by their path; long lists by their length."""
    sections = []
    for key, value in card.items():
        rows = "".join(
            f'<tr><th scope="row">{text(_words(path) or _words(key))}</th>'
            f"<td>{text(shown)}</td></tr>"
            for path, shown in _flat(value)
        )
        sections.append(f"<section><h3>{text(_words(key))}</h3><table>{rows}</table></section>")
    return "".join(sections)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The plain values in a JSON value, each with its path."""
    if isinstance(value, Mapping) and (len(value) <= LONG or any(map(_nested, value.values()))):
        for key, inner in value.items():
            yield from _flat(inner, f"{path} \u203a {key}" if path else str(key))
    elif isinstance(value, Mapping) or _is_list(value):
        plain = len(value) <= LONG and not any(map(_nested, value))
        shown = ", ".join(map(_plain, value)) or "none"
        yield path, shown if plain else f"{len(value):,} entries, in the model file"
    else:
        yield path, _plain(value)


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_list(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _plain(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def _words(key: str) -> str:
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _threshold(column: Mapping[str, Any]) -> str:
    value = column.get("threshold")
    if value is None:
        return "below every score" if column else NOTHING
    return number(value)


def _rate(column: Mapping[str, Any], key: str) -> str:
    value = column.get(key)
    if value is None:
        return NOTHING
    low_high = _between(column.get(f"{key}_interval"), percentage)
    return f"{percentage(value)}\u00a0%" + (
        f' <span class="small">({low_high})</span>' * bool(low_high)
    )


def _between(ends: Sequence[float] | None, show: Any) -> str:
    return "" if ends is None else f"{show(ends[0])} to {show(ends[1])}"
