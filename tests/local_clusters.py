"""Ray clusters of this machine, each node a raylet of its own; one is shared by a session."""

import atexit
import functools
from contextlib import contextmanager

from programs import here


def begin():
    from ray.cluster_utils import Cluster

    return Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})


def node(cluster, cores=2, **environment):
    environment = {"PYTHONPATH": here(), **environment}
    return cluster.add_node(num_cpus=cores, env_vars=environment, wait=True)


@functools.cache
def shared():
    """The session's cluster: a head and a node of two cores, there until the process ends."""
    made = begin()
    atexit.register(made.shutdown)
    node(made)
    return made


@contextmanager
def joined():
    import ray

    made = shared()
    ray.init(address=made.address, log_to_driver=False)
    try:
        yield made
    finally:
        ray.shutdown()
