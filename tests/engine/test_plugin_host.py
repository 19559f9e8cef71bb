"""The plugin host: only enabled plugins are loaded, and every error is named."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from engine.plugin.hookspecs import hookimpl
from engine.plugin.host import PluginError, list_installed, load_plugins
from rexalgo import EndpointSetting, InvalidValue


def thing(name: str, *parts: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, **dict.fromkeys(parts, lambda: None))


def module(**members: object) -> ModuleType:
    made = ModuleType("stranger")
    vars(made).update({"rexalgo_api_version": 1} | members)
    return made


def notifier_plugin(name: str = "wakeup", **members: object) -> ModuleType:
    @hookimpl
    def register_notifiers(
        register: Callable[[object], None], settings: Mapping[str, object]
    ) -> None:
        register(thing(name, "deliver"))

    return module(register_notifiers=register_notifiers, **members)


def wrong(plugin: object, settings: Mapping[str, object] | None = None) -> str:
    with pytest.raises(PluginError) as caught:
        load_plugins(["stranger"], {"stranger": settings or {}}, {"stranger": plugin})
    assert caught.value.name == "stranger"
    assert "stranger" in str(caught.value)
    return str(caught.value)


def test_built_in_plugins_load_through_the_entry_points() -> None:
    plugins = load_plugins(["paper", "signed_webhook", "gcra", "log"], {"paper": {"seed": 9}})
    assert set(plugins.exchanges) == {"paper"}
    assert set(plugins.limiters) == {"gcra"}
    assert set(plugins.notifiers) == {"log"}
    assert set(plugins.webhook_sources) == {"signed_webhook"}
    assert plugins.settings("paper")["seed"] == 9
    assert plugins.provider("exchange", "paper").distribution == "rexalgo"


def test_only_enabled_plugins_are_imported() -> None:
    sys.modules.pop("plugins.gcra", None)
    load_plugins(["log"], {})
    assert "plugins.gcra" not in sys.modules


def test_listing_imports_nothing() -> None:
    sys.modules.pop("plugins.gcra", None)
    assert {"paper", "signed_webhook", "gcra", "log"} <= {each.name for each in list_installed()}
    assert "plugins.gcra" not in sys.modules


def test_webhook_and_stream_sources_are_told_apart() -> None:
    @hookimpl
    def register_signal_sources(
        register: Callable[[object], None], settings: Mapping[str, object]
    ) -> None:
        register(thing("hook", "new_secret", "authenticate", "parse"))
        register(thing("candles", "check_params", "run"))

    plugins = load_plugins(
        ["s"], {}, {"s": module(register_signal_sources=register_signal_sources)}
    )
    assert (set(plugins.webhook_sources), set(plugins.stream_sources)) == ({"hook"}, {"candles"})
    assert plugins.loaded[0].provides == ("signal source hook", "signal source candles")


def test_settings_are_the_defaults_with_the_section_over_them() -> None:
    seen: list[Mapping[str, object]] = []

    @hookimpl
    def register_notifiers(
        register: Callable[[object], None], settings: Mapping[str, object]
    ) -> None:
        seen.append(settings)
        register(thing("wakeup", "deliver"))

    plugin = module(
        register_notifiers=register_notifiers, default_settings={"tone": "a", "loud": 1}
    )
    loaded = load_plugins(["s"], {"s": {"loud": 3}}, {"s": plugin}).loaded[0]
    assert seen == [{"tone": "a", "loud": 3}]
    assert (loaded.settings, loaded.defaults) == (
        {"tone": "a", "loud": 3},
        {"tone": "a", "loud": 1},
    )


def test_unknown_setting_is_refused_with_the_nearest_known() -> None:
    assert "did you mean loud?" in wrong(notifier_plugin(default_settings={"loud": 1}), {"lod": 3})


def test_another_api_version_is_refused() -> None:
    assert "must be 1, was 2" in wrong(notifier_plugin(rexalgo_api_version=2))
    assert "was None" in wrong(ModuleType("empty"))


def test_misspelt_hook_is_refused_with_the_nearest_known() -> None:
    @hookimpl
    def register_notifier(register: object, settings: object) -> None: ...

    assert "did you mean register_notifiers?" in wrong(module(register_notifier=register_notifier))


def test_unmarked_hook_is_refused() -> None:
    def register_exchanges(register: object, settings: object) -> None: ...

    assert "not marked with @hookimpl" in wrong(module(register_exchanges=register_exchanges))


def test_hook_with_another_argument_is_refused() -> None:
    @hookimpl
    def register_notifiers(register: object, engine: object) -> None: ...

    assert "engine" in wrong(module(register_notifiers=register_notifiers))


def test_raising_hook_is_named_and_says_what_to_do() -> None:
    @hookimpl
    def register_notifiers(register: object, settings: object) -> None:
        raise RuntimeError("no wakeup in the tower")

    said = wrong(module(register_notifiers=register_notifiers))
    assert "RuntimeError: no wakeup in the tower" in said
    assert "rexalgo plugin disable stranger" in said


def test_plugin_that_registers_nothing_is_refused() -> None:
    assert "registers nothing" in wrong(module())


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        (thing("wakeup"), "has no deliver"),
        (object(), "needs a name"),
        (thing("a b", "deliver"), "needs a name"),
    ],
)
def test_unfit_object_is_refused(registered: object, said: str) -> None:
    @hookimpl
    def register_notifiers(register: Callable[[object], None], settings: object) -> None:
        register(registered)

    assert said in wrong(module(register_notifiers=register_notifiers))


def test_half_a_source_of_addresses_is_refused() -> None:
    @hookimpl
    def register_signal_sources(register: Callable[[object], None], settings: object) -> None:
        register(thing("door", "new_secret", "authenticate", "parse", "endpoint_settings"))

    said = wrong(module(register_signal_sources=register_signal_sources))
    assert "signal source door has no guide, ready_messages" in said


def test_a_setting_of_an_address_takes_no_name_of_the_engine() -> None:
    with pytest.raises(InvalidValue, match="none of actions, entries_per_minute, expires_at, sym"):
        EndpointSetting("symbols", "Which", (("all", "all"),))
    with pytest.raises(InvalidValue, match="choices"):
        EndpointSetting("down", "The word down", ())
    setting = EndpointSetting("down", "The word down", (("close", "closes"), ("turn", "turns")))
    assert setting.chosen("turn") == ("turn", "turns")
    assert setting.chosen(None) == setting.chosen("sideways") == ("close", "closes")


def test_two_things_of_one_name_are_refused_naming_the_first() -> None:
    with pytest.raises(
        PluginError, match="notifier wakeup is already registered by plugin one"
    ) as caught:
        load_plugins(["one", "two"], {}, {"one": notifier_plugin(), "two": notifier_plugin()})
    assert caught.value.name == "two"


def test_plugin_that_is_not_installed_is_refused_with_the_nearest_known() -> None:
    with pytest.raises(PluginError, match="did you mean paper"):
        load_plugins(["papre"], {})


def installed_package(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}_mod.py").write_text(source)
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[rexalgo.plugins]\nfragile = {name}_mod\n")


def test_plugin_that_fails_to_import_is_named_with_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_package(tmp_path, "breakable", "raise OSError('wires cut')")
    monkeypatch.syspath_prepend(tmp_path)
    assert "fragile" in {each.name for each in list_installed()}
    with pytest.raises(PluginError, match="wires cut") as caught:
        load_plugins(["fragile"], {})
    assert caught.value.distribution == "breakable"


def test_two_packages_with_one_plugin_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_package(tmp_path, "first", "")
    installed_package(tmp_path, "second", "")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="more than one installed package"):
        load_plugins(["fragile"], {})
