"""Two models of KServe's own server: `doubled` is called by V1, `summed` by V2."""

import asyncio

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid


class Doubled(Model):
    def load(self):
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        rows = [row["x"] if isinstance(row, dict) else row for row in payload["instances"]]
        if rows and rows[0] == "slow":
            await asyncio.sleep(2)
            return {"predictions": ["slow"]}
        return {"predictions": (np.array(rows) * 2).tolist()}


class Summed(Model):
    def load(self):
        self.ready = True

    async def get_input_types(self):
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]

    async def get_output_types(self):
        return [{"name": "y", "datatype": "FP32", "shape": [-1]}]

    async def predict(self, payload, headers=None, response_headers=None):
        (given,) = payload.inputs
        y = given.as_numpy().astype(np.float32).sum(axis=1)
        out = InferOutput(name="y", shape=list(y.shape), datatype="FP32")
        binary = payload.use_binary_outputs or any(
            one.name == "y" and one.binary_data for one in payload.request_outputs or []
        )
        out.set_data_from_numpy(y, binary_data=binary)
        return InferResponse(
            payload.id or generate_uuid(),
            self.name,
            [out],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


models = [Doubled("doubled"), Summed("summed")]
for model in models:
    model.load()
ModelServer().start(models)
