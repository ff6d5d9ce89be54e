"""A file's statements as text again, as they stand now."""

from typing import Any

import libcst as cst

from litgen_torch.merge.source import Block, Source, Statement, joined


def code_of(source: Source) -> str:
    """The file as it stands now; raises ValueError where LibCST would spoil it.

    What did not change is taken from the text: LibCST is slow, and forgets some spaces.
    """
    module: cst.Module = source.root.node
    body = _render(source.root.statements) if _has_changed(source.root) else module.body
    stays = {id(node) for node in body}
    for node in module.body:
        if id(node) not in stays and module.code_for_node(node) != source.slices[id(node)]:
            raise ValueError("LibCST does not write it back as it is")
    parts = (source.slices.get(id(node)) or module.code_for_node(node) for node in body)
    return joined(module, parts)


def render_statement(statement: Statement) -> Any:
    """The statement's LibCST node as it stands now."""
    if not statement.changed and not any(map(_has_changed, statement.blocks)):
        return statement.node
    if not statement.blocks:
        return statement.node
    first, *others = statement.blocks
    if first.kind == "match":
        cases = [block.node.with_changes(body=_body(block)) for block in others]
        return statement.node.with_changes(cases=cases)
    changes: dict[str, Any] = {"body": _body(first)}
    after = last = None
    for block in reversed(others):
        changed = {"body": _body(block)} | ({"orelse": after} if block.kind == "elif" else {})
        node = block.node.with_changes(**changed)
        if block.kind == "finally":
            last = node
        elif block.kind != "except":
            after = node
    if hasattr(statement.node, "orelse"):
        changes["orelse"] = after
    if hasattr(statement.node, "finalbody"):
        handlers = [b.node.with_changes(body=_body(b)) for b in others if b.kind == "except"]
        changes |= {"finalbody": last, "handlers": handlers}
    return statement.node.with_changes(**changes)


def _has_changed(block: Block) -> bool:
    return block.changed or any(
        statement.changed or any(map(_has_changed, statement.blocks))
        for statement in block.statements
    )


def _body(block: Block) -> Any:
    body = block.node.body
    if not _has_changed(block):
        return body
    inside = _render(block.statements) or [cst.SimpleStatementLine([cst.Pass()])]
    if isinstance(body, cst.IndentedBlock):
        return body.with_changes(body=inside)
    return cst.IndentedBlock(inside)


def _render(statements: list[Statement]) -> list[Any]:
    found: list[Any] = []
    rest = list(statements)
    while rest:
        line = rest[0].line
        if line and line.is_whole(rest):
            found.append(line.render())
            del rest[: len(line.statements)]
            continue
        found.append(render_statement(rest.pop(0)))
    return found
