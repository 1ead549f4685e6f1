"""The mutation test changes one operator at a time, and each change is a program."""

from __future__ import annotations

import ast

import mutate

MUTANTS = [m for file in mutate.TARGETS for m in mutate.mutants(file)]


def test_there_are_enough_changes_and_each_is_a_different_program():
    assert len(MUTANTS) >= 30
    programs = set()
    for mutant in MUTANTS:
        text = (mutate.ROOT / mutant.file).read_text(encoding="utf-8")
        changed = mutant.apply(text)
        assert len(changed) - len(text) == len(mutant.new) - len(mutant.old)
        tree = ast.dump(ast.parse(changed))
        assert tree != ast.dump(ast.parse(text)), mutant.name
        programs.add((mutant.file, tree))
    assert len(programs) == len(MUTANTS)


def test_every_target_has_changes_or_nothing_to_change():
    files = {m.file for m in MUTANTS}
    assert files == set(mutate.CHAPTERS)
    assert {"vaelib/bounds.py", "vaelib/divergences.py"} <= files


def test_a_change_is_one_token(tmp_path, monkeypatch):
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    file = tmp_path / "x.py"
    text = "é = (a) - -b * (c if d <= e else f)\nraise ValueError(-1)\n"
    file.write_text(text, encoding="utf-8")
    changed = [m.apply(text).splitlines()[0] for m in mutate.mutants(file)]
    assert changed == [
        "é = (a) + -b * (c if d <= e else f)",
        "é = (a) - b * (c if d <= e else f)",
        "é = (a) - -b / (c if d <= e else f)",
        "é = (a) - -b * (c if d >= e else f)",
    ]


def test_the_chapters_that_use_a_module_come_first():
    mutant = next(m for m in MUTANTS if m.file == "vaelib/models/deep.py")
    ran = [command[-1] for command in mutate.commands(mutant, book=True)]
    assert ran[0] == "book/autoencoder/vae.ipynb"
    assert len(ran) == len(set(ran)) and not any("/back/" in name for name in ran)
