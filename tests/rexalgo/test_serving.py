"""Who is trusted for asking from this machine."""

from pathlib import Path

import pytest

from engine.settings.config import load_config
from rexalgo.cli.serving import trusts_here


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", True),
        ("http://localhost:8420", True),
        ("http://127.0.0.1:8420", True),
        ("http://[::1]:8420", True),
        ("https://copy.example.org", False),
        ("http://10.0.0.5", False),
        ("https://127.0.0.1.example.org", False),
    ],
)
def test_a_person_on_this_machine_is_trusted_only_where_no_stranger_is_led_here(
    tmp_path: Path, url: str, expected: bool
) -> None:
    (tmp_path / "rexalgo.toml").write_text(f'[web]\npublic_url = "{url}"\n', encoding="utf-8")
    assert trusts_here(load_config(tmp_path, {})) is expected
