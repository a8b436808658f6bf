"""What a graph is made of, read from its bytes before ONNX Runtime makes anything of them.

ONNX is a message of Protocol Buffers: fields of a number and a value, which may be a message. Only
those are followed in which a graph can hide something; weights are passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

MOST = 20_000  # nodes, and tensors: some twenty times what any detector has

_VARINT, _EIGHT_BYTES, _BYTES, _GROUP, _GROUP_END, _FOUR_BYTES = range(6)
_MOST_FIELDS = 500_000
_MOST_FUNCTIONS = 300  # no more than a search may go down
_DEEPEST = 100  # messages within each other, as for every reader of them
_STRING, _EXTERNAL = 8, 1

# The messages that are followed, and the kinds of those in their fields.
_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {
        **dict.fromkeys((5, 10), "tensor"),
        **dict.fromkeys((6, 11), "graph"),
        **dict.fromkeys((22, 23), "sparse tensor"),
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# Numbers of fields: of a tensor, of an attribute, and the names of functions and what calls them.
_TYPE, _EXTERNAL_DATA, _PLACE = 2, 13, 14
_NAME, _NUMBER, _REFERENCE = 1, 3, 21
_CALLED = {"node": (7, 4), "function": (10, 1)}

_OF_STRINGS = (b"value_string", b"value_strings")
_STRINGS_BEHIND = b"_strings"
_TYPED = (b"to", b"dtype")

Value = int | memoryview
Name = tuple[bytes, bytes]
"""The domain and the name of a function."""


def fault(graph: bytes) -> str | None:
    """What a graph has that no model needs, to follow "its graph"; None without.

    Weights in another file, tensors of strings, which no limit on memory holds for, and far more
    nodes or tensors than any detector has. Bytes that are no graph are left to ONNX Runtime.
    """
    outline = _Outline()
    try:
        outline.follow("model", memoryview(graph))
        outline.refuse_many(outline.nodes_of(None), "nodes")
    except _Fault as found:
        return str(found)
    except ValueError:
        return None
    return None


class _Fault(Exception):  # noqa: N818 - it is no error of this program
    """What is wrong."""


class _Outline:
    """What was met so far; `calls` are the nodes of each function, and under None of the graph."""

    def __init__(self) -> None:
        self.calls: dict[Name | None, Counter[Name]] = {None: Counter()}
        self._fields = self._tensors = self._nodes = 0
        self._counted: dict[Name | None, int] = {}

    def follow(
        self, kind: str, message: memoryview, within: Name | None = None, depth: int = 0
    ) -> None:
        """Look through a message. Raises _Fault, and ValueError for what is no message."""
        if depth > _DEEPEST:
            raise ValueError("too deep")
        inside = _INSIDE[kind]
        found: dict[int, Value] = {}
        inner: list[tuple[str, memoryview]] = []
        for number, value in _fields(message):
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise _Fault("is made of far more pieces than that of any detector")
            if number in inside and isinstance(value, memoryview):
                inner.append((inside[number], value))
            else:
                found[number] = value
        if kind == "tensor":
            self._refuse_tensor(found)
        elif kind == "attribute":
            _refuse_strings(found)
        elif kind in _CALLED:
            domain, name = (bytes(_text(found.get(number))) for number in _CALLED[kind])
            if kind == "function":
                within = domain, name
                self.calls.setdefault(within, Counter())
                if len(self.calls) > _MOST_FUNCTIONS:
                    raise _Fault(f"has more than {_MOST_FUNCTIONS} functions")
            else:
                self._nodes += 1
                self.refuse_many(self._nodes, "nodes")
                self.calls[within][domain, name] += 1
        for kind_within, value in inner:
            self.follow(kind_within, value, within, depth + 1)

    def nodes_of(self, function: Name | None) -> int:
        """The nodes of a function once all that it calls stands in its place."""
        if function not in self._counted:
            self._counted[function] = 1  # of one that calls itself, which ONNX Runtime refuses
            count = 0
            for name, times in self.calls[function].items():
                count += times * (self.nodes_of(name) if name in self.calls else 1)
            self._counted[function] = count
        return self._counted[function]

    def refuse_many(self, count: int, what: str) -> None:
        """Raise _Fault where it has too many of something."""
        if count > MOST:
            raise _Fault(f"has more than {MOST:,} {what}, far more than that of any detector")

    def _refuse_tensor(self, found: Mapping[int, Value]) -> None:
        if found.get(_PLACE) == _EXTERNAL or _EXTERNAL_DATA in found:
            raise _Fault("takes weights from another file")
        if found.get(_TYPE) == _STRING:
            raise _Fault("computes with texts")
        self._tensors += 1
        self.refuse_many(self._tensors, "tensors")


def _refuse_strings(found: Mapping[int, Value]) -> None:
    """Raise _Fault for an attribute of which a node makes strings."""
    name = bytes(_text(found.get(_NAME)))
    makes = name in _OF_STRINGS or name.endswith(_STRINGS_BEHIND)
    if makes or (name in _TYPED and (found.get(_NUMBER) == _STRING or _REFERENCE in found)):
        raise _Fault("computes with texts")


def _text(value: Value | None) -> memoryview:
    return value if isinstance(value, memoryview) else memoryview(b"")


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The number and the value of each field. Raises ValueError for what is no message."""
    at, groups = 0, 0
    while at < len(message):
        key, at = _number(message, at)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == _VARINT:
            value, at = _number(message, at)
        elif kind in (_GROUP, _GROUP_END):
            groups += 1 if kind == _GROUP else -1
            continue
        else:
            if kind == _BYTES:
                size, at = _number(message, at)
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                size = 8 if kind == _EIGHT_BYTES else 4
            else:
                raise ValueError("no field")
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ValueError("cut off")
        if not groups:  # which are of old, and passed over by all
            yield number, value


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, and where it ends."""
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ValueError("cut off")
