"""What the tests of the runtime library share: a small model, and one thread a process."""

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: forked processes must not wait for its threads
sys.path.insert(0, str(Path(__file__).parents[2]))  # `runtime`, as a project sees it

import torch._dynamo  # these take seconds, which forked processes then have behind them
import torch.distributed.checkpoint
import torch.distributed.fsdp  # noqa: F401
