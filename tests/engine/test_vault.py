"""The vault: what is sealed opens only with the right key at the right place, and no message
carries a secret.
"""

import base64
import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.keys.vault import (
    PURPOSES,
    DataKey,
    FieldPlace,
    RootKeys,
    Vault,
    VaultError,
    WrappedKey,
    new_root_key,
    parse_root_keys,
)
from engine.ports.secret import Secret

OLD, NEW = new_root_key(), new_root_key()
OLD_KID, NEW_KID = OLD[:8], NEW[:8]
VAULT = Vault(parse_root_keys(Secret(OLD)))
ROTATED = Vault(parse_root_keys(Secret(f"{NEW},{OLD}")))
PLACE = FieldPlace(
    table="accounts", column="api_secret", primary_key="acc-1", owner="ann", row_version=3
)
ANN: DataKey = VAULT.unwrap(VAULT.new_data_key("ann"))


def entry(key: bytes, kid: str = "0badcafe") -> str:
    return f"{kid}:{base64.b64encode(key).decode()}"


def test_new_root_keys_are_accepted_and_differ() -> None:
    keys = [new_root_key() for _ in range(50)]
    parsed = parse_root_keys(Secret(" " + ", ".join(keys) + "\n"))
    assert parsed.active == keys[0][:8]
    assert len(parsed.by_kid) == 50
    assert set(map(len, parsed.by_kid.values())) == {32}


RANDOM = bytes.fromhex("8f1de02b7c55a94e330d61f2b89ec41706ad5390e87bf45c2a16c3d97e04b16a")
BAD_KEYS = {
    "empty": "",
    "no kid": base64.b64encode(RANDOM).decode(),
    "short kid": entry(RANDOM, "0bad"),
    "kid in capitals": entry(RANDOM, "0BADCAFE"),
    "no key": "0badcafe:",
    "not base64": "0badcafe:***",
    "not ascii": "0badcafe:ä" + base64.b64encode(RANDOM).decode(),
    "short": entry(RANDOM[:31]),
    "long": entry(RANDOM + b"x"),
    "zero": entry(bytes(32)),
    "repeated byte": entry(b"\xa7" * 32),
    "repeated pattern": entry(bytes.fromhex("deadbeef") * 8),
    "sequential": entry(bytes(range(200, 232))),
    "counting down": entry(bytes(range(40, 8, -1))),
    "counting by 3": entry(bytes((7 + 3 * n) % 256 for n in range(32))),
    "changeme": entry(b"changeme" * 4),
    "readable text": entry(b"your-32-byte-secret-KEY-goes-123"),
    "hex text": entry(RANDOM.hex()[:32].encode()),
    "kid twice": f"{entry(RANDOM)},{entry(RANDOM[::-1])}",
    "key twice": f"{entry(RANDOM)},{entry(RANDOM, '00000001')}",
    "trailing comma": entry(RANDOM) + ",",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_unfit_root_keys_are_refused_with_advice_and_without_showing_them(name: str) -> None:
    parse_root_keys(Secret(entry(RANDOM)))  # the key that the bad ones are made of is good
    with pytest.raises(VaultError, match="rexalgo init") as caught:
        parse_root_keys(Secret(BAD_KEYS[name]))
    for item in BAD_KEYS[name].split(","):
        key = item.partition(":")[2] or item
        assert len(key) < 4 or key not in str(caught.value)


def test_nothing_that_holds_a_key_shows_it() -> None:
    keys = RootKeys("0badcafe", {"0badcafe": RANDOM})
    shown = f"{keys!r} {keys} {ANN!r} {Vault(keys)!r}"
    assert repr(RANDOM)[2:10] not in shown
    assert repr(ANN.key)[2:10] not in shown


def test_canary_opens_only_with_the_key_that_sealed_it() -> None:
    canary = VAULT.seal_canary(OLD_KID)
    VAULT.check_canary(OLD_KID, canary)
    ROTATED.check_canary(OLD_KID, canary)
    impostor = Vault(parse_root_keys(Secret(f"{OLD_KID}:{NEW[9:]}")))
    for blob in (
        canary[:-1] + bytes([canary[-1] ^ 1]),
        b"",
        canary[:10],
        ROTATED.seal_canary(NEW_KID),
    ):
        with pytest.raises(
            VaultError, match="is not the key that this database was encrypted with"
        ):
            VAULT.check_canary(OLD_KID, blob)
    with pytest.raises(VaultError, match="is not the key"):
        impostor.check_canary(OLD_KID, canary)


def test_missing_kid_is_named() -> None:
    with pytest.raises(VaultError, match=f"no key '{NEW_KID}'.*rexalgo init"):
        VAULT.check_canary(NEW_KID, ROTATED.seal_canary(NEW_KID))
    with pytest.raises(VaultError, match=NEW_KID):
        VAULT.unwrap(ROTATED.new_data_key("ann"))


def test_rotation_rewraps_the_data_key_and_leaves_fields_as_they_are() -> None:
    wrapped = VAULT.new_data_key("ann")
    sealed = VAULT.seal(VAULT.unwrap(wrapped), Secret("s3cret"), PLACE)
    moved = ROTATED.rewrap(wrapped)
    assert (moved.kid, moved.id, moved.person) == (NEW_KID, wrapped.id, "ann")
    assert moved.kid == ROTATED.active_kid
    only_new = Vault(parse_root_keys(Secret(NEW)))
    assert only_new.open(only_new.unwrap(moved), sealed, PLACE).reveal() == "s3cret"


@pytest.mark.parametrize(
    "change", [{"person": "bob"}, {"kid": NEW_KID}, {"blob": b""}, {"blob": b"x" * 72}]
)
def test_wrapped_key_opens_only_as_it_was_made(change: dict[str, str | bytes]) -> None:
    wrapped: WrappedKey = dataclasses.replace(VAULT.new_data_key("ann"), **change)
    with pytest.raises(VaultError, match="does not open with root key"):
        ROTATED.unwrap(wrapped)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_every_text_comes_back_and_its_length_shows_in_steps_of_64_only(text: str) -> None:
    sealed = VAULT.seal(ANN, Secret(text), PLACE)
    assert VAULT.open(ANN, sealed, PLACE).reveal() == text
    assert sealed[0] == 1
    assert sealed[1:17] == ANN.id
    assert len(sealed) == 1 + 16 + 24 + (len(text.encode()) // 64 + 1) * 64 + 16


def test_the_same_text_never_gives_the_same_ciphertext() -> None:
    assert VAULT.seal(ANN, Secret("x"), PLACE) != VAULT.seal(ANN, Secret("x"), PLACE)


@pytest.mark.parametrize(
    "moved",
    [
        {"table": "account"},
        {"column": "api_key"},
        {"primary_key": "acc-2"},
        {"owner": "bob"},
        {"row_version": 2},
        {"row_version": 4},
    ],
)
def test_field_that_was_moved_or_rolled_back_does_not_open(moved: dict[str, str]) -> None:
    sealed = VAULT.seal(ANN, Secret("s3cret"), PLACE)
    with pytest.raises(VaultError, match="does not open") as caught:
        VAULT.open(ANN, sealed, dataclasses.replace(PLACE, **moved))
    assert "s3cret" not in str(caught.value)


def test_place_parts_do_not_run_into_each_other() -> None:
    texts = [
        dataclasses.replace(PLACE, table=a, column=b)
        for a, b in itertools.product(["ab", "a", "abc"], ["c", "bc", ""])
    ]
    sealed = [VAULT.seal(ANN, Secret("x"), place) for place in texts]
    for (i, place), (j, blob) in itertools.product(enumerate(texts), enumerate(sealed)):
        if i != j:
            with pytest.raises(VaultError):
                VAULT.open(ANN, blob, place)


def test_any_changed_byte_or_cut_of_a_sealed_field_is_refused() -> None:
    sealed = VAULT.seal(ANN, Secret("s3cret"), PLACE)
    changed = [sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in range(len(sealed))]
    for blob in [*changed, sealed[:-1], sealed + b"\0", b"", sealed[:17], sealed[:41]]:
        with pytest.raises(VaultError):
            VAULT.open(ANN, blob, PLACE)


def test_another_data_key_does_not_open_a_field_even_of_the_same_person() -> None:
    sealed = VAULT.seal(ANN, Secret("s3cret"), PLACE)
    other = VAULT.unwrap(VAULT.new_data_key("ann"))
    for key in (other, dataclasses.replace(other, id=ANN.id)):
        with pytest.raises(VaultError):
            VAULT.open(key, sealed, PLACE)


def test_sealing_with_somebody_elses_key_or_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(VaultError, match="own data key"):
        VAULT.seal(ANN, Secret("x"), dataclasses.replace(PLACE, owner="bob"))
    with pytest.raises(VaultError, match="not valid Unicode") as caught:
        VAULT.seal(ANN, Secret("pw\ud800"), PLACE)
    assert "pw" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_purpose_has_its_own_key_and_unknown_purposes_are_refused() -> None:
    keys = {VAULT.derive(purpose) for purpose in PURPOSES}
    assert len(keys) == len(PURPOSES) == 5
    assert {len(key) for key in keys} == {32}
    assert base64.b64decode(OLD[9:]) not in keys
    assert (
        ROTATED.derive("session") != VAULT.derive("session") == ROTATED.derive("session", OLD_KID)
    )
    with pytest.raises(VaultError, match="a purpose must be one of"):
        VAULT.derive("sesion")


def test_fingerprint_is_keyed_and_finds_the_same_secret_again() -> None:
    one = VAULT.fingerprint(Secret("key"))
    assert one == VAULT.fingerprint(Secret("key")) == ROTATED.fingerprint(Secret("key"), OLD_KID)
    assert one != VAULT.fingerprint(Secret("kez"))
    assert one != ROTATED.fingerprint(Secret("key"))
    assert len(VAULT.fingerprint(Secret("\ud800"))) == 32
