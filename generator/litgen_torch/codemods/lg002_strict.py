"""LG002: `runtime.config.read_config` asks whether to refuse settings that the class does not have.

-config = read_config(Config, run / "config.toml")
+config = read_config(Config, run / "config.toml", strict=True)

It did refuse them, so calls say that it still shall.
"""

from litgen_torch.codemods.keyword import AddKeyword
from litgen_torch.codemods.step import Step

STEP = Step(
    id="LG002",
    title="runtime.config.read_config asks for strict=",
    old="0.1.0",
    new="0.2.0",
    codemod=AddKeyword("runtime.config.read_config", "strict", "True"),
)
