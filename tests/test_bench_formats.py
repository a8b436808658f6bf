"""One table with everything in it, in every format."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import io
import re

import pytest

from blemish.benchmark.formats import format_names, format_of, render
from blemish.benchmark.protocol import Metric
from blemish.benchmark.result_table import Cost, MethodsSummary, ResultTable, TableCell, TableRow
from blemish.errors import BlemishError

TABLE = ResultTable(
    title="Real-IAD & others",
    source="Real-IAD, Table 2",
    detectors=("PaDiM", "Patch_Core", "RD"),
    rows=(
        TableRow(
            data="Real-IAD",
            variant="multi-view",
            category=None,
            metric=Metric("image.auroc", "I-AUROC", percent=True),
            protocol="",
            cells=(
                TableCell(
                    *("PaDiM", 80.04, None, 1, (78.0, 82.0), 2, 0.2, 80.3),
                    runs=("k1",),
                ),
                TableCell(
                    *("Patch_Core", 89.96, 0.25, 3, (88.5, 91.25), 1, None, 89.4),
                    runs=("k2", "k3", "k4"),
                ),
                TableCell("RD", published=87.1, missing="withheld: a|b missing"),
            ),
            over_methods=MethodsSummary(85.0, 4.96, 2, 85.0, 3.6),
        ),
        TableRow(
            data="Real-IAD",
            variant="multi-view",
            category="toy",
            metric=Metric("decision.mcc", "MCC"),
            protocol="honest",
            cells=(
                TableCell("PaDiM", -0.0001, seeds=1, rank=2, p=0.01, runs=("k1",)),
                TableCell("Patch_Core", 0.75, seeds=3, spread=0.01, rank=1, runs=("k2",)),
                TableCell("RD", missing="no result"),
            ),
        ),
    ),
    costs=(Cost("PaDiM", "A CPU, 2 threads", 4, 12.25, 3.0, 1234.5, 20.0),),
    notes=("A note of <this> protocol.",),
)


def test_the_formats_are_those_with_a_file() -> None:
    assert format_names() == ["csv", "html", "latex", "markdown", "terminal"]
    assert [format_of(f"table{s}") for s in (".csv", ".html", ".tex", ".MD", ".txt")] == [
        *("csv", "html", "latex", "markdown", "terminal")
    ]
    with pytest.raises(BlemishError, match=r"t\.doc has none of the suffixes \.csv, \.html"):
        format_of("t.doc")
    with pytest.raises(BlemishError, match="there are: csv, html"):
        render(TABLE, "doc")


def test_the_terminal() -> None:
    lines = render(TABLE, "terminal").splitlines()
    cells = [re.split(r" {2,}", line.rstrip()) for line in lines]
    assert cells[:11] == [
        ["Real-IAD & others"],
        [""],
        ["data", "category", "metric", "PaDiM", "Patch_Core", "RD", "over methods"],
        [
            *("Real-IAD multi-view", "mean", "I-AUROC, %", "_80.0_ ≈", "*90.0 ± 0.2*"),
            *("withheld: a|b missing", "85.0 ± 5.0 (of 2)"),
        ],
        ["", "78.0 to 82.0", "88.5 to 91.2"],
        ["", "paper 80.3, \u22120.3", "paper 89.4, +0.6", "paper 87.1", "paper 85.0 ± 3.6"],
        [
            "Real-IAD multi-view",
            "toy",
            "MCC (honest protocol)",
            "_0.000_",
            "*0.750 ± 0.010*",
            "\u2013",
        ],
        [""],
        [
            *("detector", "runs", "whole training, s", "evaluation, s", "peak memory, MB"),
            *("one image, ms", "machine"),
        ],
        ["PaDiM", "4", "12.2", "3", "1,234", "20", "A CPU, 2 threads"],
        [""],
    ]
    legend = "\n".join(lines[11:])
    assert "means over 1 to 3 seeds" in legend
    assert "The best of a row is *marked*, the second _marked_, both as rounded." in legend
    assert "≈ marks what is not separable" in legend
    assert "Honest protocol: at the threshold from good parts held out" in legend
    assert "Published figures: Real-IAD, Table 2;" in legend
    assert lines[-1] == "A note of <this> protocol."


def test_markdown() -> None:
    lines = render(TABLE, "markdown", "../bench/x y").splitlines()
    assert lines[:5] == [
        "## Real-IAD & others",
        "",
        "| data | category | metric | PaDiM | Patch\\_Core | RD "
        "| mean and deviation over methods |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
        "| Real-IAD multi-view | mean | I-AUROC, % "
        "| [<u>80.0</u>](#x-y-run-1-1) ≈<br>(78.0 to 82.0)<br>paper 80.3, \u22120.3 "
        "| [**90.0 ± 0.2**](#x-y-run-1-2)<br>(88.5 to 91.2)<br>paper 89.4, +0.6 "
        "| withheld: a\\|b missing<br>paper 87.1 | 85.0 ± 5.0 (of 2)<br>paper 85.0 ± 3.6 |",
    ]
    assert (
        '- <a id="x-y-run-1-2"></a>Real-IAD multi-view, mean, I-AUROC, %, Patch\\_Core: '
        "[k2](../bench/x%20y/k2.json), [k3](../bench/x%20y/k3.json), [k4](../bench/x%20y/k4.json)"
    ) in lines
    assert "- A note of \\<this\\> protocol." in lines
    widths = {line.replace("\\|", "").count("|") for line in lines if line.startswith("| ")}
    assert widths == {8}
    named = set(re.findall(r'<a id="(.*?)">', "\n".join(lines)))
    assert set(re.findall(r"\(#(.*?)\)", "\n".join(lines))) == named


def test_latex() -> None:
    lines = render(TABLE, "latex").splitlines()
    assert r"\begin{tabular}{lllrrrr}" in lines
    assert r"data & category & metric & PaDiM & Patch\_Core & RD & over methods \\" in lines
    assert (
        r"Real-IAD multi-view & mean & I-AUROC, \% & \underline{80.0} $\approx$ "
        r"& \textbf{90.0 $\pm$ 0.2} & withheld: a|b missing & 85.0 $\pm$ 5.0 (of 2) \\"
    ) in lines
    small = r"{\scriptsize 78.0 to 82.0} & {\scriptsize 88.5 to 91.2} &  & \\"
    assert f"&  &  & {small}" in lines
    assert "% Real-IAD multi-view, mean, I-AUROC, %, Patch_Core: k2 k3 k4" in lines
    body = [line for line in lines if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {6}
    code = "\n".join(line for line in lines if not line.startswith("%"))
    assert code.count("{") == code.count("}")
    assert not re.findall(r"(?<!\\)[#%]|[^\x00-\x7f]", code)
    assert code.count(r"\begin{") == code.count(r"\end{")


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(render(TABLE, "csv"))))
    assert len(rows) == 3 + 2 + 3 + 4
    assert rows[1] == {
        **{"data": "Real-IAD", "variant": "multi-view", "category": "mean", "metric": "I-AUROC"},
        **{"path": "image.auroc", "protocol": "", "unit": "%", "detector": "Patch_Core"},
        **{"value": "89.96", "spread": "0.25", "seeds": "3", "low": "88.5", "high": "91.25"},
        **{"rank": "1", "p_against_best": "", "separable": "", "published": "89.4"},
        **{"difference": str(89.96 - 89.4), "missing": "", "machine": "", "runs": "k2 k3 k4"},
    }
    assert rows[0]["separable"] == "no"
    assert (rows[2]["value"], rows[2]["missing"]) == ("", "withheld: a|b missing")
    assert [(row["detector"], row["value"], row["published"]) for row in rows[3:5]] == [
        ("(mean over 2 methods)", "85.0", "85.0"),
        ("(std over 2 methods)", "4.96", "3.6"),
    ]
    assert [(row["path"], row["value"], row["unit"]) for row in rows[-4:]] == [
        ("cost.train_seconds", "12.25", "s"),
        ("cost.evaluate_seconds", "3.0", "s"),
        ("cost.peak_rss_mb", "1234.5", "MB"),
        ("cost.latency_ms", "20.0", "ms"),
    ]
    assert {row["machine"] for row in rows[-4:]} == {"A CPU, 2 threads"}


class Page(html.parser.HTMLParser):
    """What opens and closes, what leads where, and the text of every cell."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe") or "src" in values:
            self.loads.append(tag)
        self.ids |= {values["id"]} if values.get("id") else set()  # type: ignore[arg-type]
        self.links |= {values["href"]} if values.get("href") else set()  # type: ignore[arg-type]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_sound_file_and_each_figure_leads_to_its_runs() -> None:
    text = render(TABLE, "html", "../bench/x y")
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert {link[1:] for link in page.links if link.startswith("#")} == page.ids
    assert page.ids == {"run-1-1", "run-1-2", "run-2-1", "run-2-2"}
    assert {link for link in page.links if not link.startswith("#")} == {
        f"../bench/x%20y/k{i}.json" for i in range(1, 5)
    }
    assert "<h1>Real-IAD &amp; others</h1>" in text
    assert '<a href="#run-1-2"><b>90.0 ± 0.2</b></a>' in text
    assert '<a href="#run-1-1"><u>80.0</u></a> <abbr title="not separable' in text
    assert "A note of &lt;this&gt; protocol." in text
    assert "http" not in text.replace("http-equiv", "")


BY_DATA = dataclasses.replace(
    TABLE,
    costs=(
        Cost(
            *("PaDiM", "A CPU", 3, 12.25, 3.0, 1234.5, 20.0, "tire"),
            {"train_seconds": 1.25, "evaluate_seconds": 0.5, "peak_rss_mb": 1.0, "latency_ms": 0},
        ),
        Cost("RD", "A CPU", 1, 120.5, 3.0, 99.0, 9.5, "tire", steps=(812, 2000)),
    ),
)


def test_costs_by_data_in_the_terminal() -> None:
    lines = [re.split(r" {2,}", line) for line in render(BY_DATA, "terminal").splitlines()]
    at = next(i for i, line in enumerate(lines) if line[0] == "data" and "detector" in line)
    assert lines[at : at + 3] == [
        [
            *("data", "detector", "runs", "whole training, s", "evaluation, s"),
            *("peak memory, MB", "one image, ms", "steps of the fit", "machine"),
        ],
        [
            *("tire", "PaDiM", "3", "12.2 ± 1.2", "3.00 ± 0.50", "1,234 ± 1", "20.0 ± 0.0"),
            *("\u2013", "A CPU"),
        ],
        ["tire", "RD", "1", "120", "3", "99", "9.5", "812 of 2,000", "A CPU"],
    ]


def test_costs_by_data_in_the_other_formats() -> None:
    markdown = render(BY_DATA, "markdown")
    assert "| data | detector | runs | whole training, s |" in markdown
    assert "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |" in markdown
    assert "| tire | RD | 1 | 120 | 3 | 99 | 9.5 | 812 of 2,000 | A CPU |" in markdown
    assert "unless an earlier run left them in the cache" in markdown
    latex = render(BY_DATA, "latex")
    assert r"\begin{tabular}{llrrrrrrl}" in latex
    assert r"tire & PaDiM & 3 & 12.2 $\pm$ 1.2 &" in latex
    page = render(BY_DATA, "html")
    assert Page(page).open == []
    assert '<th scope="row">tire</th><th scope="row">RD</th><td class="n">1</td>' in page
    assert "<th>Data</th><th>Detector</th>" in page
    rows = [row for row in csv.DictReader(io.StringIO(render(BY_DATA, "csv"))) if row["machine"]]
    assert [(row["data"], row["path"], row["value"], row["spread"]) for row in rows[:1]] == [
        ("tire", "cost.train_seconds", "12.25", "1.25")
    ]
    assert [(row["path"], row["value"]) for row in rows[-2:]] == [
        ("fit.steps", "812"),
        ("fit.steps_planned", "2000"),
    ]


@pytest.mark.parametrize("name", format_names())
def test_a_table_without_rows_is_a_table(name: str) -> None:
    empty = ResultTable("Nothing yet", "", (), (), (), ())
    assert render(empty, name)
