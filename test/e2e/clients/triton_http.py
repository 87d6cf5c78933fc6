"""Calls a server with Triton's HTTP client and prints what came, as JSON.

usage: triton_http.py HOST:PORT [--router]
"""

import json
import sys

import numpy as np
import tritonclient.http as triton

AT = sys.argv[1]
ROUTER = "--router" in sys.argv
# Behind the router there is a server that packs its answers, too.
PACKED = "packed" if ROUTER else "floats"
TEXTS = np.array([["头痛", "", "a\"b\\c", "x" * 300]], dtype=object)
NO_TEXT = np.array([[b"\x00\xff", b"\n"]], dtype=object)
LONGS = np.array([[2**63 - 1, -(2**63), 0]], dtype=np.int64)
FLOATS = np.array([[0.1, 1e-30, -3.5, 2.0], [1, 2, 3, 4]], dtype=np.float32)


def given(name, array, datatype, binary=True):
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def written(one):
    """What JSON's readers would round stays exact as text."""
    if isinstance(one, bytes):
        return one.decode()
    return str(one) if isinstance(one, int) and abs(one) > 2**53 else one


def shown(array):
    if array is None:
        return None
    flat = [written(one) for one in array.reshape(-1).tolist()]
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": flat}


def outputs_of(result):
    names = [output["name"] for output in result.get_response()["outputs"]]
    return {name: shown(result.as_numpy(name)) for name in names}


def infer(client, model, inputs, **more):
    return outputs_of(client.infer(model, inputs, **more))


def failure(call):
    try:
        call()
    except triton.InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return None


def wanted(*names, binary=True):
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def tensors(client):
    floats = [given("x", FLOATS, "FP32")]
    return {
        "texts": infer(client, "texts", [given("x", TEXTS, "BYTES")]),
        "texts in json": infer(client, "texts", [given("x", TEXTS, "BYTES", False)]),
        "longs": infer(client, "longs", [given("x", LONGS, "INT64")]),
        "floats": infer(client, "floats", floats),
        "floats in json": infer(client, "floats", [given("x", FLOATS, "FP32", False)]),
        "one output": infer(client, "floats", floats, outputs=wanted("best")),
        "outputs in json": infer(client, "floats", floats, outputs=wanted("y", binary=False)),
        "both kinds": infer(
            client, "floats", floats, outputs=wanted("y") + wanted("best", binary=False)
        ),
        "deflate": infer(client, "floats", floats, request_compression_algorithm="deflate"),
        "id": client.infer("floats", floats, request_id="call-7").get_response()["id"],
    }


def compressed(client):
    floats = [given("x", np.repeat(FLOATS, 200, axis=0), "FP32")]
    ways = [("gzip", None), (None, "gzip"), ("gzip", "gzip")]
    return {
        f"{there} there, {back} back": infer(
            client,
            PACKED,
            floats,
            request_compression_algorithm=there,
            response_compression_algorithm=back,
        )
        for there, back in ways
    }


def at_once(client):
    every = [np.full((1, 3), number, dtype=np.int64) for number in range(8)]
    pending = [client.async_infer("longs", [given("x", one, "INT64")]) for one in every]
    return [outputs_of(one.get_result()) for one in pending]


def failures(client):
    floats = [given("x", FLOATS, "FP32")]
    return {
        "no model": failure(lambda: client.infer("nobody", floats)),
        "no metadata": failure(lambda: client.get_model_metadata("nobody")),
        "no text": failure(lambda: client.infer("texts", [given("x", NO_TEXT, "BYTES")])),
        "wrong name": failure(lambda: client.infer("floats", [given("z", FLOATS, "FP32")])),
        "wrong type": failure(lambda: client.infer("floats", [given("x", LONGS, "INT64")])),
        "wrong shape": failure(lambda: client.infer("floats", [given("x", FLOATS[:, :2], "FP32")])),
        "no output": failure(lambda: client.infer("floats", floats, outputs=wanted("z"))),
    }


def about(client):
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("floats"),
        "nobody ready": client.is_model_ready("nobody"),
        "metadata": client.get_model_metadata("floats"),
        "version": client.get_model_metadata("floats", "v2.0.0")["name"],
    }


def index(client):
    return {
        "server": client.get_server_metadata(),
        "models": client.get_model_repository_index(),
    }


def main():
    with triton.InferenceServerClient(AT, concurrency=4) as client:
        parts = {
            "tensors": tensors,
            "compressed": compressed,
            "at once": at_once,
            "failures": failures,
            "about": about,
        }
        if ROUTER:
            parts["index"] = index
        print(json.dumps({name: part(client) for name, part in parts.items()}))


main()
