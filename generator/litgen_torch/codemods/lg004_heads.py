"""LG004: attention in `model.py` counts the heads that a process has, for `tp`, `fsdp-tp`, `cp`.

-batch, time, width = x.shape
-q = self.query(x).view(batch, time, self.heads, self.size).transpose(1, 2)
+q = split_heads(self.query(x), self.size)
-y = self.out(y.transpose(1, 2).reshape(batch, time, width))
+y = self.out(y.transpose(1, 2).flatten(2))  # (batch, time, width)

The numbers are the same. Attention that is written otherwise stays as it is: if it counts all
heads, these strategies are refused when they are chosen, with what to write.
"""

from litgen_torch.codemods.heads import SplitHeads
from litgen_torch.codemods.step import Step

STEP = Step(
    id="LG004",
    title="attention counts the heads that are there, which may be some of them",
    old="0.1.0",
    new="0.2.0",
    codemod=SplitHeads(),
)
