"""Writes tensors as JSON that diffs well: the layout the repository's formatter would give it."""

import json

import numpy as np

WIDTH = 100

# Names of the Open Inference Protocol, V2.
DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
}


def number(value):
    """A JSON value that gives back `value`: 64-bit integers and non-finite floats as strings."""
    # By name: C has two 64-bit integers, and numpy gives each a class of its own.
    if getattr(value, "dtype", None) in (np.int64, np.uint64):
        return str(value)
    if isinstance(value, np.floating):
        if not np.isfinite(value):
            return "NaN" if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return float(np.format_float_scientific(value, unique=True))
    return value.item() if isinstance(value, np.generic) else value


def tensor(array):
    """`{datatype, shape, data}`; data is flat, in row-major order."""
    data = [number(value) for value in array.reshape(-1)]
    return {"datatype": DATATYPES[array.dtype.name], "shape": list(array.shape), "data": data}


def value(result, dtype=None):
    """What a session gave: a tensor, `{sequence: [...]}` or `{map: {...}}`."""
    if isinstance(result, list):
        return {"sequence": [value(one) for one in result]}
    if isinstance(result, dict):
        return {"map": {str(key): number(np.float32(one)) for key, one in result.items()}}
    array = np.asarray(result)
    if array.dtype.kind in "UO":
        array = array.astype(object)
    return tensor(array)


def run(session, feeds):
    """`{inputs, outputs}` of one request, as ONNX Runtime in Python answers it."""
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, feeds)))
    return {
        "inputs": {name: tensor(array) for name, array in feeds.items()},
        "outputs": {name: value(output) for name, output in outputs.items()},
    }


def plain(item):
    """Ends with as few digits as JavaScript would write: 1.0 as 1.0, 1e-05 as 1e-5."""
    if isinstance(item, float):
        text = repr(item)
        return text.replace("e-0", "e-").replace("e+", "e")
    return json.dumps(item, ensure_ascii=False)


def text(item, indent=0, before=0):
    """`item` on a line that has `before` other cells behind its `indent`, as JSON.

    An object is always open, an array only where it does not fit.
    """
    inner = " " * (indent + 2)
    if isinstance(item, dict) and item:
        last = list(item)[-1]
        rows = [
            f"{inner}{plain(key)}: {text(one, indent + 2, cells(plain(key)) + 2 + (key != last))}"
            for key, one in item.items()
        ]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if isinstance(item, list) and item:
        return array(item, indent, before)
    return plain(item) if not isinstance(item, dict) else "{}"


def array(items, indent, before):
    if any(isinstance(one, (dict, list)) and one for one in items):
        rows = [" " * (indent + 2) + text(one, indent + 2) for one in items]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    words = [plain(one) for one in items]
    line = "[" + ", ".join(words) + "]"
    if indent + before + cells(line) <= WIDTH:
        return line
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in items)
    rows = filled(words, indent + 2) if numbers else [" " * (indent + 2) + w for w in words]
    end = "\n" + " " * indent + "]"
    return "[\n" + (",\n".join(rows)) + end


def filled(words, indent):
    rows = [" " * indent + words[0]]
    for word in words[1:]:
        if len(rows[-1]) + 2 + len(word) + 1 <= WIDTH:
            rows[-1] += ", " + word
        else:
            rows.append(" " * indent + word)
    return rows


def cells(line):
    """Columns on a terminal: a Chinese character takes two."""
    return sum(2 if ord(one) >= 0x2E80 else 1 for one in line)


def write(path, item):
    path.write_text(text(item) + "\n", encoding="utf-8")
