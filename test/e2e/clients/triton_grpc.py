"""Calls a server with Triton's gRPC client and prints what came, as JSON.

usage: triton_grpc.py HOST:PORT
"""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton

TEXTS = np.array([["头痛", "", "x" * 300]], dtype=object)
LONGS = np.array([[2**63 - 1, -(2**63), 0]], dtype=np.int64)
FLOATS = np.array([[0.1, 1e-30, -3.5, 2.0], [1, 2, 3, 4]], dtype=np.float32)
LARGE = np.arange(3 * 400_000, dtype=np.int64).reshape(-1, 3)


def given(array, datatype):
    one = triton.InferInput("x", list(array.shape), datatype)
    one.set_data_from_numpy(array)
    return one


def written(one):
    """What JSON's readers would round stays exact as text."""
    if isinstance(one, bytes):
        return one.decode()
    return str(one) if isinstance(one, int) and abs(one) > 2**53 else one


def shown(array):
    flat = [written(one) for one in array.reshape(-1).tolist()]
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": flat}


def outputs_of(result):
    names = [output.name for output in result.get_response().outputs]
    return {name: shown(result.as_numpy(name)) for name in names}


def infer(client, model, array, datatype, **more):
    return outputs_of(client.infer(model, [given(array, datatype)], **more))


def failure(call):
    try:
        call()
    except triton.InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return None


def tensors(client):
    best = [triton.InferRequestedOutput("best")]
    answer = client.infer("floats", [given(FLOATS, "FP32")], request_id="call-7")
    return {
        "texts": infer(client, "texts", TEXTS, "BYTES"),
        "longs": infer(client, "longs", LONGS, "INT64"),
        "floats": infer(client, "floats", FLOATS, "FP32"),
        "one output": infer(client, "floats", FLOATS, "FP32", outputs=best),
        "id": answer.get_response().id,
        "gzip": infer(client, "longs", LONGS, "INT64", compression_algorithm="gzip"),
        "version": infer(client, "longs", LONGS, "INT64", model_version="v2.0.0"),
        "in time": infer(client, "longs", LONGS, "INT64", client_timeout=60),
    }


def large(client):
    """Above the 4 MiB that clients take unless they are told otherwise; Triton's takes all."""
    answer = client.infer("longs", [given(LARGE, "INT64")]).as_numpy("y")
    return bool(np.array_equal(answer, LARGE))


def at_once(client):
    done = queue.Queue()
    tell = lambda result, error: done.put((result, error))
    for number in range(8):
        one = np.full((1, 3), number, dtype=np.int64)
        client.async_infer("longs", [given(one, "INT64")], tell)
    answers = [done.get(timeout=120) for _ in range(8)]
    assert all(error is None for _, error in answers), answers
    return sorted(result.as_numpy("y").reshape(-1).tolist() for result, _ in answers)


def failures(client):
    floats = [given(FLOATS, "FP32")]
    return {
        "no model": failure(lambda: client.infer("nobody", floats)),
        "wrong type": failure(lambda: client.infer("floats", [given(LONGS, "INT64")])),
        "no time": failure(
            lambda: client.infer("packed", floats, request_id="never", client_timeout=1)
        ),
        "no such call": failure(lambda: client.get_inference_statistics("floats")),
    }


def about(client):
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("floats"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata("floats", as_json=True),
        "index": client.get_model_repository_index(as_json=True),
    }


def main():
    with triton.InferenceServerClient(sys.argv[1]) as client:
        parts = {
            "tensors": tensors,
            "large": large,
            "at once": at_once,
            "failures": failures,
            "about": about,
        }
        print(json.dumps({name: part(client) for name, part in parts.items()}))


main()
