"""The settings of the commands: what cannot be is named, and defaults stay."""

import pytest

from cryingan.errors import CryinGANError
from data.command import read_settings
from data.interface import add_potential, build, compare_potentials, extend_frames
from data.interface.settings import INTERFACE_SETS, BuildSettings
from tests.support.interfaces import RELAX, build_settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["n=4"], "system=... is missing;"),
        (["system=li2o_licl", "m=4"], "unknown key m"),
        (["system=li2o_licl", "n=many"], "many"),
        (["system=li2o_licl", "n=0"], "n=0"),
        (["system=li2o_licl", "seed=-1"], "seed=-1"),
        (["li2o_licl"], "key=value"),
    ],
)
def test_wrong_argument_is_named_in_one_line(arguments, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        read_settings(arguments, BuildSettings)
    assert "\n" not in str(caught.value)


def test_command_line_keeps_the_defaults_that_it_does_not_name():
    read = read_settings(["system=li2o_licl", "potential.path=X", "relax.processes=3"], BuildSettings)
    assert read.potential == {"kind": "m3gnet", "path": "X", "device": "auto"}
    assert read.relax == {"backend": "loky", "processes": 3, "max_steps": 500}
    assert read.output == INTERFACE_SETS / "li2o_licl"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relax": {**RELAX, "fmax": "abc"}}, "relax: fmax='abc' must be a number"),
        ({"relax": {**RELAX, "frames": 3}}, "relax.frames is decided by the build"),
        ({"relax": {**RELAX, "output": "x"}}, "relax.output is decided by the build"),
    ],
)
def test_relax_settings_that_cannot_be(system, changes, message):
    with pytest.raises(CryinGANError, match=message):
        build.build(build_settings(system, 2, **changes))


def test_limits_of_the_other_commands():
    for schema, arguments in (
        (compare_potentials.CompareSettings, ["n=1"]),
        (compare_potentials.CompareSettings, ["shift=-1"]),
        (add_potential.AddPotentialSettings, ["n=-3"]),
        (extend_frames.ExtendSettings, ["reference.path=a", "each=0"]),
        (extend_frames.ExtendSettings, ["reference.path=a", "max_force=0"]),
    ):
        with pytest.raises(CryinGANError, match=arguments[-1].split("=")[0]):
            read_settings(["system=a", *arguments], schema)
