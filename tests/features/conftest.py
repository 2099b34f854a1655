"""Stand-ins for the networks, made once."""
import pytest

from src.features import networks
from tests.features import stand_ins


@pytest.fixture(scope="session", name="networks_dir")
def folder_of_networks(tmp_path_factory):
    return stand_ins.write_networks(tmp_path_factory.mktemp("stand_ins") / "networks")


@pytest.fixture(scope="module", name="opened")
def opened_networks(networks_dir):
    with networks.opened(networks_dir) as opened:
        yield opened
