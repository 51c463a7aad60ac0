"""Field references from JSON Schemas: of recipes and of training configs."""

import json
from typing import Any

_FORMS = ("NormalNumber", "ChoiceNumber", "ChoiceCount", "Normal")


def field_reference(schema: dict[str, Any], title: str) -> str:
    """Return a table for each part of a schema, as Markdown."""
    parts = [_table(title, schema, schema)]
    parts += _inner("", schema, schema, set())
    return "\n".join(parts)


def _inner(path: str, node: dict[str, Any], schema: dict[str, Any], seen: set[str]) -> list[str]:
    """Return the tables of the parts below a part, in its fields' order."""
    out: list[str] = []
    for name, field in node["properties"].items():
        for ref in _refs(field):
            if ref in _FORMS or ref in seen:  # the same part in another place: documented once
                continue
            seen.add(ref)
            part = schema["$defs"][ref]
            kind = part["properties"].get("kind", {}).get("const")
            title = f"`{path}{name}`" + (f", `kind: {kind}`" if kind else "")
            out.append(_table(title, part, schema))
            out += _inner(f"{path}{name}.", part, schema, seen)
    return out


def _refs(field: Any) -> list[str]:
    """Return the names of the parts that a field may hold, in order."""
    out: list[str] = []
    if isinstance(field, dict):
        if "$ref" in field:
            out.append(field["$ref"].rsplit("/", 1)[-1])
        for key, value in field.items():
            if key not in ("default", "description", "discriminator"):
                out += _refs(value)
    elif isinstance(field, list):
        for value in field:
            out += _refs(value)
    return list(dict.fromkeys(out))


def _table(title: str, part: dict[str, Any], schema: dict[str, Any]) -> str:
    needed = part.get("required", ())
    rows = []
    for name, field in part["properties"].items():
        default = "needed" if name in needed else _default(field)
        cells = (f"`{name}`", default, _limits(field), _meaning(field, schema))
        rows.append("| " + " | ".join(cells) + " |")
    head = "| field | default | limits | meaning |\n|---|---|---|---|\n"
    words = part.get("description", "").replace("\n", " ")
    return f"### {title}\n\n{words}\n\n{head}" + "\n".join(rows) + "\n"


def _meaning(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return a field's description; where it is its part's own, the schema has it only there."""
    refs = _refs(field)
    own = field.get("description") or (schema["$defs"][refs[0]]["description"] if refs else "")
    return str(own).replace("\n", " ")


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return ""
    value = field["default"]
    if isinstance(value, dict) and set(value) == {"normal"}:
        n = {key: f"{number:g}" for key, number in value["normal"].items()}
        return f"normal {n['mean']} ± {n['sd']} in [{n['low']}, {n['high']}]"
    if isinstance(value, dict) and any(ref not in _FORMS for ref in _refs(field)):
        return "see below"
    return f"`{json.dumps(value)}`"


def _limits(field: dict[str, Any]) -> str:
    for form in (field, *field.get("oneOf", ()), *field.get("anyOf", ())):
        if "minimum" in form and "maximum" in form:
            return f"{_number(form['minimum'])} to {_number(form['maximum'])}"
        for inner in form.get("oneOf", ()) if form is not field else ():
            if "minimum" in inner:
                return f"{_number(inner['minimum'])} to {_number(inner['maximum'])}"
    return ""


def _number(value: float) -> str:
    if value == 2**63 - 1:
        return "2^63 - 1"
    return f"{value:,}" if isinstance(value, int) and abs(value) > 9999 else f"{value:g}"
