"""The engine on CUDA graphs: what the host would launch one by one is recorded once, and replayed.

At batch 1 the device is quicker than the host can tell it what to do: eager, an inference is some
thousand launches. A graph is one (CUDA Programming Guide, "CUDA Graphs").
"""

import logging
import time
from collections.abc import Callable, Hashable

import torch

from cls_vla_ros.engine.engine import Engine
from cls_vla_ros.engine.memory.workspace import Workspace

logger = logging.getLogger(__name__)

WARM_UP_RUNS = 2  # before a capture: libraries and compilers make what they need at the first runs


class CudaGraphEngine(Engine):
    """Captures each step of a workspace at its first use, and replays it from then on.

    A workspace keeps its graphs (`Workspace.captured`), so they go when it goes: at most
    MAX_WORKSPACES workspaces, each with a prefix, a refresh, a denoising for each number of steps
    in use, and MAX_PICTURE_SIZES small graphs that cut pictures.
    """

    name = "cuda_graph"
    _pool: tuple[int, int] | None = None

    def _run(self, work: Workspace, key: Hashable, function: Callable[[], None]) -> None:
        if key not in work.captured:
            started = time.perf_counter()
            work.captured[key] = self._capture(function)
            took = time.perf_counter() - started
            size = work.memory.layout.batch_size
            logger.info("recorded the step %s for a batch of %d in %.2f s", key, size, took)
        work.captured[key].replay()

    def _capture(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """Record a step, which may run any number of times: what it reads it does not write."""
        for _ in range(WARM_UP_RUNS):
            function()
        self.clock.wait()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Intermediate tensors of all graphs may share memory, as no two of them run at a time and
        # nothing in it is needed after its graph has run.
        stream = torch.cuda.current_stream(self.device)
        with torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        ):
            function()
        return graph
