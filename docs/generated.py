"""The pages that mkdocs makes while it builds: configuration (from the schema), decisions, bibliography (.bib)."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from polychromic.settings.schema import SavingSection, Section, Settings

BORROWED = {
    "lora": "Names and meaning are those of PEFT's `LoraConfig`, unchanged.",
    "training": "Names and meaning are those of TRL's `SFTConfig`, unchanged; and one of ours:",
    "quantization": "Names and meaning are those of transformers' `BitsAndBytesConfig`, unchanged; null: none.",
}
HEAD = """# Configuration

A configuration is a YAML file of these sections. `extends: other.yaml` takes over another file; on the command line
`section.key=value` comes before both. An unknown key is refused with the name of its neighbour, before a model loads.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made here."""
    folder = Path(config.docs_dir) / "decisions"
    files.append(File.generated(config, "configuration.md", content=configuration()))
    files.append(File.generated(config, "decisions/index.md", content=decisions(folder)))
    files.append(File.generated(config, "bibliography.md", content=bibliography(Path(config.docs_dir))))
    return files


def configuration() -> str:
    """Every section with its keys: type, default and meaning."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        kind = _section(field.annotation)
        parts.append(_page(name, kind) if kind else f"## {name}\n\n{BORROWED[name]}\n")
        if name == "training":
            parts.append(_table(SavingSection) + "\n")
    return "\n".join(parts)


def _page(name: str, section: type[Section]) -> str:
    """A section's table, followed by those of the sections inside it."""
    fields = section.model_fields.items()
    kinds = [(field.alias or key, _section(field.annotation)) for key, field in fields]
    inside = [_page(f"{name}.{shown}", kind) for shown, kind in kinds if kind]
    about = " ".join((section.__doc__ or "").split("\n\n")[0].split())
    return "\n".join([f"## {name}\n\n{about}\n\n{_table(section)}\n", *inside])


def _table(section: type[Section]) -> str:
    told = meanings(section)
    rows = [
        f"| `{field.alias or key}` | {_cell(_type(field))} | {_default(field)} | {_cell(told[key])} |"
        for key, field in section.model_fields.items()
    ]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])


def meanings(section: type[Section]) -> dict[str, str]:
    """What each field means: its description, or the text below it."""
    (tree,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(tree, ast.ClassDef)
    found = {name: field.description for name, field in section.model_fields.items() if field.description}
    for node, after in pairwise(tree.body):
        match node, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _section(annotation: Any) -> type[Section] | None:
    """The section that a field holds, if it holds one."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _type(field: FieldInfo) -> str:
    rules = [(rule, name) for rule in field.metadata for name in SIGNS if hasattr(rule, name)]
    bounds = [f"{SIGNS[name]} {getattr(rule, name)}" for rule, name in rules]
    return ", ".join([_name(field.annotation), *bounds])


SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _name(annotation: Any) -> str:
    if get_origin(annotation) is typing.Annotated:
        return _name(get_args(annotation)[0])
    if get_origin(annotation) in (UnionType, typing.Union):
        return " or ".join("null" if one is type(None) else _name(one) for one in get_args(annotation))
    if get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_name(get_args(annotation)[0])}"
    if get_origin(annotation) is dict or annotation is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "section, see below"
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}[annotation.__name__]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, Section) or value in ("", {}, ()):
        return ""
    if isinstance(value, tuple) and isinstance(value[0], Section):
        return f"{len(value)} rows"
    return f"`{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def decisions(folder: Path) -> str:
    """The list of the decisions, by number, each with its title."""
    rows = []
    for path in sorted(folder.glob("[0-9]*.md")):
        number, title = re.match(r"# (\d+) (.+)", path.read_text(encoding="utf-8")).groups()  # type: ignore[union-attr]
        rows.append(f"* {number} [{title}]({path.name})")
    return "# Decisions\n\nWhat would cost a day to reverse, one page each, and why.\n\n" + "\n".join(rows) + "\n"


ENTRY = re.compile(
    r"^@misc\{(?P<key>\w+), eprint=\{(?P<id>[\d.]+)\}, archivePrefix=\{arXiv\}, howpublished=\{arXiv:(?P=id)\}, "
    r"year=\{(?P<year>\d{4})\}, author=\{(?P<author>.+?)\}, title=\{(?P<title>.+)\}\}$",
    re.MULTILINE,
)
PAPER = re.compile(r"(?<![\d.])(?:0[7-9]|1\d|2\d)(?:0[1-9]|1[0-2])\.\d{4,5}(?!\d)")
"""An arXiv id: year, month, number."""


def papers(package: Path) -> dict[str, list[str]]:
    """The arXiv ids that the package's code names, each with the files that do."""
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for paper in sorted(set(PAPER.findall(path.read_text(encoding="utf-8")))):
            found.setdefault(paper, []).append(path.relative_to(package.parent).as_posix())
    return found


def bibliography(docs: Path) -> str:
    """Every paper of the .bib, oldest first, with the files in which its method is."""
    used = papers(docs.parent / "polychromic")
    rows = []
    for entry in sorted(ENTRY.finditer((docs / "bibliography.bib").read_text(encoding="utf-8")), key=lambda e: e["id"]):
        title = re.sub(r"[{}]", "", entry["title"]).replace("\\&", "&").replace("$\\tau$", "τ")
        author = entry["author"].replace(" and others", " et al.").replace(" and ", "; ")
        places = ", ".join(f"`{place}`" for place in used.get(entry["id"], ())) or "the documents"
        paper = f"[arXiv {entry['id']}](https://arxiv.org/abs/{entry['id']})"
        rows.append(f"* {author} ({entry['year']}): {title}. {paper}; {places}")
    head = "# Bibliography\n\nThe paper of every method in the tree, as [BibTeX](bibliography.bib) too.\n\n"
    return head + "\n".join(rows) + "\n"
