"""The file of the root keys: it is the old one or the new one, readable by nobody else, and nothing
else in it changes.
"""

import os
import stat
from pathlib import Path

import pytest

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.keys.key_file import KeyFileError, read_keys, write_keys
from engine.keys.vault import new_root_key
from engine.ports.secret import Secret
from engine.settings.config import load_config
from engine.settings.files import replace_file
from engine.settings.secrets import SecretPlace

OLD, NEW = new_root_key(), new_root_key()
GIVEN = Secret(OLD)
BOTH = Secret(f"{NEW},{OLD}")


def env(folder: Path, text: str) -> SecretPlace:
    """Write a .env and return the place of its root keys."""
    file = folder / ".env"
    file.write_text(text)
    file.chmod(0o600)
    return SecretPlace(str(file), file, is_line=True)


def test_the_place_of_the_root_keys_is_found_where_they_are_read_from(tmp_path: Path) -> None:
    assert load_config(tmp_path, {}).key_place is None
    here = env(tmp_path, f"ENCRYPTION_KEY={OLD}\n")
    assert load_config(tmp_path, {}).key_place == here
    assert load_config(tmp_path, {"ENCRYPTION_KEY": NEW}).key_place == SecretPlace(
        "environment", None
    )
    (tmp_path / "keys").write_text(OLD)
    for environ in ({"ENCRYPTION_KEY_FILE": "keys"}, {}):
        env(tmp_path, "ENCRYPTION_KEY_FILE=keys\n")
        assert load_config(tmp_path, environ).key_place == SecretPlace(
            str(tmp_path / "keys"), tmp_path / "keys"
        )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "# mine\nJWT_SECRET=a\nENCRYPTION_KEY={}\n\n# end\n",
            "# mine\nJWT_SECRET=a\nENCRYPTION_KEY={}\n\n# end\n",
        ),
        ('  export ENCRYPTION_KEY = "{}"', "  export ENCRYPTION_KEY ={}\n"),
        (
            "#ENCRYPTION_KEY=no\nENCRYPTION_KEY=first\r\nENCRYPTION_KEY={}\r\n",
            "#ENCRYPTION_KEY=no\nENCRYPTION_KEY={0}\nENCRYPTION_KEY={0}\n",
        ),
    ],
)
def test_one_line_of_the_file_changes_and_everything_else_stays(
    tmp_path: Path, before: str, after: str
) -> None:
    place = env(tmp_path, before.format(OLD))
    assert read_keys(place, GIVEN).reveal() == OLD
    left_by_a_kill = tmp_path / "..env.rexalgo-abc"
    left_by_a_kill.write_text(OLD)
    write_keys(place, BOTH)
    assert (tmp_path / ".env").read_text() == after.format(BOTH.reveal())
    assert read_keys(place, GIVEN).reveal() == BOTH.reveal()
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_a_file_of_its_own_is_replaced_behind_its_link_with_mode_0600(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "keys", tmp_path / "keys"
    file.write_text(OLD)
    file.chmod(0o644)
    link.symlink_to(file)
    place = SecretPlace(str(link), link)
    write_keys(place, BOTH)
    assert link.is_symlink()
    assert file.read_text() == BOTH.reveal() + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_a_file_keeps_its_owner_so_that_the_server_can_read_it_again(tmp_path: Path) -> None:
    place = env(tmp_path, f"ENCRYPTION_KEY={OLD}\n")
    os.chown(tmp_path / ".env", 1234, 2345)
    write_keys(place, BOTH)
    found = (tmp_path / ".env").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


def test_what_cannot_be_read_or_written_says_why_and_shows_no_key(tmp_path: Path) -> None:
    with pytest.raises(RexAlgoError, match="ENCRYPTION_KEY is not set"):
        read_keys(None, None)
    assert read_keys(SecretPlace("environment", None), GIVEN) is GIVEN
    with pytest.raises(KeyFileError, match="no command can change"):
        write_keys(SecretPlace("environment", None), BOTH)
    place = env(tmp_path, "JWT_SECRET=a\n")
    told = []
    for act in (lambda: read_keys(place, GIVEN), lambda: write_keys(place, BOTH)):
        with pytest.raises(KeyFileError) as caught:
            act()
        told.append(str(caught.value))
    assert "has no root keys any more" in told[0]
    assert "ENCRYPTION_KEY: expected a line of this name" in told[1]
    (tmp_path / ".env").chmod(0o644)
    with pytest.raises(KeyFileError, match="expected mode 0600"):
        read_keys(place, GIVEN)
    gone = tmp_path / "nowhere" / "keys"
    for act in (
        lambda: read_keys(SecretPlace(str(gone), gone), GIVEN),
        lambda: write_keys(SecretPlace(str(gone), gone), BOTH),
    ):
        with pytest.raises(KeyFileError, match="No such file"):
            act()
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="it is no text in UTF-8"):
        read_keys(SecretPlace("keys", tmp_path / "keys"), GIVEN)
    place = env(tmp_path, f"ENCRYPTION_KEY={OLD}\n")
    with pytest.raises(
        KeyFileError, match=r"reads as it was written.*nothing was changed.*rexalgo key rewrap"
    ) as refused:
        write_keys(place, Secret(f'"{OLD}"'))
    assert OLD[9:] not in str(refused.value) + "".join(told)
    assert (tmp_path / ".env").read_text() == f"ENCRYPTION_KEY={OLD}\n"


def test_a_file_that_cannot_be_put_in_place_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path,
) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(target, "text")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_a_secret_is_named_when_it_is_not_in_the_file() -> None:
    from engine.settings.secrets import with_env_value

    with pytest.raises(InvalidValue, match="X: expected a line of this name"):
        with_env_value("# X=1\nY=2\n", "X", "3")
