"""A model of Triton's python backend: y = 2 x + 1. A row that begins with -1000 takes its time."""

import time

import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [-1, 2]})
        return config

    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if x[0][0] == -1000:
                time.sleep(2)
            y = utils.Tensor("y", (2 * x + 1).astype(np.float32))
            answers.append(utils.InferenceResponse(output_tensors=[y]))
        return answers
