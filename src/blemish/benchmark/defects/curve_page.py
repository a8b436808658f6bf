"""The HTML report of a learning curve: conclusion, figures and table; it loads nothing."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from string import Template

from blemish.benchmark.defects import curve_table
from blemish.benchmark.defects.curve import DefectCurve, group_name, to_json
from blemish.benchmark.defects.curve_figure import kinds_figure, rates_figure
from blemish.report.words import text
from blemish.util.files import replacing

_RATES = 3  # columns of the paper protocol


def write_curve(curve: DefectCurve, folder: Path) -> list[Path]:
    """Write `curve.csv`, `curve.json` and `report.html` into `folder`, and return their paths.

    Raises ArtifactError when one cannot be written.
    """
    content = json.dumps(to_json(curve), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    texts = {
        "curve.csv": curve_table.as_csv(curve),
        "curve.json": content,
        "report.html": render(curve),
    }
    for name, written in texts.items():
        with replacing(folder / name) as file:
            file.write(written.encode("utf-8"))
    return [folder / name for name in texts]


def render(curve: DefectCurve) -> str:
    """The whole page as HTML text."""
    learner = curve.experiment.learner
    settings = [f"{key}={value}" for key, value in learner.settings]
    how = " ".join([learner.detector, learner.preset or "", *settings]).strip()
    figures = [figure for figure in (rates_figure(curve), kinds_figure(curve)) if figure]
    return Template(_asset("blemish.benchmark.defects", "curve.html")).substitute(
        css=_asset("blemish.report", "page.css"),
        title=text(curve.experiment.data.name),
        learner=text(how),
        conclusion=text(curve.conclusion()),
        figures="".join(f'<figure class="plot">{figure}</figure>' for figure in figures),
        table=_table(curve),
        kinds=_kinds(curve),
        notes="".join(f"<p>{text(note)}</p>" for note in curve.notes),
    )


def _asset(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _table(curve: DefectCurve) -> str:
    heads = "".join(f'<th class="n">{text(head)}</th>' for head in curve_table.HEADS[1:])
    paper = "".join(f'<th class="n">{text(head)}</th>' for head in curve_table.PAPER)
    over = (
        f'<tr><th></th><th colspan="{len(curve_table.HEADS) - 1}"></th>'
        f'<th class="paper" colspan="{_RATES}">Paper protocol</th></tr>'
    )
    body = []
    for row, point in zip(curve_table.rows(curve), curve.points, strict=True):
        below = {
            "MCC": point.decisions.mcc_interval(),
            "Recall": point.decisions.recall_interval(),
            "FPR": point.decisions.fpr_interval(),
        }
        cells = [f'<th scope="row">{text(row[0])}</th>']
        for place, cell in enumerate(row[1:], 1):
            head = curve_table.HEADS[place] if place < len(curve_table.HEADS) else ""
            found = below.get(head)
            said = curve_table.within(found) if head != "MCC" else _numbers(found)
            small = f'<br><span class="small">{text(said)}</span>' if found else ""
            cells.append(f'<td class="n">{text(cell)}{small}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = f"{over}<tr><th>{text(curve_table.HEADS[0])}</th>{heads}{paper}</tr>"
    return _wide(head, body)


def _kinds(curve: DefectCurve) -> str:
    kinds = sorted({kind for point in curve.points for kind in point.kinds})
    if not kinds:
        return ""
    heads = "".join(f'<th class="n">{text(kind)}</th>' for kind in kinds)
    body = []
    for point in curve.points:
        cells = [
            f'<th scope="row">{text(group_name(point.step))}</th>',
            f'<td class="n">{point.step.number}</td>',
        ]
        for kind in kinds:
            caught, parts = point.kinds.get(kind, (0.0, 0))
            said = f"{curve_table.share(caught / parts)}" if parts else curve_table.NONE
            small = f"{curve_table.count(caught)} of {parts}; " if parts else ""
            small += curve_table.within(point.kind_interval(kind)) if parts else ""
            cells.append(
                f'<td class="n">{text(said)}<br><span class="small">{text(small)}</span></td>'
            )
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = f'<tr><th>Defect group</th><th class="n">#Real</th>{heads}</tr>'
    return f"<section><h2>Recall by kind of defect</h2>{_wide(head, body)}</section>"


def _wide(head: str, rows: list[str]) -> str:
    return (
        f'<div class="views"><table class="wide"><thead>{head}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _numbers(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
