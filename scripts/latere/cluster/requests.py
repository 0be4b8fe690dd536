"""What a job needs, and what to ask for: a margin more, which grows with each attempt."""

import math
from dataclasses import dataclass

# Asked for over expected. Memory: what is measured differs by less from run to run. Time: other
# processors, shared file systems; a job that ends early gives the rest back.
MEMORY_MARGIN = 1.2
TIME_MARGIN = 3
LEAST_MEM_MB, STEP_MEM_MB = 2000, 500
LEAST_MINUTES = 10


@dataclass(frozen=True)
class Need:
    """What a job is expected to take.

    Attributes
    ----------
    mem_mb
        Memory at its peak, MB.
    cpu_s
        CPU time, seconds, all threads together.
    idle_s
        Time without CPU, seconds.
    gpu_s
        GPU time, seconds, where there is a GPU.
    scratch
        Bytes on the study's disk at the peak that do not stay.
    waiting
        Bytes of outputs that are kept until the next jobs have read them.
    local
        Bytes in the temporary folder of the node, at the peak.
    kept
        Bytes of its outputs that stay.
    """

    mem_mb: float = 500
    # A minute for a job without a number of its own: in the demo none took more than 10 s.
    cpu_s: float = 60
    idle_s: float = 0
    gpu_s: float = 0
    scratch: float = 0
    waiting: float = 0
    local: float = 0
    kept: float = 0


def ask(need: Need, threads: int, attempt: int) -> dict[str, int]:
    """What a job asks for: its need, with margins, times the number of the attempt.

    Returns
    -------
    dict
        `mem_mb` and `runtime` (minutes).
    """
    memory = MEMORY_MARGIN * need.mem_mb / STEP_MEM_MB
    minutes = TIME_MARGIN * (need.cpu_s / threads + need.idle_s) / 60
    return {
        "mem_mb": attempt * max(LEAST_MEM_MB, STEP_MEM_MB * math.ceil(memory)),
        "runtime": attempt * max(LEAST_MINUTES, math.ceil(minutes)),
    }
