"""The test cluster itself."""

import pytest
from cluster import Cluster


def test_a_start_that_fails_leaves_no_process(cluster, tmp_path):
    """A second cluster beside the first, whose controller refuses its configuration."""
    broken = Cluster(tmp_path / "broken", partitions={"cpu": ["nowhere"]})
    with pytest.raises(AssertionError, match="slurmctld has ended") as error, broken:
        pass
    assert "nowhere" in "".join(error.value.__notes__)
    assert (tmp_path / "broken/slurmdbd.log").exists()
    assert broken.processes() == []
    assert set(cluster.node_states().values()) == {"IDLE"}
