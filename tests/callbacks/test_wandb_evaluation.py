import wandb

from callbacks.wandb_evaluation import upload_evaluation, upload_to_new_run
from cryingan.evaluation.evaluate import evaluate
from tests.support.evaluation import QUIET, alloy, silicon


class Run:
    def log(self, values):
        self.values = values


def test_a_run_gets_values_figures_and_a_table(tmp_path):
    evaluate(alloy(3), alloy(4, 1), "alloy", output=tmp_path / "out", original=5, **QUIET)
    run = Run()
    upload_evaluation(run, tmp_path / "out")
    assert run.values["evaluation/percent_failed"] == 40
    assert run.values["evaluation/accepted"] == 3
    assert run.values["evaluation/d_cluster_low"] < run.values["evaluation/d_cluster_high"]
    assert isinstance(run.values["evaluation/sro"], wandb.Image)
    table = run.values["evaluation/structures"]
    assert len(table.data) == 3
    assert "formation_energy" in table.columns
    upload_to_new_run(tmp_path / "out", "cryingan")
    assert len(list((tmp_path / "out/wandb").glob("offline-run-*/*.wandb"))) == 1


def test_what_is_not_defined_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
    broken = silicon(2, 0.1)
    for atoms in broken:
        atoms.info["converged"] = False
    evaluate(broken, silicon(2, 0.1, 1), "silicon", output=tmp_path / "out", **QUIET)
    run = Run()
    upload_evaluation(run, tmp_path / "out")
    assert "evaluation/d_rdf" not in run.values
    assert run.values["evaluation/percent_failed"] == 100
