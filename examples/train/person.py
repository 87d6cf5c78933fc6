"""The part of a graph that reads the patient: age in years and gender as people write it."""

import numpy as np

from graph import FLOAT, STRING
from patients import DEFAULT_AGE, DEFAULT_GENDER, GENDERS, OLDEST, UNKNOWN_GENDER

DEFAULTS = {
    "default.patient_info.age": DEFAULT_AGE,
    "default.patient_info.gender": DEFAULT_GENDER,
}


def read_age(graph):
    """Float [batch, 1], years, held between 0 and the oldest; not a number: the default."""
    age = graph.input("patient_info.age", FLOAT, ["batch", 1])
    lowest = graph.constant("age_lowest", np.float32(0))
    highest = graph.constant("age_highest", np.float32(OLDEST))
    given = graph.number_or(age, DEFAULT_AGE, "age_given")
    return graph.op("Clip", [given, lowest, highest], "age")


def read_gender(graph):
    """Float [batch, 2]: female, male; both 0 for anything else."""
    gender = graph.input("patient_info.gender", STRING, ["batch", 1])
    number = graph.encode(gender, GENDERS, UNKNOWN_GENDER, "gender_number")
    rows = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.float32)
    column = graph.op(
        "Gather", [graph.constant("gender_rows", rows), number], "gender_gathered", axis=0
    )
    return graph.op("Squeeze", [column, graph.constant("gender_axis", np.array([1]))], "gender")


def ramp(graph, age, start, width, name):
    """Float [batch, 1] from 0 at `start` years to 1 at `start + width` (width may be negative)."""
    moved = graph.op(
        "Sub", [age, graph.constant(f"{name}_start", np.float32(start))], f"{name}_moved"
    )
    scaled = graph.op(
        "Div", [moved, graph.constant(f"{name}_width", np.float32(width))], f"{name}_scaled"
    )
    zero = graph.constant(f"{name}_zero", np.float32(0))
    one = graph.constant(f"{name}_one", np.float32(1))
    return graph.op("Clip", [scaled, zero, one], name)
