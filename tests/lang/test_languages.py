"""One tree in several languages: the tables of keywords, texts put from one into another and back, and words that do not belong."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from lark.parsers.lalr_analysis import Shift

from engine.cascade.components import Components
from engine.lang.format import format_file
from engine.lang.mends import mend
from engine.lang.parse import _SIGNS, _machine, parse
from engine.lang.retell import format_in
from engine.lang.translate import CELLS
from engine.lang.words import DECLARATIONS, KINDS, LANGUAGES, RESERVED, UNITS, load_words
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests
from engine.testkit.sources import check, find
from tests.lang import strategies
from tests.lang.golden import BAD

EXAMPLES = 40 * int(os.environ.get("FUZZ", "1") or 1)
ROOT = Path(__file__).parents[2]
GOOD = sorted([*(Path(__file__).parent / "good").glob("*.rules"), *(ROOT / "rulesets").rglob("*.rules")])
OTHERS = tuple(LANGUAGES)[1:]


def read(text):
    tree, problems = parse(text, "x.rules")
    assert tree is not None, (problems, text)
    return tree


# --- the tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", OTHERS)
def test_every_keyword_of_english_has_a_word_in_every_language(language):
    """A terminal that is new in `grammar/keywords/en` needs its line in the other tables too."""
    assert set(load_words(language).forms) == set(load_words().forms)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_in_small_letters_and_conditions_name_terminals(language):
    words = load_words(language)
    assert all(word == word.lower() for word in words.every)
    assert set(DECLARATIONS) | set(RESERVED) | set(UNITS) | set(KINDS) <= set(words.forms)
    for terminal, forms in words.forms.items():
        assert not forms[0].fits, f"the first form of {terminal} is written where no other fits"
        for relation, terminals in (fit for form in forms for fit in form.fits):
            assert relation in ("after", "before", "near", "ahead", "one", "few", "many")
            assert terminals <= {*words.forms, *_SIGNS}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_keywords_are_written_alike_where_the_grammar_could_take_both(language):
    words = load_words(language)
    states = _machine()[0].parser.parser._parse_table.states
    alike = {}
    for terminal, forms in words.forms.items():
        for form in forms:
            alike.setdefault(form.words, set()).add(terminal)
    clashes = {
        (form, frozenset(taken))
        for form, terminals in alike.items()
        if len(terminals) > 1
        for actions in states.values()
        if len(taken := [terminal for terminal in terminals if actions.get(terminal, (None,))[0] is Shift]) > 1
    }
    assert not clashes
    assert not [(form, terminals) for form, terminals in alike.items() if len(terminals & CELLS) > 1]


@pytest.mark.parametrize("language", OTHERS)
def test_what_begins_a_file_or_a_declaration_tells_languages_apart(language):
    for other in LANGUAGES:
        if other != language:
            assert not {load_words(language).shown[kind] for kind in KINDS} & {load_words(other).shown[kind] for kind in KINDS}


# --- there and back --------------------------------------------------------------------------------------------------


@settings(max_examples=EXAMPLES, deadline=None)
@given(strategies.files)
def test_a_tree_reads_the_same_in_every_language(tree):
    for language in LANGUAGES:
        text = format_in(tree, language)
        again = read(text)
        assert again == tree
        assert format_in(again) == text
        assert format_in(again, "en") == format_file(tree)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_put_into_another_language_and_back_is_as_it_was(path):
    tree = read(path.read_text(encoding="utf-8"))
    plain = format_in(tree, "en")
    for language in OTHERS:
        there = format_in(tree, language)
        assert there != plain
        assert format_in(read(there), "en") == plain
        assert format_in(read(there)) == there
        assert len(read(there).comments) == len(tree.comments)


# --- how it reads aloud ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("english", "language", "wanted"),
    [
        ("feature f = count over 1 day per a", "ru", "показатель f = количество за 1 день по a"),
        ("feature f = count over 3 days per a", "ru", "показатель f = количество за 3 дня по a"),
        ("feature f = count over 12 days per a", "ru", "показатель f = количество за 12 дней по a"),
        ("feature f = count over 21 days per a", "ru", "показатель f = количество за 21 день по a"),
        ("feature f = sum of x over last full week per a", "ru", "показатель f = сумма по x за последнюю полную неделю по a"),
        ("feature f = sum of x over last full month per a", "ru", "показатель f = сумма по x за последний полный месяц по a"),
        ("feature f = sum of x over last 12 full weeks per a", "ru", "показатель f = сумма по x за последние 12 полных недель по a"),
        ("feature f = count over 1 day per a", "da", "nøgletal f = antal over 1 dag per a"),
        ("feature f = count over since opened per a", "da", "nøgletal f = antal over tiden siden opened per a"),
        ("param p = 1.5 hours", "ru", "параметр p = 1.5 часа"),
        ("param p = 5 USD effective from 2020-01-01 to 2021-12-31", "ru", "параметр p = 5 USD действует с 2020-01-01 по 2021-12-31"),
        ("define d = x starts with \"a\" or x is missing", "ru", 'определение d = x начинается с "a" или x значение отсутствует'),
        ("define d = x is not_here or not (x in (1, 2))", "en", None),
        ("define d = customer.if = true and x else 0 > 5 minutes", "da", "definition d = customer.if = ja og x ellers 0 > 5 minutter"),
    ],
)  # fmt: skip
def test_forms_agree_with_what_stands_around_them(english, language, wanted):
    tree, _ = parse("features a/b version 1.0.0\n  record c/d ^1\n\n" + english, "x.rules")
    if wanted is None:
        assert tree is None
    else:
        assert format_in(tree, language).splitlines()[-1] == wanted


def test_any_form_is_read_and_the_fitting_one_is_written():
    text = "показатели a/b версия 1.0.0\n  язык ru\n  запись c/d ^1\n\nпоказатель f = количество за 5 день по a\n"
    assert format_in(read(text)).endswith("за 5 дней по a\n")


def test_a_language_is_named_in_any_language_and_the_file_is_read_in_it():
    text = format_in(read((Path(__file__).parent / "good" / "cash.rules").read_text(encoding="utf-8")), "ru")
    for word in ("language", "sprog"):
        tree, problems = parse(text.replace("язык ru", f"{word} ru"), "x.rules")
        assert tree is None and [one.code for one in problems] == ["other-language"] and problems[0].fix.text == "язык"
    assert [one.code for one in parse(text.replace("  язык ru\n", ""), "x.rules")[1]] == ["language-unsaid"]


def test_a_whole_file_in_words_of_another_language_can_be_mended():
    english = (Path(__file__).parent / "good" / "cash.rules").read_text(encoding="utf-8")
    text = english.replace('  owner "Financial', '  language da\n  owner "Financial')
    found = parse(text, "x.rules")[1]
    assert {one.code for one in found} == {"other-language"} and len(found) > 30
    mended = mend(text, "x.rules", lambda text, file: parse(text, file)[1])
    assert not mended.left or {one.severity for one in mended.left} == {"warning"}
    assert format_in(read(mended.text), "en") == english


# --- what it means ---------------------------------------------------------------------------------------------------

TABLE = """ruleset aml/tiers version 1.0.0
  record bank/transaction ^1

list far = ("IR", "KP")

table tier first match
  | counterparty.country | channel        | amount                 | => tier  |
  | missing              | any            | any                    | "unseen" |
  | in far               | not in ("atm") | [100 USD .. 5_000 USD[ | "middle" |
  | in far               | any            | >= 5_000 USD           | "high"   |
  | "DK"                 | known          | any                    | "home"   |
  | otherwise            |                |                        | "low"    |

rule TIER-01 "Far and large"
  when tier = "high"
  then score 40

decide outcome first match
  review  when score between 40 and 100
  approve otherwise

test "far"
  given counterparty.country = "IR", channel = "atm", amount = 5_000 USD
  expect TIER-01 hit, tier = "high", score 40, outcome review

examples TIER-01
  | counterparty.country | channel | amount    | => tier  | TIER-01 | robust |
  | missing              | "cash"  | 9_000 USD | "unseen" | clear   | true   |
  | "KP"                 | "cash"  | 100 USD   | "middle" | clear   | true   |
  | "DK"                 | "cash"  | 9_000 USD | "home"   | clear   | true   |
  | "SE"                 | "cash"  | missing   | "low"    | clear   | true   |
  | "KP"                 | "cash"  | missing   | missing  | undecided | false |
"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_table_and_its_tests_mean_the_same_in_every_language(language, tmp_path):
    shutil.copytree(BAD / "workspace", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "rulesets" / "aml" / "tiers.rules"
    path.write_text(format_in(read(TABLE), language), encoding="utf-8")
    components, (found,) = Components(Workspace(tmp_path)), find([path])
    tested = run_tests(components, found)
    assert components.diagnostics == []
    assert [str(failure) for failure in tested.failures] == [] and tested.expectations == 19


@pytest.mark.parametrize("language", OTHERS)
def test_the_pack_checks_in_every_language(language, tmp_path):
    shutil.copytree(ROOT / "rulesets", tmp_path / "rulesets")
    for path in (tmp_path / "rulesets").rglob("*.rules"):
        path.write_text(format_in(read(path.read_text(encoding="utf-8")), language), encoding="utf-8")
    assert check(tmp_path) == []
