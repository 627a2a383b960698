"""The documents against the program: what they name exists, what it has they name, and every link leads somewhere."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pferdewert_ops.cli.errors import ExitCode
from pferdewert_ops.cli.main import cli
from pferdewert_ops.config import Settings, origins
from pferdewert_ops.domain.failures import POLICIES, ErrorClass
from pferdewert_ops.operations.advance import HUMAN_KINDS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
OPERATING = ROOT / "docs" / "operating.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def in_full(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def code_in(text: str) -> Iterator[str]:
    """The lines of code blocks and the code spans of the rest."""
    for place, part in enumerate(re.split(r"^```.*$", text, flags=re.MULTILINE)):
        if place % 2:
            yield from part.splitlines()
        else:
            yield from re.findall(r"`([^`]+)`", part)


def rows_of(text: str, heading: str) -> list[list[str]]:
    """The cells of all tables below this heading, header rows left out."""
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    rules = {place for place, row in enumerate(rows) if set("".join(row)) <= set("-: ")}
    return [row for place, row in enumerate(rows) if place not in rules and place + 1 not in rules]


# --- commands --------------------------------------------------------------------------------------------------------


def commands(group: click.Group, name: str = "pwops") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None, f"{name} {word} is listed and does not exist"
        yield f"{name} {word}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")


def options_of(command: click.Command, *, hidden: bool) -> set[str]:
    options = [param for param in command.params if isinstance(param, click.Option)]
    return {
        word for option in options if hidden or not option.hidden for word in (*option.opts, *option.secondary_opts)
    }


def invocations(text: str) -> Iterator[list[str]]:
    """The words of each `pwops …` in code, up to where the sentence or the command ends."""
    for line in code_in(text):
        for found in re.finditer(r"(?<![\w.-])pwops +([^`#]*)", line):
            words = []
            for word in found[1].split():
                bare = word.rstrip(".,;:)")
                if word in {"--", "&&", "|", "→"} or not bare.strip("->"):
                    break
                words.append(bare)
                if bare != word:
                    break
            yield words


def complaint_about(words: list[str]) -> str | None:
    command: click.Command = cli
    for word in words:
        if word.startswith("-"):
            known = options_of(command, hidden=True) | {"--help", "-h", "--version"}
            unknown = [option for option in word.split("|") if option.partition("=")[0] not in known]
            if unknown:
                return f"{' '.join(words)}: no option {unknown[0]}"
        elif isinstance(command, click.Group):
            inner = command.get_command(click.Context(command), word)
            if inner is None:
                return f"{' '.join(words)}: no command {word}"
            command = inner
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_that_is_named_exists(document: Path) -> None:
    assert [said for words in invocations(in_full(document)) if (said := complaint_about(words))] == []


@pytest.mark.parametrize("line", ["`pwops retri ID`", "`pwops retry ID --nows`", "```\npwops jobs lists\n```"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert [complaint_about(words) for words in invocations(line)] != [None]


def test_the_readme_has_every_command_and_option() -> None:
    text = in_full(README)
    named = {" ".join(words[:depth]) for words in invocations(text) for depth in (1, 2)}
    missing = []
    for name, command in commands(cli):
        if name.removeprefix("pwops ") not in named:
            missing.append(name)
        missing += [f"{name} {option}" for option in options_of(command, hidden=False) if option not in text]
    assert missing == []


def test_the_readme_has_every_exit_code() -> None:
    table = {int(code) for row in rows_of(in_full(README), "Exit codes") for code in row[0].split(",")}
    assert table == {code.value for code in ExitCode}


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", in_full(ROOT / "Makefile"), flags=re.MULTILINE))
    named = {found for code in code_in(in_full(README)) for found in re.findall(r"\bmake ([a-z]+)", code)}
    assert {"demo", "test"} <= named <= targets


# --- configuration ---------------------------------------------------------------------------------------------------


def test_the_configuration_table_is_the_settings_with_their_defaults() -> None:
    table = {row[0].strip("`"): row[1].strip("`") for row in rows_of(in_full(README), "Configuration") if len(row) == 3}
    assert table == {f"PWOPS_{one.name.upper()}": one.shown_value for one in origins(Settings())}


def test_every_variable_that_is_named_is_a_setting() -> None:
    known = {f"PWOPS_{name.upper()}" for name in Settings.model_fields} | {"PWOPS_CONFIG"}
    named = {found for document in DOCUMENTS for found in re.findall(r"PWOPS_[A-Z_]*[A-Z]\b", in_full(document))}
    assert named - known == set()


def test_the_examples_of_a_unit_and_a_file_name_settings() -> None:
    text = in_full(README)
    blocks = dict(re.findall(r"^```(ini|toml)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    named = set(tomllib.loads(blocks["toml"])) | set(re.findall(r"^LoadCredential=(\w+):", blocks["ini"], re.MULTILINE))
    assert named
    assert named - set(Settings.model_fields) == set()


# --- failures --------------------------------------------------------------------------------------------------------


def kinds_of_findings() -> set[str]:
    """Every kind that the code opens a finding of: the rule's, those of error classes, and those named at the place."""
    kinds = {why.value for why in HUMAN_KINDS}
    kinds |= {error_class.value for error_class, policy in POLICIES.items() if policy.tells_human}
    for path in (ROOT / "pferdewert_ops").rglob("*.py"):
        tree = ast.parse(in_full(path))
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith("findings.open")):
                continue
            kind = call.args[0]
            value = kind.value if isinstance(kind, ast.Constant) else constants.get(ast.unparse(kind))
            kinds |= {value} if isinstance(value, str) else set()
    return kinds


def test_every_kind_of_finding_has_its_runbook_entry() -> None:
    lines = [line for line in in_full(OPERATING).splitlines() if line.startswith("|") and "](#rb-" in line]
    kinds = kinds_of_findings()
    assert {"intake_guard", "job_without_order", "model_budget", "mail_uncertain"} <= kinds
    assert {kind for kind in kinds if not any(f"`{kind}`" in line for line in lines)} == set()


def test_every_runbook_entry_says_what_why_how_and_what_never() -> None:
    entries = re.split(r"^## (RB-\d\d) .+$", in_full(OPERATING), flags=re.MULTILINE)[1:]
    names, texts = entries[::2], entries[1::2]
    assert names == [f"RB-{number:02d}" for number in range(1, len(names) + 1)]
    parts = ("**You see**", "**Why**", "**Type**", "**Never**")
    for name, text in zip(names, texts, strict=True):
        assert [part for part in parts if part not in text] == [], name


def test_every_error_class_is_in_the_table_of_failures() -> None:
    failures = " ".join(row[0] for row in rows_of(in_full(README), "When something fails"))
    assert {error_class.value for error_class in ErrorClass if f"`{error_class}`" not in failures} == set()


def test_the_table_of_error_classes_is_the_policies() -> None:
    table = {row[0].strip("`"): row for row in rows_of(in_full(ARCHITECTURE), "What a failed attempt means")}
    of_mail = {ErrorClass.MAIL_REFUSED, ErrorClass.MAIL_UNKNOWN}
    assert set(table) == {error_class.value for error_class in ErrorClass if error_class not in of_mail}
    for error_class, policy in POLICIES.items():
        if error_class in of_mail:
            continue
        _, attempts, _, breaker, other_model, spends, human = table[error_class.value]
        assert attempts == (str(policy.attempts) if policy.spends else "–"), error_class
        said = (breaker == "yes", other_model == "yes", spends == "yes", human == "yes")
        assert said == (policy.feeds_breaker, policy.other_model, policy.spends, policy.tells_human), error_class


def test_every_failpoint_is_named() -> None:
    reached = {
        name
        for path in (ROOT / "pferdewert_ops").rglob("*.py")
        for name in re.findall(r"\b_?(?:reach|then)\(\"(\w+)\"", in_full(path))
    }
    section = in_full(ARCHITECTURE).partition("## Failpoints")[2].partition("\n## ")[0]
    assert reached
    assert {name for name in reached if f"`{name}`" not in section} == set()


# --- links -----------------------------------------------------------------------------------------------------------


def anchors_of(document: Path) -> set[str]:
    """The anchors of the headings, as they are made where the documents are read."""
    headings = re.findall(r"^#+ (.+)$", in_full(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", in_full(document)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            broken.append(target)
    assert broken == []


def test_every_decision_is_listed() -> None:
    decisions = ROOT / "docs" / "decisions"
    listed = in_full(decisions / "README.md")
    assert [path.name for path in decisions.glob("0*.md") if f"({path.name})" not in listed] == []
