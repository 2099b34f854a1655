"""TF_CONFIG: the processes of a cluster, and which of them is this one."""
import json
import typing

from src.common.errors import InputError

CHIEFS, JOBS = ("master", "chief"), ("master", "chief", "worker", "ps", "evaluator")


class Config(typing.NamedTuple):
    """A cluster, and this process in it."""
    cluster: dict  # {job: list of addresses}
    job: str  # of this process
    index: int  # of this process among those of its job

    @property
    def num_tasks(self):
        return sum(map(len, self.cluster.values()))

    @property
    def is_chief(self):
        return self.job in CHIEFS

    @property
    def chiefs(self):
        """[(job, address)]"""
        return [(job, address) for job in CHIEFS for address in self.cluster.get(job, [])]


def parse(text):
    """The Config in JSON as AI Platform and Vertex AI set it; "" and None make a lone master.

    Raises:
      InputError: the text is no such JSON.
    """
    try:
        config = json.loads(text or "{}")
        cluster, task = config.get("cluster", {}), config.get("task", {})
        job, index = task.get("type", "master"), int(task.get("index", 0))
        cluster = {name: list(addresses) for name, addresses in cluster.items() if addresses}
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise InputError("TF_CONFIG is not a JSON object with cluster and task: %.200s." % text)
    unknown = [name for name in [job] + list(cluster) if name not in JOBS]
    if unknown:
        raise InputError("TF_CONFIG has the job %.200s: known are %s." % (unknown[0], ", ".join(JOBS)))
    return Config(cluster, job, index)


def check_one_chief(config):
    """Checks that at most one process is a chief, which writes the outputs.

    Raises:
      InputError: there are several chiefs.
    """
    if len(config.chiefs) > 1:
        raise InputError("TF_CONFIG has %d chiefs, %s, which would both save the model: leave one." % (
            len(config.chiefs), " and ".join("%s %s" % chief for chief in config.chiefs)))


def check_addresses(config):
    """Checks that each process has its own address, and that this process is in the cluster.

    Raises:
      InputError: a process has not, or this one is not.
    """
    seen = set()
    for name, addresses in config.cluster.items():
        for number, address in enumerate(addresses):
            if host_and_port(address) is None:
                raise InputError("TF_CONFIG's task %s %d has the address %.200s: give host:port."
                                 % (name, number, address))
            if address in seen:
                raise InputError("TF_CONFIG has the address %s twice: give each task its own." % address)
            seen.add(address)
    if not 0 <= config.index < len(config.cluster.get(config.job, [])):
        raise InputError("TF_CONFIG's task %s %d is not in its cluster." % (config.job, config.index))


def host_and_port(address):
    """(host, port) of host:port, or None for anything else."""
    host, colon, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not (host and colon and port.isdigit() and 0 < int(port[:6]) < 65536):
        return None
    return host.strip("[]"), int(port)
