"""CUDA graphs in imitation, on the CPU: what was computed is recorded, and computed again.

As in a CUDA graph, only operations on tensors are recorded, with the tensors they had: what Python
did around them is not repeated, numbers of Python stay what they were, and random numbers are new.
"""

from contextlib import nullcontext
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Graph:
    """What was computed, and into which tensors."""

    def __init__(self):
        self.calls = []
        self.n_replays = 0

    def replay(self):
        self.n_replays += 1
        with torch._C._AutoDispatchBelowAutograd():
            for call, words, options, made in self.calls:
                again = tree_leaves(call(*words, **options))
                for old, new in zip(made, again, strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Recording(TorchDispatchMode):
    """Records into a graph, while it is on."""

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, call, types, words=(), options=None):
        made = call(*words, **(options or {}))
        self.graph.calls.append((call, words, options or {}, tree_leaves(made)))
        return made


class Watching(TorchDispatchMode):
    """Refuses, while it is on, what reads a tensor."""

    def __torch_dispatch__(self, call, types, words=(), options=None):
        if call is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("called a synchronizing CUDA operation")
        return call(*words, **(options or {}))


def one_hot(labels: torch.Tensor, n_labels: int) -> torch.Tensor:
    """That of PyTorch reads the labels on the CPU, but not on a GPU."""
    return (labels[..., None] == torch.arange(n_labels)).long()


def imitate(monkeypatch) -> list[Graph]:
    """Let `torch.cuda` make graphs of this kind; returns those that were made."""
    graphs, watching = [], Watching()

    def watch(mode):
        watching.__enter__() if mode == "error" else watching.__exit__(None, None, None)

    def make() -> Graph:
        graphs.append(Graph())
        return graphs[-1]

    def stream():
        return SimpleNamespace(wait_stream=lambda other: None)

    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda of: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", watch)
    monkeypatch.setattr(torch.nn.functional, "one_hot", one_hot)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", make)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, pool: Recording(graph))
    return graphs
