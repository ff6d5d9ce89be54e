"""Where in the owner's file a place of the template's is."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from litgen_torch.merge.align import Mates
from litgen_torch.merge.source import Block, Statement

Place = tuple[Block, int]


@dataclass(frozen=True)
class Gap:
    """A place between two statements of a block of base."""

    block: Block
    before: Statement | None
    after: Statement | None


def place_of(gap: Gap, mates: Mates) -> Place | None:
    """Where the gap is in the owner's file: behind what is before it, else before the rest."""
    target = mates.blocks.get(gap.block)
    p, s = (mates.of.get(x) if x else None for x in (gap.before, gap.after))
    if target is None:
        return behind(p) if p else before(s) if s else None
    if stayed := _stayed(gap, mates, target):
        return behind(stayed)
    up, down = (_lift(x, target) if x else None for x in (p, s))
    if p and p is up:
        return behind(p)
    if s and s is down:
        return before(s)
    if p and s and up is down:  # both in one block of the owner's
        return behind(p) if p.block is s.block else None
    if p and up:
        return behind(p) if gap.after is None and _runs_on(up) else behind(up)
    if down:
        return before(down)
    return (target, 0) if gap.before is gap.after is None else None


def _stayed(gap: Gap, mates: Mates, target: Block) -> Statement | None:
    """In a class whose owner took what is around the gap out of it: what he left there above."""
    around = [mates.of.get(x) for x in (gap.before, gap.after) if x]
    is_class = target.owner is not None and isinstance(target.owner.node, cst.ClassDef)
    if not is_class or not gap.before or any(x and x.block is target for x in around):
        return None
    siblings = gap.block.statements[: gap.block.statements.index(gap.before)]
    found = [mate for x in siblings if (mate := mates.of.get(x)) and mate.block is target]
    return found[-1] if found else None


def behind(mine: Statement) -> Place:
    block = mine.block
    place = block.statements.index(mine) + 1
    while block.owner is None and block.statements[place:] and _imports(block.statements[place]):
        place += 1  # imports have no mates: what follows the docstring follows them
    return block, place


def _imports(statement: Statement) -> bool:
    return isinstance(statement.tree, (ast.Import, ast.ImportFrom))


def past_own(place: Place, mates: Mates, new: Sequence[Statement]) -> Place:
    """The place, or that behind the owner's own statements there which come before the new ones.

    Calls that hand on what is set above, such as a print, where the new ones go on with the same
    thing: so his sees it as it did. And his early return, before what they set up.
    """
    block, at = place
    sets_up = all(isinstance(each.tree, ast.Assign) for each in new)
    if not at or block.statements[at - 1] not in mates.back:
        return place
    sets = _names(block.statements[at - 1].tree, ast.Store)
    shared = {name for each in new for name in sets & _names(each.tree, ast.Load)}
    while at < len(block.statements):
        follower = block.statements[at]
        passes = _looks_at(follower.tree, shared) or sets_up and _returns(follower.tree)
        if follower in mates.back or not passes:
            break
        at += 1
    return block, at


def _looks_at(tree: ast.AST, names: set[str]) -> bool:
    """Whether it is a call of something else with one of these names, or such under a condition."""
    if isinstance(tree, ast.If) and not tree.orelse:
        return all(_looks_at(each, names) for each in tree.body)
    if not (isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Call)):
        return False
    called: ast.expr = tree.value
    while isinstance(called, ast.Attribute | ast.Call):
        called = called.value if isinstance(called, ast.Attribute) else called.func
    is_other = isinstance(called, ast.Name) and called.id not in names
    return is_other and bool(names & _names(tree, ast.Load))


def _returns(tree: ast.AST) -> bool:
    """Whether a statement is a condition on which a function ends."""
    return isinstance(tree, ast.If) and isinstance(tree.body[-1], ast.Return) and not tree.orelse


def _names(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, context)}


def before(mine: Statement) -> Place:
    return mine.block, mine.block.statements.index(mine)


def nearest(block: Block, mates: Mates) -> Statement | None:
    """The owner's statement nearest to where a block of base was."""
    while block:
        target = mates.blocks.get(block)
        if target and target.statements:
            return target.owner or target.statements[0]
        if not block.owner:
            return None
        block = block.owner.block
    return None


def where(block: Block) -> str:
    """The function or class around, by name."""
    owner = block.owner
    while owner and not hasattr(owner.tree, "name"):
        owner = owner.block.owner
    if owner is None:
        return ""
    name: str = owner.tree.name  # type: ignore[attr-defined]
    return f"class {name}" if isinstance(owner.node, cst.ClassDef) else f"{name}()"


def depth_of(block: Block) -> int:
    return 0 if block.owner is None else 1 + depth_of(block.owner.block)


def _lift(statement: Statement, target: Block) -> Statement | None:
    """The statement, or the one around it, that stands in the target block."""
    found: Statement | None = statement
    while found and found.block is not target:
        found = found.block.owner
    return found


def _runs_on(statement: Statement) -> bool:
    return statement.blocks[0].kind in ("with", "try")
