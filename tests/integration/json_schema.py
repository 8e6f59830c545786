# SPDX-License-Identifier: MIT
"""The part of JSON Schema that docs/run.schema.json uses. check(value, schema) raises AssertionError with the place."""

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "null": lambda v: v is None,
}
KNOWN = {"$schema", "title", "$defs", "$ref", "type", "required", "properties", "additionalProperties", "items", "enum",
         "minimum", "maximum"}


def resolve(schema, root):
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = root["$defs"][name]
    return schema


def check(value, schema, root=None, place="$"):
    root = root or schema
    schema = resolve(schema, root)
    unknown = set(schema) - KNOWN
    assert not unknown, f"{place}: this checker does not know {unknown}"
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(TYPES[name](value) for name in types), f"{place}: {value!r} is no {' or '.join(types)}"
    if "enum" in schema:
        assert value in schema["enum"], f"{place}: {value!r} is none of {schema['enum']}"
    if "minimum" in schema and isinstance(value, (int, float)):
        assert value >= schema["minimum"], f"{place}: {value} < {schema['minimum']}"
    if "maximum" in schema and isinstance(value, (int, float)):
        assert value <= schema["maximum"], f"{place}: {value} > {schema['maximum']}"
    if isinstance(value, dict):
        for key in schema.get("required", []):
            assert key in value, f"{place}: no {key}"
        for key, part in schema.get("properties", {}).items():
            if key in value:
                check(value[key], part, root, f"{place}.{key}")
        for key in set(value) - set(schema.get("properties", {})) if "additionalProperties" in schema else ():
            check(value[key], schema["additionalProperties"], root, f"{place}.{key}")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            check(item, schema["items"], root, f"{place}[{i}]")
