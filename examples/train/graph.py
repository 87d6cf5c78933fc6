"""A small builder of ONNX graphs: hand-written nodes around a converted scikit-learn model."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

# Not the newest: everything since ONNX Runtime 1.13 reads these.
OPSET = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8

FLOAT, INT64, STRING, BOOL = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.STRING,
    TensorProto.BOOL,
)


class Graph:
    """Values are named by strings, as in ONNX; `op` returns the name of what it computes."""

    def __init__(self, name):
        self.name = name
        self.nodes, self.inputs, self.outputs, self.constants = [], [], [], []

    def input(self, name, dtype, dims):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, dims))
        return name

    def output(self, name, value, dtype, dims):
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"give_{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, dims))

    def constant(self, name, value):
        array = np.asarray(value)
        if array.dtype.kind in "UO":
            words = [str(word).encode() for word in array.reshape(-1)]
            tensor = helper.make_tensor(name, STRING, array.shape, words)
        else:
            tensor = numpy_helper.from_array(array, name)
        self.constants.append(tensor)
        return name

    def op(self, kind, inputs, name, domain="", **attributes):
        self.nodes.append(
            helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes)
        )
        return name

    def top(self, value, count, name):
        """The `count` largest of each row, largest first, and their places."""
        found = [f"{name}_values", f"{name}_places"]
        size = self.constant(f"{name}_count", np.array([count]))
        self.nodes.append(helper.make_node("TopK", [value, size], found, name=name, axis=1))
        return found

    def number_or(self, value, default, name):
        """`value`, and `default` where it is not a number."""
        missing = self.op("IsNaN", [value], f"{name}_missing")
        instead = self.constant(f"{name}_instead", np.float32(default))
        return self.op("Where", [missing, instead, value], name)

    def encode(self, value, words, default, name):
        """Each word's number; `default` for a word that is not among `words` (a dict)."""
        return self.op(
            "LabelEncoder",
            [value],
            name,
            domain="ai.onnx.ml",
            keys_strings=list(words),
            values_int64s=list(words.values()),
            default_int64=default,
        )

    def classifier(self, model, features, width, prefix):
        """Puts a fitted scikit-learn classifier behind `features`: float [batch, width].

        Returns the names of its two outputs, label and probabilities.
        """
        types = [("features", FloatTensorType([None, width]))]
        options = {id(model): {"zipmap": False}}
        converted = to_onnx(model, initial_types=types, options=options, target_opset=OPSET)
        part = onnx.compose.add_prefix(converted, prefix).graph
        entry = part.input[0].name
        for node in part.node:
            node.input[:] = [features if name == entry else name for name in node.input]
        self.nodes.extend(part.node)
        self.constants.extend(part.initializer)
        return [output.name for output in part.output]

    def save(self, path, version, description, metadata):
        """Writes the checked model. Metadata values are JSON, except the three plain texts."""
        graph = helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, initializer=self.constants
        )
        opsets = [helper.make_opsetid(domain, number) for domain, number in OPSET.items()]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="examples/train",
            producer_version=version,
        )
        texts = {"description": description, "version": version, "author": "Suoke Life"}
        values = {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
        helper.set_model_props(model, {**texts, **values})
        onnx.checker.check_model(model, full_check=True)
        Path(path).write_bytes(model.SerializeToString(deterministic=True))


def steady(model):
    """Rounds fitted coefficients, so that the last bits of a machine's arithmetic do not show."""
    model.coef_ = np.round(model.coef_, 4)
    model.intercept_ = np.round(model.intercept_, 4)
    return model
