"""LG003: under a strategy for many processes the first one draws as if it were alone.

-    seed_all(config.seed, 1 + world.rank)  # from here on each draws its own random numbers
+    if world.rank:  # from here on each draws its own random numbers; the first, as if alone
+        seed_all(config.seed, world.rank)
"""

from litgen_torch.codemods.fix import Fix
from litgen_torch.codemods.step import Step

STEP = Step(
    id="LG003",
    title="the first process draws its random numbers as if it were alone",
    old="0.1.0",
    new="0.2.0",
    codemod=Fix("train.py", "    seed_all(config.seed, 1 + world.rank)"),
    changes_results="dropout and the like draw other numbers",
)
