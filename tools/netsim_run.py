"""Runs scenarios of tools/netsim_world.py, as many at once as there are processors."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tools import interpreters
from tools.common import ROOT, Missing

_WORLD = ROOT / "tools" / "netsim_world.py"
_HEAP = "64M"


def _command():
    """The program that simulates, and its environment: MicroPython, as it is many times faster."""
    try:
        interpreter = interpreters.default(make=True)
    except Missing:
        paths = [ROOT, ROOT / "tests" / "cpython"]
        env = dict(os.environ, PYTHONPATH=":".join(str(path) for path in paths))
        return [sys.executable], env
    return [str(interpreter.path), "-X", f"heapsize={_HEAP}"], interpreter.environment()


def run(scenarios, command=None):
    """The results of scenarios (dicts), in their order. AssertionError where one fails.

    `command` is another interpreter: a list of arguments, and the environment.
    """
    argv, env = command or _command()

    def one(scenario):
        text = json.dumps(scenario)
        done = subprocess.run(
            [*argv, str(_WORLD)], env=env, input=f"{text}\n", capture_output=True, text=True
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, scenarios))


def throughput(result):
    """Bytes per second of all flows."""
    return sum(flow["bytes"] for flow in result["flows"]) * 1e6 / result["us"]


def fairness(result):
    """Jain's index of the flows' throughputs: 1 where all are equal, 1/n where one has it all."""
    shares = [flow["bytes"] / flow["us"] for flow in result["flows"]]
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
