"""LG001: `runtime.optim.warmup_cosine` is `runtime.schedule.cosine`.

-from runtime.optim import set_lr, warmup_cosine
+from runtime.optim import set_lr
+from runtime.schedule import cosine
 …
-    set_lr(optimizer, 3e-4 * warmup_cosine(step, 100, 1000))
+    set_lr(optimizer, 3e-4 * cosine(step, 100, 1000))

Where `cosine` is a name of the owner's, or another file takes `warmup_cosine` from this one, it
becomes `from runtime.schedule import cosine as warmup_cosine`.
"""

from litgen_torch.codemods.rename import Rename
from litgen_torch.codemods.step import Step

STEP = Step(
    id="LG001",
    title="runtime.optim.warmup_cosine → runtime.schedule.cosine",
    old="0.1.0",
    new="0.2.0",
    codemod=Rename("runtime.optim.warmup_cosine", "runtime.schedule.cosine"),
)
