"""The config of sample.py."""

from omegaconf import DictConfig

from configs.entry import CONFIGS, register
from configs.schema import SampleKeys


def compose(*overrides: str) -> DictConfig:
    """The config that `python sample.py OVERRIDES` composes."""
    import hydra

    register("sample", SampleKeys())
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose("sample", overrides=list(overrides))
