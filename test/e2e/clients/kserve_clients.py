"""Calls a server with KServe's clients (V1, V2, gRPC) and prints what came, as JSON.

usage: kserve_clients.py URL [HOST:PORT of gRPC]
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient, RESTConfig

URL = sys.argv[1]
PERSON = {
    "patient_info.age": 61,
    "measurements.bmi": 31.5,
    "measurements.blood_pressure": 145,
}
FLOATS = np.array([[0.1, 1e-30, -3.5, 2.0], [1, 2, 3, 4]], dtype=np.float32)
LONGS = np.array([[2**63 - 1, -(2**63), 0]], dtype=np.int64)
TEXTS = np.array([["头痛", "乏力"]], dtype=object)


def request(model, array, datatype, binary, **more):
    one = InferInput("x", list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[one], **more)


def written(one):
    """What JSON's readers would round stays exact as text."""
    if isinstance(one, bytes):
        return one.decode()
    return str(one) if isinstance(one, int) and abs(one) > 2**53 else one


def shown(answer):
    tensors = {}
    for output in answer.outputs:
        array = output.as_numpy()
        flat = [written(one) for one in array.reshape(-1).tolist()]
        tensors[output.name] = {"dtype": str(array.dtype), "shape": list(array.shape), "data": flat}
    return {"model": answer.model_name, "outputs": tensors}


async def failure(call):
    try:
        await call
    except Exception as error:
        return {"kind": type(error).__name__, "message": str(error).split(" for url ")[0]}
    return None


async def version1(config):
    async with InferenceRESTClient(config) as client:
        return {
            "ready": await client.is_model_ready(URL, "health_assessment"),
            "predict": await client.infer(
                URL, {"instances": [PERSON, PERSON]}, model_name="health_assessment"
            ),
            "no model": await failure(client.infer(URL, {"instances": [1]}, model_name="nobody")),
            "no input": await failure(
                client.infer(URL, {"instances": [{"z": 1}]}, model_name="health_assessment")
            ),
        }


async def live1(config):
    async with InferenceRESTClient(config) as client:
        return await client.is_server_live(URL)


async def version2(config):
    async with InferenceRESTClient(config) as client:

        async def infer(model, array, datatype, binary):
            given = request(model, array, datatype, binary)
            return shown(await client.infer(URL, given, model_name=model))

        return {
            "live": await client.is_server_live(URL),
            "server ready": await client.is_server_ready(URL),
            "ready": await client.is_model_ready(URL, "floats"),
            "nobody ready": await client.is_model_ready(URL, "nobody"),
            "binary floats": await infer("floats", FLOATS, "FP32", True),
            "floats": await infer("floats", FLOATS, "FP32", False),
            "binary longs": await infer("longs", LONGS, "INT64", True),
            "longs": await infer("longs", LONGS, "INT64", False),
            "binary texts": await infer("texts", TEXTS, "BYTES", True),
            "texts": await infer("texts", TEXTS, "BYTES", False),
            "wrong type": await failure(infer("floats", LONGS, "INT64", False)),
        }


async def over_grpc(at):
    async with InferenceGRPCClient(at) as client:

        async def infer(model, array, datatype):
            return shown(await client.infer(request(model, array, datatype, True), timeout=60))

        return {
            "live": await client.is_server_live(),
            "server ready": await client.is_server_ready(),
            "ready": await client.is_model_ready("floats"),
            "binary floats": await infer("floats", FLOATS, "FP32"),
            "binary longs": await infer("longs", LONGS, "INT64"),
            "binary texts": await infer("texts", TEXTS, "BYTES"),
            "typed": shown(await client.infer(request("floats", FLOATS, "FP32", False))),
        }


async def main():
    parts = {
        "v1": await version1(RESTConfig(protocol="v1")),
        "v2": await version2(RESTConfig(protocol="v2")),
    }
    if len(sys.argv) > 2:
        parts["v1 live"] = await live1(RESTConfig(protocol="v1"))
        parts["grpc"] = await over_grpc(sys.argv[2])
    print(json.dumps(parts))


asyncio.run(main())
