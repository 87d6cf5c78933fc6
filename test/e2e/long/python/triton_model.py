"""A model of Triton's python backend: y = 2 x + 1. Every call takes its time, and more from -1000 on."""

import os
import time

import numpy as np
import triton_python_backend_utils as utils

DELAY_SECONDS = float(os.environ.get("DELAY_SECONDS", "0"))


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [-1, 2]})
        return config

    def execute(self, requests):
        time.sleep(DELAY_SECONDS)
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if x.flat[0] == -1000:
                time.sleep(2)
            y = utils.Tensor("y", (2 * x + 1).astype(np.float32))
            answers.append(utils.InferenceResponse(output_tensors=[y]))
        return answers
