"""A page as a flat list of elements: enough to ask what a browser and a screen reader would find."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Element:
    """One element: its tag, attributes, the text in it, and the elements that hold it."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[Element, ...] = field(default=(), repr=False)  # printed, each would print all that hold it, and so on
    text: str = ""

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)

    def has(self, name: str) -> bool:
        return name in self.attributes

    @property
    def words(self) -> list[str]:
        return self.text.split()


@dataclass
class Page:
    """A parsed page and its source."""

    source: str
    elements: list[Element] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    def one(self, tag: str, **attributes: str) -> Element:
        found = [
            e for e in self.all(tag) if all(e.get(name.rstrip("_")) == value for name, value in attributes.items())
        ]
        assert len(found) == 1, f"{len(found)} × <{tag} {attributes}>"
        return found[0]

    def by_id(self, wanted: str) -> Element | None:
        return next((element for element in self.elements if element.get("id") == wanted), None)

    def fields(self) -> list[Element]:
        """The inputs that a person fills in."""
        return [e for e in self.all("input", "select", "textarea") if e.get("type") != "hidden"]

    def field(self, name: str) -> Element:
        return next(e for e in self.fields() if e.get("name") == name)

    @property
    def title(self) -> str:
        return self.all("title")[0].text.strip()

    @property
    def problem(self) -> Element | None:
        return self.by_id("problem")


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self.open))
        self.page.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.page.unclosed.append(f"</{tag}> closes <{self.open[-1].tag if self.open else 'nothing'}>")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parse(source: str) -> Page:
    """Parse a whole page."""
    page = Page(source)
    reader = _Reader(page)
    reader.feed(source)
    reader.close()
    page.unclosed += [f"<{element.tag}> stays open" for element in reader.open]
    return page
