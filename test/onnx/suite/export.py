"""Writes the ONNX backend suite as files: python3 export.py PACKAGES FOLDER.

cases.jsonl has a line for each case: its model, what it is fed and what is expected of it, and models
made of it whose leading dimension is of any size, with 64 different rows for each of their inputs.
"""

import base64
import json
import sys
import warnings
from pathlib import Path

packages, folder = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, packages)
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.loader import load_model_tests  # noqa: E402

ROWS = 64
MOST = 4096
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
}


class Unknown(Exception):
    """A value for which the protocol has no words."""


def tensor(name, value):
    if not isinstance(value, np.ndarray) and not np.isscalar(value):
        raise Unknown("a sequence, an optional or a map")
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in array.reshape(-1)]
        return {"name": name, "datatype": "BYTES", "shape": list(array.shape), "texts": texts}
    datatype = DATATYPES.get(array.dtype.name)
    if datatype is None:
        raise Unknown(f"the type {array.dtype.name}")
    raw = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "raw": raw}


def data_of(case):
    if case.data_sets is not None:
        return case.data_sets[0]
    parts = {}
    first = sorted(Path(case.model_dir).glob("test_data_set_*"))[0]
    for kind in ("input", "output"):
        files = sorted(first.glob(f"{kind}_*.pb"), key=lambda f: int(f.stem.split("_")[1]))
        parts[kind] = []
        for file in files:
            proto = onnx.TensorProto()
            proto.ParseFromString(file.read_bytes())
            parts[kind].append(numpy_helper.to_array(proto))
    return parts["input"], parts["output"]


def model_of(case):
    return case.model if case.model is not None else onnx.load(Path(case.model_dir) / "model.onnx")


def rows_of(array, chance):
    """Different rows, each with values that occur where they stand."""
    rows = []
    for _ in range(ROWS):
        at = chance.integers(len(array))
        row = array[at : at + 1].copy()
        flat = row.reshape(-1)
        if array.dtype.kind == "f":
            flat += (flat * chance.normal(0, 0.2, flat.shape) + chance.normal(0, 0.1, flat.shape)).astype(
                array.dtype
            )
        else:
            chance.shuffle(flat)
        rows.append(flat.reshape(row.shape))
    return np.concatenate(rows)


def dynamic(case_name, model, inputs, chosen, file):
    """The model with rows in front of the chosen inputs; the others are constants."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    values = {value.name: value for value in graph.input}
    if any(len(values[name].type.tensor_type.shape.dim) == 0 for name in chosen):
        return None
    for name, array in inputs.items():
        if name in chosen:
            values[name].type.tensor_type.shape.dim[0].dim_param = "rows"
        else:
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
            graph.input.remove(values[name])
    for output in graph.output:
        if len(output.type.tensor_type.shape.dim) == 0:
            return None
        output.type.tensor_type.shape.dim[0].dim_param = "rows"
    del graph.value_info[:]
    seed = sum(map(ord, case_name + file))
    chance = np.random.default_rng(seed)
    rows = [tensor(name, rows_of(np.asarray(inputs[name]), chance)) for name in chosen]
    (folder / file).write_bytes(made.SerializeToString())
    return {"file": file, "rows": rows}


def variants(case_name, index, model, names, arrays):
    inputs = dict(zip(names, arrays))
    leading = {n: a.shape[0] for n, a in inputs.items() if a.ndim > 0 and a.shape[0] > 0}
    if names[0] not in leading:
        return []
    # 64 rows of pictures are no more of a test than 64 rows of numbers, and slow.
    if any(a.size > MOST * a.shape[0] for a in inputs.values() if a.ndim > 0 and a.shape[0] > 0):
        return []
    alike = [n for n in names if leading.get(n) == leading[names[0]]]
    made = []
    for at, chosen in enumerate([names[:1], alike] if len(alike) > 1 else [names[:1]]):
        variant = dynamic(case_name, model, inputs, chosen, f"{index}-{at}.onnx")
        if variant is not None:
            made.append(variant)
    return made


def line_of(case, index):
    line = {"name": case.name, "kind": case.kind, "rtol": case.rtol, "atol": case.atol}
    try:
        model = model_of(case)
        given, expected = data_of(case)
        constants = {one.name for one in model.graph.initializer}
        names = [v.name for v in model.graph.input if v.name not in constants][: len(given)]
        line["inputs"] = [tensor(n, a) for n, a in zip(names, given)]
        line["outputs"] = [tensor(v.name, a) for v, a in zip(model.graph.output, expected)]
    except Unknown as unknown:
        return {**line, "unknown": str(unknown)}
    line["file"] = f"{index}.onnx"
    (folder / line["file"]).write_bytes(model.SerializeToString())
    arrays = [np.asarray(a) for a in given]
    line["joined"] = variants(case.name, index, model, names, arrays) if names else []
    return line


def main():
    folder.mkdir(parents=True, exist_ok=True)
    cases = [
        case
        for kind in ("node", "simple", "pytorch-converted", "pytorch-operator")
        for case in load_model_tests(kind=kind)
    ]
    with open(folder / "cases.jsonl", "w", encoding="utf-8") as file:
        for index, case in enumerate(cases):
            file.write(json.dumps(line_of(case, index)) + "\n")


main()
