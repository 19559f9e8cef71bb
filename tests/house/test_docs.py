"""The documents match the code: outcome codes, links, commands, settings."""

import json
import re
import tomllib
from pathlib import Path

from click.testing import CliRunner
from plugin_reference import reference_page

from engine.domain.alert import ALERTS, AlertCode
from engine.domain.outcome import EXPLANATIONS, OutcomeCode
from plugins.signed_webhook.schema import body_schema
from rexalgo.cli import _COMMANDS, main
from rexalgo.testing import exchange_cases, limiter_cases, source_cases, stream_cases
from web.answers import contract
from web.api.dispatch import ENDPOINTS
from web.api.openapi import openapi_document

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
OUTCOMES = ROOT / "docs" / "outcomes.md"
ALERTS_PAGE = ROOT / "docs" / "alerts.md"
REFERENCE = ROOT / "docs" / "plugin-reference.md"
OPENAPI = ROOT / "docs" / "openapi.json"
CONTRACT = ROOT / "docs" / "webhook-schema.json"


def outcomes_page() -> str:
    """Return docs/outcomes.md as the code defines it."""
    rows = []
    for code in OutcomeCode:
        told = EXPLANATIONS[code]
        setting = f"`{told.setting}`" if told.setting else ""
        sentence = re.sub(r":\w+}", "}", told.sentence)  # how money is rounded
        rows.append(
            f"| `{code.value}` | {sentence} | {setting} | {told.move.value} | "
            f"{'' if code.is_final else 'may still change'} |"
        )
    return "\n".join(
        [
            "# Outcomes",
            "",
            "What can become of a copy, with the sentence people read (numbers in braces), the "
            "setting that would change it, and",
            "who has to act. Made from `engine/domain/outcome.py`; after a change there: "
            "`python tests/house/test_docs.py`.",
            "",
            "| code | sentence | setting | to do | |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def alerts_page() -> str:
    """Return docs/alerts.md as the code defines it."""
    told = []
    for code in AlertCode:
        words = ALERTS[code]
        told += [
            f"## {code.value}",
            "",
            f"{words.sentence}",
            "",
            f"- Already done: {words.done}",
            f"- Type: {words.do}",
            f"- If nobody acts: {words.otherwise}",
            f"- Urgent: {'yes' if words.wakes else 'no'}",
            "",
        ]
    head = [
        "# Alerts",
        "",
        "What people are told without asking, with the numbers in braces. Equal alerts within an "
        "hour are one with a count. What to do",
        "at night stands in the [runbook](runbook.md). Made from `engine/domain/alert.py`; after "
        "a change there:",
        "`python tests/house/test_docs.py`.",
        "",
    ]
    return "\n".join([*head, *told])


def test_alerts_page_is_what_the_code_says() -> None:
    assert ALERTS_PAGE.read_text(encoding="utf-8") == alerts_page()


def test_the_runbook_has_a_word_for_every_alert() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert [code.value for code in AlertCode if f"`{code.value}`" not in runbook] == []


GUIDES = {
    "plugin-exchange.md": [exchange_cases],
    "plugin-source.md": [source_cases, stream_cases],
    "plugin-limiter.md": [limiter_cases],
}


TABLE = re.compile(r"\| case \| promise \|\n(?:\|[^\n]*(?:\n|$))+")


def guide(name: str) -> str:
    """Return a plugin guide with the kits' tables of cases."""
    tables = [
        "| case | promise |\n|---|---|\n"
        + "".join(f"| {n} | {promise} |\n" for n, promise in cases())
        for cases in GUIDES[name]
    ]
    return TABLE.sub(lambda _: tables.pop(0), (ROOT / "docs" / name).read_text(encoding="utf-8"))


def test_the_guides_explain_every_case_of_the_kits() -> None:
    for name in GUIDES:
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == guide(name), (
            f"{name}: run python tests/house/test_docs.py"
        )


def test_the_plugin_reference_is_what_the_code_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference_page(), (
        "run python tests/house/test_docs.py"
    )


def test_outcomes_page_is_what_the_code_says() -> None:
    assert OUTCOMES.read_text(encoding="utf-8") == outcomes_page()


def openapi_page() -> str:
    """Return docs/openapi.json as the table of endpoints defines it."""
    return json.dumps(openapi_document(ENDPOINTS), indent=1, ensure_ascii=False) + "\n"


def test_the_openapi_document_is_what_the_code_says() -> None:
    assert OPENAPI.read_text(encoding="utf-8") == openapi_page(), (
        "run python tests/house/test_docs.py"
    )


def contract_page() -> str:
    """Return docs/webhook-schema.json as the source and its answers define it."""
    return json.dumps(contract(body_schema()), indent=1, ensure_ascii=False) + "\n"


def test_the_contract_with_bots_is_what_the_code_says() -> None:
    assert CONTRACT.read_text(encoding="utf-8") == contract_page(), (
        "run python tests/house/test_docs.py"
    )


def test_the_guide_of_the_api_names_every_endpoint() -> None:
    told = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [
        each.address for each in ENDPOINTS if re.sub(r"<(\w+)>", r"{\1}", each.address) not in told
    ]
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{file.relative_to(ROOT)}: {target}"
        for file in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text(encoding="utf-8"))
        if "://" not in target and not (file.parent / target).exists()
    ]
    assert broken == []


def test_commands_named_in_documents_exist() -> None:
    named = {
        (file.name, command)
        for file in DOCUMENTS
        for command in re.findall(
            r"\brexalgo (?:--config \S+ )?([a-z]+)\b", file.read_text(encoding="utf-8")
        )
    }
    prose = {"is", "serves", "plugin"}
    assert {each for each in named if each[1] not in {*_COMMANDS, *prose}} == set()


def test_settings_named_in_documents_exist() -> None:
    known = tomllib.loads((ROOT / "config" / "default.toml").read_text(encoding="utf-8"))
    sections = {name: set(table) for name, table in known.items()}
    named = {
        (file.name, section, key)
        for file in DOCUMENTS
        for section, key in re.findall(
            r"`(web|engine|ledger|operator|plugins)\.([a-z_]+)`", file.read_text(encoding="utf-8")
        )
    }
    assert {each for each in named if each[2] not in sections[each[1]] and each[2] != "py"} == set()


def test_every_command_explains_itself() -> None:
    """Every command and every one below it: ``--help`` answers, with a first line of its own, and
    ``--json`` is there.
    """
    waiting = [[name] for name in _COMMANDS]
    walked = 0
    while waiting:
        words = waiting.pop()
        told = CliRunner().invoke(main, [*words, "--help"])
        assert told.exit_code == 0, (words, told.output)
        below = (
            told.output.partition("Commands:")[2].splitlines()[1:]
            if "\nCommands:" in told.output
            else []
        )
        waiting += [[*words, each.split()[0]] for each in below if each[2:3].strip()]
        assert below or "--json" in told.output, words
        assert told.output.splitlines()[2].strip(), words
        walked += 1
    assert walked > len(_COMMANDS) * 2


if __name__ == "__main__":
    OUTCOMES.write_text(outcomes_page(), encoding="utf-8")
    ALERTS_PAGE.write_text(alerts_page(), encoding="utf-8")
    REFERENCE.write_text(reference_page(), encoding="utf-8")
    OPENAPI.write_text(openapi_page(), encoding="utf-8")
    CONTRACT.write_text(contract_page(), encoding="utf-8")
    for each in GUIDES:
        (ROOT / "docs" / each).write_text(guide(each), encoding="utf-8")
