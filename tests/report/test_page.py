"""The page: whole, alone in one file, and small."""

import json
import re

import numpy as np
import plotly.graph_objects
import pytest

from configs.entry import one_line
from cryingan.errors import CryinGANError
from cryingan.report.contents import flat
from cryingan.report.drawing import figure_of, section_looks
from cryingan.report.page import answer, page_content, page_html
from cryingan.report.reading import read_run
from cryingan.report.report import common_folder, report, sections_of
from cryingan.report.runs import Run, find_runs
from tests.support.run_folders import config, write_run

DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
LOADED = re.compile(r"""(?:\bsrc|\bhref)\s*=\s*["']?(?!data:)[^"'\s>]|@import|url\((?!data:)""")


def content(page):
    return json.loads(DATA.search(page)[1])


def text_of(folder):
    """The page without figures, which take time."""
    return page_html(page_content("runs", [read_run(path) for path in find_runs(folder)], []))


def without_scripts(page):
    """Without comments either: libraries and licences name addresses, which they do not use."""
    return re.sub(r"<script\b.*?</script>|<!--.*?-->", "", page, flags=re.DOTALL)


@pytest.fixture
def page(reported):
    return (reported[0] / "report.html").read_text()


def test_the_page_holds_everything_in_one_file(page):
    outside = without_scripts(page)
    assert not LOADED.search(outside)
    assert "http" not in outside.replace('http-equiv="Content-Security-Policy"', "")
    assert "default-src 'none'" in outside  # the browser refuses whatever a library would load
    assert "$" not in outside


def test_the_page_names_the_authors_of_its_libraries(page):
    assert "Copyright (c) 2014, University of Pittsburgh and contributors" in page
    assert "plotly.js v" in page


def test_twelve_runs_take_less_than_15_mb(tmp_path):
    for seed in range(12):
        write_run(tmp_path / f"seed{seed}", config(seed=seed))
    assert len(text_of(tmp_path).encode()) < 15e6


def test_what_is_missing_says_so(page):
    shown = content(page)
    assert any(note.startswith("not relaxed: 1 of 6 runs") for note in shown["notes"])
    assert any(note.startswith("failed or not finished: 1 of 6 runs") for note in shown["notes"])
    [raw] = [run for run in shown["runs"] if run["facts"]["folder"].endswith("raw")]
    assert raw["facts"]["state"] == "not finished: 3 of 4 epochs"
    assert raw["facts"]["relaxed samples"] == "not relaxed"


def test_relaxations_that_ran_out_of_time_are_told(tmp_path):
    for seed, shares in ((1, (0.0, 0.25, 0.5, 0.0)), (2, (0.0,) * 4)):
        write_run(tmp_path / f"seed{seed}", config(seed=seed), relaxed=False)
        table = tmp_path / f"seed{seed}/metrics.csv"
        lines = table.read_text().splitlines()
        late = ["relax/out_of_time", *map(str, shares)]
        table.write_text("".join(f"{line},{more}\n" for line, more in zip(lines, late, strict=True)))
    [said] = [note for note in content(text_of(tmp_path))["notes"] if "out of time" in note]
    assert said.startswith("relaxations ran out of time: in 1 of 2 runs, up to 50.0% of the samples of an epoch")


def test_every_run_says_where_it_comes_from(page):
    run = content(page)["runs"][0]
    assert run["facts"]["command"] == "python train.py seed=1"
    assert run["facts"]["code"] == "cryingan 0.1.0 abc"
    assert run["facts"]["data"] == f"set.extxyz, SHA-256 {'c' * 16}"
    assert run["facts"]["potential"] == f"pair, hash {'ab' * 8}"
    assert run["facts"]["how relaxations ended"] == "5 converged, 1 not_repaired"
    assert run["settings"]["model.channels"] == "8"


def test_the_answer_is_the_best_setting(page):
    shown = content(page)
    [settings] = [table for table in shown["tables"] if table["level"] == "setting"]
    place = next(i for i, c in enumerate(settings["columns"]) if (c["which"], c["name"]) == ("last", "relax/f1"))
    best = max((row for row in settings["rows"] if isinstance(row[place][1], float)), key=lambda row: row[place][1])
    assert shown["answer"].startswith(
        f"{best[0][0]}, lambda={best[1][0]}: highest relaxed: F1 at the end, {best[place][0]}"
    )


def sentence(tmp_path, *values):
    """The answer on runs with these kinds, and values by key, which differ in lambda where they have one kind."""
    runs = []
    for number, (kind, of_run) in enumerate(values):
        curves = {key: (np.array([1]), np.array([value])) for key, value in of_run.items()}
        settings = flat(config(kind, weight=number, seed=1))
        runs.append(Run(tmp_path / str(number), settings=settings, curves=curves))
    return answer(runs)


def test_losses_of_several_models_are_not_compared(tmp_path):
    alone = (("flow", {"val/loss": 0.2}),)
    assert sentence(tmp_path, *alone).startswith("flow: lowest loss of held-out structures")
    rivals = (*alone, ("diffcsp", {"val/loss": 0.5, "samples/close_pairs": 3}))
    assert sentence(tmp_path, *rivals) == ""
    pairs = (("flow", {"val/loss": 0.2, "samples/close_pairs": 4}), rivals[1])
    assert sentence(tmp_path, *pairs).startswith("diffcsp: lowest close pairs per structure at the end, 3")


def test_the_answer_says_how_many_settings_lack_the_key(tmp_path):
    two = [("cryingan", {"relax/f1": 0.2, "samples/f1": 0.1}), ("cryingan", {"relax/f1": 0.3, "samples/f1": 0.1})]
    third = ("cryingan", {"samples/f1": 0.9})
    assert "have none" not in sentence(tmp_path, *two)
    assert sentence(tmp_path, *two, third).endswith("0.3, of one run; 1 of 3 settings have none")
    assert "highest F1 at the end, 0.9" in sentence(tmp_path, two[0], third)  # relaxed: nothing to compare


def test_a_key_that_is_the_same_in_all_runs_tells_nothing(tmp_path):
    tied = [("cryingan", {"samples/f1": 0.4, "samples/close_pairs": 0.0})] * 2
    assert sentence(tmp_path, *tied) == ""
    other = ("cryingan", {"samples/f1": 0.4, "samples/close_pairs": 1.0})
    assert "lowest close pairs" in sentence(tmp_path, tied[0], other)


def test_the_answer_says_where_ranges_overlap(tmp_path):
    def of(weight, *scores):
        for seed, score in enumerate(scores):
            settings = flat(config("cryingan", weight=weight, seed=seed))
            yield Run(
                tmp_path / f"{weight}{seed}",
                settings=settings,
                curves={"samples/f1": (np.array([1]), np.array([score]))},
            )

    runs = [*of(0, 0.2, 0.3), *of(1, 0.5, 0.7), *of(2, 0.4, 0.55)]
    assert answer(runs).endswith("mean and range of 2 runs; ranges overlap with 1 of 2 other settings")
    assert "overlap" not in answer(runs[:4])


def test_figures_are_what_plotly_takes(reported):
    runs = [read_run(path) for path in find_runs(reported[0])]
    for _, _, charts in sections_of(runs):
        looks = section_looks(charts)
        for chart in charts:
            for trace in figure_of(chart, looks)["traces"]:
                trace["line"] |= {"color": "#000000"}
                plotly.graph_objects.Scatter(trace)  # raises ValueError
    looks = section_looks(sections_of(runs)[0][2])
    assert len(set(looks.values())) == len(looks) == 6  # four settings, and what they stand beside


@pytest.mark.parametrize("note", ["</script><b>", "<!--<script>"])
def test_text_of_users_cannot_end_the_script_or_hide_its_end(tmp_path, note):
    write_run(tmp_path / "run", config(note=note))
    page = text_of(tmp_path)
    assert content(page)["runs"][0]["settings"]["note"] == note
    assert "<" not in DATA.search(page)[1]  # <!--<script> changes where a browser sees the end of the element
    assert "<b>" not in without_scripts(page)


def test_nothing_is_half_written(reported, monkeypatch):
    page = reported[0] / "report.html"
    before = page.read_bytes()
    full = OSError(28, "disk full")
    monkeypatch.setattr("cryingan.report.report.write_charts", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(CryinGANError, match="report cannot be written: disk full"):
        report(page.parent)
    assert page.read_bytes() == before
    assert (page.parent / "report/samples_f1.png").exists()


def test_a_folder_of_others_is_not_replaced(tmp_path):
    write_run(tmp_path / "run", config())
    (tmp_path / "report").mkdir()
    (tmp_path / "report/thesis.tex").touch()
    with pytest.raises(CryinGANError, match="holds other files") as error:
        report(tmp_path)
    assert "\n" not in one_line(error.value)
    assert not (tmp_path / "report.html").exists()


def test_runs_that_never_began(tmp_path, monkeypatch):
    monkeypatch.setattr("cryingan.report.report.write_charts", lambda *_: None)
    write_run(tmp_path / "a", config(seed=1))
    paths = [tmp_path / "a", tmp_path / "b"]
    records = {paths[0]: {"failed": None, "model": "paper"}, paths[1]: {"failed": "no such file", "model": "paper"}}
    shown = content(report(tmp_path, only=paths, records=records, settings={paths[1]: config(seed=2)}).read_text())
    facts = {run["facts"]["folder"]: run["facts"]["state"] for run in shown["runs"]}
    assert facts == {str(paths[0]): "finished", str(paths[1]): "failed: no such file"}
    assert [row[0][0] for row in shown["tables"][2]["rows"]] == ["paper"]


def test_where_the_runs_of_a_sweep_are(tmp_path):
    assert common_folder([tmp_path / "x/a", tmp_path / "x/b"]) == tmp_path / "x"
    assert common_folder([tmp_path / "x/a", tmp_path / "y/b"]) == tmp_path
    assert common_folder([tmp_path / "x/a"]) == tmp_path / "x"
