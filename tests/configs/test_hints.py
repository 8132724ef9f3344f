"""Mistakes of the first day: each ends in one line that says what is right."""

import shlex
from pathlib import Path

import pytest

from configs.entry import compose, one_line
from configs.overrides import translated
from cryingan.errors import CryinGANError


def refused(name, *arguments):
    with pytest.raises(CryinGANError) as told:
        translated(name, arguments)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["--lambda=0.1"], "lambda=0.1"),
        (["--lambda", "0.1"], "lambda=0.1"),
        (["\N{EN DASH}lambda=0.1"], "lambda=0.1"),
        (["--max-epochs=3"], "trainer.max_epochs=3"),
        (["--relax=true"], "relax=true"),
        (["--callbacks.quality.n", "4"], "callbacks.quality.n=4"),
        (["lambda", "=", "0.1"], "lambda=0.1"),
        (["lambda=", "0.1"], "lambda=0.1"),
        (["lambda", "=0.1"], "lambda=0.1"),
        (["lambdas=[0.01,", "0.05]"], "'lambdas=[0.01, 0.05]'"),
        (["data.path=my", "set.xyz"], "'data.path=my set.xyz'"),
        (["logger.wandb.name=a", "b"], "'logger.wandb.name=a b'"),
        (["my set.xyz"], "'data.path=my set.xyz'"),
        (["runs/T=300K"], "data.path=runs/T=300K"),
        (["logger.wandb.project=My (2)"], "'logger.wandb.project=\"My (2)\"'"),
        (["logger.wandb.name=a=b"], "'logger.wandb.name=\"a=b\"'"),
    ],
)
def test_the_line_that_is_offered_is_one_that_works(tmp_path, monkeypatch, arguments, right):
    monkeypatch.chdir(tmp_path)
    Path("my set.xyz").touch()
    Path("runs/T=300K").mkdir(parents=True)
    said = refused("train", *arguments)
    assert said.endswith((f"write {right}", f"needs quotes: {right}"))
    assert translated("train", shlex.split(right))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("train", ["lambdas=[0.01,0.05"], "the bracket is not closed"),
        ("train", ["lambda=0,05"], "lambda=0.05"),
        ("train", ["lambda=0.1,0.2"], "several values need -m"),
        ("train", ["data=nacl"], "use alloy_1500K | alloy_300K"),
        ("train", ["data=set.extxyz"], "data.path=set.extxyz"),
        ("train", ["trainer=gpuu"], "did you mean gpu?"),
        ("train", ["callbacks=relx"], "did you mean relax?"),
        ("train", ["start"], "--help lists the keys"),
        ("sample", ["relax=fir"], "use cg | fire | true; did you mean fire?"),
        ("sample", ["runs/x"], "write checkpoint=runs/x"),
        ("evaluate", ["samples/x.xyz"], "write structures=samples/x.xyz"),
        ("evaluate", ["benchmark=interfaces"], "did you mean interface?"),
    ],
)
def test_a_mistake_of_form_is_answered(name, arguments, said):
    assert said in refused(name, *arguments)


@pytest.mark.parametrize(
    ("name", "argument", "key"),
    [
        ("train", "batch_size=8", "data.batch_size"),
        ("train", "lr=1e-4", "model.generator_learning_rate"),
        ("train", "model.lr=1e-4", "model.generator_learning_rate"),
        ("train", "epochs=3", "trainer.max_epochs"),
        ("train", "max_epochs=3", "trainer.max_epochs"),
        ("train", "trainer.gpus=1", "trainer.devices"),
        ("train", "lamda=0.1", "lambda"),
        ("train", "output_dir=x", "run_dir"),
        ("sample", "batchsize=8", "batch_size"),
        ("sample", "ckpt=x", "checkpoint"),
        ("sample", "num_samples=8", "n"),
        ("sample", "temp=1.2", "temperature"),
        ("evaluate", "samples=x", "structures"),
    ],
)
def test_an_unknown_key_is_answered_by_one_of_the_same_script(name, argument, key):
    with pytest.raises(Exception, match="override") as told:
        compose(name, argument)
    said = one_line(told.value, name)
    assert f" Did you mean {key}" in said
    assert "\n" not in said


def test_a_key_of_another_option_of_the_group_is_not_offered():
    with pytest.raises(Exception, match="override") as told:
        compose("train", "model=cgcnn", "model.coordinate_learning_rate=1")
    said = "Another model has it; python train.py --help lists the keys of the one that is set."
    assert one_line(told.value, "train").endswith(said)


@pytest.mark.parametrize(
    ("name", "argument", "right"),
    [
        ("train", "potential.kind=x", "potential=ase | chgnet | gap | m3gnet | "),
        ("evaluate", "benchmark.kind=x", "benchmark=alloy | interface | silicon"),
    ],
)
def test_the_kind_of_a_group_that_is_not_chosen_names_the_kinds_there_are(name, argument, right):
    with pytest.raises(Exception, match="override") as told:
        compose(name, argument)
    assert f"Choose it by {right}" in one_line(told.value, name)


@pytest.mark.parametrize("before", [[], ["relax=null"], ["relax=true", "relax=false"]])
def test_a_key_of_a_group_that_is_off_says_how_to_switch_it_on(before):
    for key in ("relax.kind=x", "relax.max_steps=3"):
        assert refused("sample", *before, key) == f"{key}: relax is off; add relax=cg | fire | true"
    translated("sample", ["relax=cg", "relax.max_steps=3"])
    translated("train", ["relax.max_steps=3"])


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("evaluate", ["--page", "runs"], "evaluate.py has no key page. python evaluate.py --help lists the keys"),
        ("evaluate", ["page", "=", "runs"], "evaluate.py has no key page."),
        ("sample", ["--data.path=x"], "write data.path=x"),
        ("sample", ["--num-samples", "5"], "sample.py has no key num_samples. Did you mean n?"),
        ("train", ["--lr=1e-3"], "train.py has no key lr. Did you mean model.generator_learning_rate"),
    ],
)
def test_only_keys_that_are_there_are_offered(name, arguments, said):
    assert said in refused(name, *arguments)


@pytest.mark.parametrize("value", ["true", "True", "false", "False", "null", "None", "none"])
def test_groups_take_words_for_on_and_off(value):
    on = value.lower() == "true"
    assert (compose("sample", f"relax={value}").relax is not None) is on
