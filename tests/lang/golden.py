"""Checks a rule text of any kind beside the components of a small workspace, and draws what is wrong with it."""

from datetime import date
from pathlib import Path

from engine.diagnostics import render
from engine.lang import check
from engine.lang.exemptions import past
from engine.lang.parse import parse, read_text

HERE = Path(__file__).parent
BAD = HERE / "bad"
WORKSPACE = BAD / "workspace"
DAY = date(2026, 11, 20)
"""The day on which exceptions are asked whether they have ended."""


def problems(text, file, folder=WORKSPACE / "rulesets"):
    """All diagnostics of a text: of its syntax, and where that holds of its meaning, its tests among it."""
    tree, found = parse(text, file)
    if tree is None:
        return found
    if tree.kind == "record":
        return found + check.check_record(tree)[1]
    if tree.kind == "templates":
        return found + check.check_templates(tree)[1]
    alone = {"list": check.check_list, "table": check.check_table, "rates": check.check_rates}
    if tree.kind in alone:
        return found + alone[tree.kind](tree, folder, WORKSPACE)[1]
    env = environment(tree, folder)
    if tree.kind == "features":
        return found + check.check_features(tree, env)[1]
    ruleset, meaning = check.check_ruleset(tree, env)
    found = found + meaning
    return found if ruleset is None else found + check.check_tests(tree, ruleset, env)[1] + past(ruleset, DAY)


def file_problems(path, folder=WORKSPACE / "rulesets"):
    """The same for a file, whose bytes may be bad already; and its text, if it has one."""
    text, found = read_text(path, path.name)
    return ("", found) if text is None else (text, found + problems(text, path.name, folder))


def drawn(path):
    """The diagnostics of a file as its author sees them."""
    text, found = file_problems(path)
    return render(found, {path.name: text}) + "\n"


def environment(tree, folder):
    """What the names in a file may refer to: the components of the workspace."""
    record, features, lists, tables, rates, rulesets, templates = None, {}, {}, {}, {}, {}, {}
    for use in tree.uses:
        component = _component(use.path)
        if component is None:
            continue
        if use.kind == "record":
            record = check.check_record(component)[0]
        elif use.kind == "features":
            features[use.path] = check.check_features(component, environment(component, folder))[0]
        elif use.kind == "ruleset":
            rulesets[use.path] = check.check_ruleset(component, environment(component, folder))[0]
        elif use.kind == "templates":
            templates[use.path] = check.check_templates(component)[0]
        elif use.kind == "list":
            lists[use.path] = check.check_list(component)[0]
        else:
            beside = (WORKSPACE / "rulesets" / use.path).parent
            loaded, load = (tables, check.check_table) if use.kind == "table" else (rates, check.check_rates)
            loaded[use.path] = load(component, beside, WORKSPACE)[0]
    record = record or check.check_record(_component("bank/transaction"))[0]
    return check.Environment(record, features, lists, folder, WORKSPACE, tables, rates, rulesets, templates)


def _component(name):
    path = WORKSPACE / "rulesets" / f"{name}.rules"
    return parse(path.read_text(encoding="utf-8"), path.name)[0] if path.is_file() else None
