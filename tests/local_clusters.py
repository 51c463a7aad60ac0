"""Ray clusters of this machine, each node a raylet of its own; one is shared by a session."""

import atexit
import functools
import os
import sys
from contextlib import contextmanager


def importable():
    """What PYTHONPATH says to whoever should find the modules that this process finds."""
    return os.pathsep.join(filter(None, sys.path))


def begin():
    """Return a cluster whose head does no jobs."""
    from ray.cluster_utils import Cluster

    return Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})


def node(cluster, cores=2, **environment):
    """Add a node, whose workers find what this process finds."""
    return cluster.add_node(
        num_cpus=cores, env_vars={"PYTHONPATH": importable(), **environment}, wait=True
    )


@functools.cache
def shared():
    """The session's cluster: a head and a node of two cores, there until the process ends."""
    made = begin()
    atexit.register(made.shutdown)
    node(made)
    return made


@contextmanager
def joined():
    """Join the session's cluster for a while."""
    import ray

    made = shared()
    ray.init(address=made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
