"""`litgen completion SHELL`: click's completion script."""

import click
from click.shell_completion import get_completion_class

SHELLS = {
    "bash": 'eval "$(litgen completion bash)"    # in ~/.bashrc',
    "zsh": 'eval "$(litgen completion zsh)"    # in ~/.zshrc',
    "fish": "litgen completion fish | source    # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "litgen", "_LITGEN_COMPLETE").source())
