"""Read `risk_matrix.yaml` so that every mistake comes back as one line a trader can act on, and never as a traceback.

YAML has traps that would change a limit silently: `050` is 40, `1:30` is 90, `no` is false, the second of two equal
keys wins. All are refused. Each problem reads `risk_matrix.yaml:LINE: key.path: what is wrong; what to write`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from guardrails.errors import MatrixError
from guardrails.matrix.problems import Key, describe
from guardrails.matrix.schema import RiskMatrix

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
FORMATS = (1, 2)
"""formats of the file: 2 has the `stress` section in every regime; in 1 it may be left out and is then not set"""
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)", re.IGNORECASE)
_QUICK: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, ten times as quick, where PyYAML was built with it; the words about a mistake are those of SafeLoader"""
_SLOW = frozenset("\t?")
"""characters in which the two differ: SafeLoader refuses tabs, and a `?` in a list, where libyaml takes them"""
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map")}


@dataclass(frozen=True, slots=True)
class MatrixFile:
    """A matrix and the file it came from, so that an edit is taken once it is valid and not before."""

    path: Path
    matrix: RiskMatrix
    """the last valid content"""
    stamp: tuple[int, int]
    """modification time (ns) and size of what was last read"""
    text: str
    """what `matrix` was read from"""
    problems: tuple[str, ...] = ()
    """why the file as it is now was not taken; empty when `matrix` is what is on disk"""

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at `path`; MatrixError when it is not valid."""
        stamp, content = _stamp(path), read(path)
        return cls(path, parse(content, path.name), stamp, _text(content))

    def reread(self) -> Self:
        """Itself when the file is unchanged; else with the new matrix, or with the old one and the problems."""
        stamp = _stamp(self.path)
        if stamp == self.stamp:
            return self
        try:
            content = read(self.path)
            return replace(self, matrix=parse(content, self.path.name), stamp=stamp, text=_text(content), problems=())
        except MatrixError as error:
            return replace(self, stamp=stamp, problems=tuple(error.problems))


def load(path: Path) -> RiskMatrix:
    """The matrix in the file at `path`; MatrixError with every problem when it is not valid."""
    return parse(read(path), path.name)


def read(path: Path) -> bytes:
    """What the file at `path` holds; MatrixError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MatrixError([f"{path}: cannot be read ({reason}); set GUARDRAILS_MATRIX to a readable file"]) from error


def _text(content: bytes) -> str:
    """The words of a file that was found valid, hence UTF-8."""
    return content.decode("utf-8")


def parse(text: str | bytes, name: str = "risk_matrix.yaml") -> RiskMatrix:
    """The matrix in `text`, called `name` in messages; MatrixError with every problem when it is not valid."""
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    data, lines = _read(content, name)
    edition = data.pop("version", None)
    problems = []
    if edition not in FORMATS or isinstance(edition, bool):
        problems = [f"{name}:{lines.get(('version',), 1)}: version: must be 2, or 1 for a file without stress limits"]
    if edition == 1:
        _without_stress(data)
    data["version"] = hashlib.sha256(content).hexdigest()[:12]
    try:
        matrix = RiskMatrix.model_validate(data)
    except ValidationError as error:
        problems += [f"{name}:{line}: {sentence}" for line, sentence in sorted(describe(error, lines))]
        raise MatrixError(problems) from None
    if problems:
        raise MatrixError(problems)
    return matrix


def _without_stress(data: dict[str, Any]) -> None:
    """Write `stress: null` where a file of version 1 says nothing of it; what is no group of keys is left alone."""
    regimes = data.get("regimes")
    for regime in regimes.values() if isinstance(regimes, dict) else ():
        limits = regime.get("limits") if isinstance(regime, dict) else None
        if isinstance(limits, dict):
            limits.setdefault("stress", None)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _read(content: bytes, name: str) -> tuple[dict[str, Any], dict[Key, int]]:
    """Plain values and the line of every key path; MatrixError for anything that is not a plain YAML mapping."""
    if len(content) > MAX_BYTES:
        raise MatrixError([f"{name}: larger than {MAX_BYTES:,} bytes; this is not a risk matrix"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MatrixError([f"{name}:{line}: byte {error.start} is not UTF-8 text; save the file as UTF-8"]) from None
    try:
        if not _SLOW & set(text):
            with suppress(yaml.YAMLError):
                return _values(text, name, _QUICK)
        return _values(text, name, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise MatrixError([_syntax(error, name)]) from None
    except (ValueError, LookupError, AttributeError) as error:
        # a date that does not exist, an integer of 5,000 digits, `!!int` before nothing, `!!bool` before no yes or no
        raise MatrixError([f"{name}: holds a value YAML cannot read: {str(error).partition(';')[0]}"]) from None


def _values(text: str, name: str, loader: Any) -> tuple[dict[str, Any], dict[Key, int]]:
    """What `_read` gives, as `loader` reads it; YAMLError when it cannot."""
    problems = [f"{name}:{line}: {reason}" for line, reason in _refused(text, loader)]
    if problems:
        raise MatrixError(problems)
    node = yaml.compose(text, Loader=loader)
    if not isinstance(node, yaml.MappingNode):
        raise MatrixError([f"{name}:1: " + ("is not a list of `key: value` lines" if node else "is empty")])
    lines: dict[Key, int] = {}
    problems = [f"{name}:{line}: {reason}" for line, reason in _walk(node, (), lines)]
    if problems:
        raise MatrixError(problems)
    return yaml.SafeLoader("").construct_document(node), lines


def _refused(text: str, loader: Any) -> Iterator[tuple[int, str]]:
    """Anchors, aliases and deep nesting: a matrix needs none, and they can make a small file enormous."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            yield line, f"nested deeper than {MAX_DEPTH} levels"
            return
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            yield line, f"anchor or alias {event.anchor!r}: write the value out instead"


def _walk(node: yaml.Node, path: Key, lines: dict[Key, int]) -> Iterator[tuple[int, str]]:
    """Record the line of every key and yield what YAML would silently read as something else."""
    if isinstance(node, yaml.ScalarNode):
        yield from _scalar(node, path)
        return
    children: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                yield key.start_mark.line + 1, f"{_dotted(path)}: a key must be plain text"
                continue
            children.append((key.value, key, value))
    else:
        children = [(index, value, value) for index, value in enumerate(node.value)]
    for part, where, value in children:
        line, here = where.start_mark.line + 1, (*path, part)
        if here in lines:
            yield line, f"{_dotted(here)}: written twice, first on line {lines[here]}; keep one"
            continue
        lines[here] = line
        yield from _walk(value, here, lines)


def _scalar(node: yaml.ScalarNode, path: Key) -> Iterator[tuple[int, str]]:
    line = node.start_mark.line + 1
    if node.tag not in _TAGS:
        yield line, f"{_dotted(path)}: tag {node.tag!r} is not allowed; write a plain value"
    elif node.tag.endswith((":int", ":float")) and not _PLAIN_NUMBER.fullmatch(node.value):
        instead = f'a time in quotes: "{node.value}"' if ":" in node.value else "plain decimals such as 50 or 0.2"
        yield line, f"{_dotted(path)}: {node.value!r} would be read as another number; write {instead}"


def _dotted(path: Key) -> str:
    return ".".join(map(str, path)) or "top level"


def _syntax(error: yaml.YAMLError, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    reason = str(getattr(error, "problem", "") or getattr(error, "reason", "") or "cannot be read")
    if "'\\t'" in reason:
        reason = "a tab; indent with spaces"
    return f"{where}: not valid YAML: {reason}"
