"""The forms of a page as a browser reads them: their controls with what is in them, and the error
that stands beside each.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser

TEXTS = ("text", "search", "password", "textarea", "email", "url", "date")


@dataclass
class Control:
    """One named control; ``values`` are what it sends now, ``choices`` what it may send."""

    name: str
    kind: str
    inputmode: str = ""
    values: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def is_text(self) -> bool:
        return self.kind in TEXTS


@dataclass
class Form:
    """One form that posts: where to, and its controls by name."""

    action: str
    controls: dict[str, Control] = field(default_factory=dict)

    @property
    def texts(self) -> list[Control]:
        """Return what a person types into."""
        return [each for each in self.controls.values() if each.is_text]

    def sends(self) -> dict[str, str | list[str]]:
        """Return what a browser sends of it as it stands."""
        return {name: each.values for name, each in self.controls.items() if each.values}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.stray: list[str] = []
        self._form: Form | None = None
        self._control: Control | None = None
        self._says: list[str] | None = None
        self._text: list[str] | None = None
        self._option: list[bool] = []

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in pairs}
        if tag == "form":
            self._form = Form(given["action"]) if given.get("method") == "post" else None
            if self._form is not None:
                self.forms.append(self._form)
            self._control = None
        elif tag == "p" and "field-error" in given.get("class", "") and "hidden" not in given:
            self._says = []
        elif self._form is not None:
            self._controls(tag, given)

    def _controls(self, tag: str, given: dict[str, str]) -> None:
        assert self._form is not None
        name, value = given.get("name", ""), given.get("value", "")
        kind = given.get("type", "text") if tag == "input" else tag
        if tag == "option":
            self._option = ["value" in given, "selected" in given]
            if "value" in given:
                self._offer(value)
        if tag not in ("input", "select", "textarea", "button") or not name:
            return
        control = self._form.controls.setdefault(name, Control(name, kind))
        if kind in ("radio", "checkbox", "button"):
            control.choices.append(value)
            if "checked" in given or (kind == "button" and not control.values):
                control.values.append(value)
        elif tag == "input":
            control.values.append(value)
            control.inputmode = given.get("inputmode", "")
        if tag == "textarea":
            self._text = []
        if kind not in ("hidden", "button"):
            self._control = control

    def handle_data(self, data: str) -> None:
        if self._says is not None:
            self._says.append(data)
        if self._option and not self._option[0] and data.strip():
            self._offer(data.strip())
        if self._text is not None:
            self._text.append(data)

    def _offer(self, value: str) -> None:
        """Take an option of the open select; the first one is chosen unless another one is."""
        if self._control is None or self._control.kind != "select":
            return
        self._control.choices.append(value)
        if self._option[1] or not self._control.values:
            self._control.values = [value]

    def handle_endtag(self, tag: str) -> None:
        self._option = []
        if tag == "form":
            self._form = self._control = None
        elif tag == "textarea" and self._text is not None and self._control is not None:
            self._control.values, self._text = ["".join(self._text).removeprefix("\n")], None
        elif tag == "p" and self._says is not None:
            said, self._says = "".join(self._says).strip(), None
            if self._control is not None:
                self._control.error = said
            elif self._form is None:
                self.stray.append(said)


def forms_of(page: str) -> list[Form]:
    """Read the forms of a page; fails where an error stands outside of them."""
    reader = _Reader()
    reader.feed(page)
    assert not reader.stray, f"beside no form: {reader.stray}"
    return reader.forms
