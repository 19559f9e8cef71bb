"""A file encrypted to a public key: whole with the private key, nothing without it, nothing in part."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.domain.errors import InvalidValue
from engine.keys.encrypted_files import (
    CHUNK_BYTES,
    MAGIC,
    NotDecrypted,
    decrypt_file,
    encrypt_file,
    is_encrypted,
    new_key_pair,
    read_private_key,
)
from engine.ports.secret import Secret

PRIVATE, PUBLIC = new_key_pair()
KEY = Secret(PRIVATE.removeprefix("rexalgo-private:").strip())
OTHER = Secret(new_key_pair()[0].removeprefix("rexalgo-private:").strip())


def encrypted(folder: Path, content: bytes) -> Path:
    plain, target = folder / "plain", folder / "encrypted"
    plain.write_bytes(content)
    target.write_bytes(b"")
    encrypt_file(plain, target, PUBLIC)
    return target


def decrypted(folder: Path, file: Path, key: Secret = KEY) -> bytes:
    target = folder / "decrypted"
    target.write_bytes(b"")
    decrypt_file(file, target, key)
    return target.read_bytes()


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES]
)
def test_a_file_of_any_size_comes_back_whole(size: int, tmp_path: Path) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    file = encrypted(tmp_path, content)
    assert is_encrypted(file)
    assert bytes(range(256)) not in file.read_bytes()
    assert decrypted(tmp_path, file) == content


def cut(content: bytes, at: int) -> bytes:
    return content[: at % len(content)]


def changed(content: bytes, at: int) -> bytes:
    at %= len(content)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def longer(content: bytes, at: int) -> bytes:
    return content + content[: at % len(content) + 1]


def reordered(content: bytes, at: int) -> bytes:
    start, size = len(MAGIC) + 80 + 24, CHUNK_BYTES + 17
    return (
        content[:start]
        + content[start + size : start + 2 * size]
        + content[start : start + size]
        + content[start + 2 * size :]
    )


@pytest.mark.parametrize("harm", [cut, changed, longer, reordered])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 3 * CHUNK_BYTES))
def test_a_file_that_was_harmed_gives_nothing(
    harm: Callable[[bytes, int], bytes], at: int, tmp_path: Path
) -> None:
    file = encrypted(tmp_path, b"a" * CHUNK_BYTES + b"b" * CHUNK_BYTES + b"c")
    file.write_bytes(harm(file.read_bytes(), at))
    with pytest.raises(NotDecrypted):
        decrypted(tmp_path, file)
    assert (tmp_path / "decrypted").read_bytes() == b""


def test_another_key_opens_nothing_and_is_not_shown(tmp_path: Path) -> None:
    file = encrypted(tmp_path, b"x")
    with pytest.raises(NotDecrypted, match="another public key") as caught:
        decrypted(tmp_path, file, OTHER)
    assert OTHER.reveal() not in str(caught.value)


@pytest.mark.parametrize("public", ["", "AAAA", "A" * 43 + "=", "no base64 at all"])
def test_a_public_key_that_encrypts_nothing_is_refused(public: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    (tmp_path / "target").write_bytes(b"")
    with pytest.raises(InvalidValue, match=r"backup\.public_key"):
        encrypt_file(tmp_path / "plain", tmp_path / "target", public)


def test_the_file_of_a_private_key_is_read_or_refused_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "private.txt"
    file.write_text(PRIVATE)
    assert read_private_key(file).reveal() == KEY.reveal()
    for wrong in (PUBLIC, KEY.reveal(), "rexalgo-private:secretsecret", "\xff" * 9999, ""):
        file.write_text(wrong)
        with pytest.raises(InvalidValue, match="another form") as caught:
            read_private_key(file)
        assert "secretsecret" not in str(caught.value)
    with pytest.raises(InvalidValue, match="No such file"):
        read_private_key(tmp_path / "absent")
