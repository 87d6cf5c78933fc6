"""personalized_treatment: syndrome and patient → ranked treatment principles."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from graph import BOOL, FLOAT, STRING, Graph, steady
from patients import prescriptions, principles, table
from person import DEFAULTS, ramp, read_age, read_gender

VERSIONS = {
    "v1.1.0": {"prescriptions": 12_000, "seed": 110, "C": 0.5},
    "v1.2.0": {"prescriptions": 40_000, "seed": 120, "C": 1.0},
}
HELD_OUT = {"prescriptions": 8_000, "seed": 199}
# Principles in an answer; a textbook prescription follows three to five.
RANKED = 5


def names():
    """Syndrome → number; the Chinese and the English name mean the same."""
    known = {}
    for number, syndrome in enumerate(table("syndromes")["syndromes"]):
        known[syndrome["name"]] = known[syndrome["english"]] = number
    return known


def features(syndrome, person):
    count = len(table("treatment")["syndromes"])
    return np.hstack([np.eye(count, dtype=np.float32)[syndrome], person])


def fit(version):
    settings = VERSIONS[version]
    syndrome, person, followed, _ = prescriptions(settings["prescriptions"], settings["seed"])
    one = LogisticRegression(C=settings["C"], max_iter=5_000, tol=1e-8)
    model = OneVsRestClassifier(one).fit(features(syndrome, person), followed)
    for estimator in model.estimators_:
        steady(estimator)
    return model


def measure(model):
    """Held-out scores, rounded: are the ranked principles those that were prescribed?"""
    syndrome, person, followed, chance = prescriptions(HELD_OUT["prescriptions"], HELD_OUT["seed"])
    scores = model.predict_proba(features(syndrome, person))
    ranked = np.argsort(-scores, axis=1)
    ideal = np.argsort(-chance, axis=1)
    hits = np.take_along_axis(followed, ranked, axis=1)
    best = np.take_along_axis(followed, ideal, axis=1)
    return {
        "prescriptions": HELD_OUT["prescriptions"],
        "precision_at_1": round(float(hits[:, 0].mean()), 4),
        "precision_at_3": round(float(hits[:, :3].mean()), 4),
        "precision_at_3_possible": round(float(best[:, :3].mean()), 4),
        "mean_error_of_probability": round(float(np.abs(scores - chance).mean()), 4),
    }


def read_syndrome(graph, count):
    """One-hot float [batch, count] (zeros for an unknown one) and known bool [batch]."""
    syndrome = graph.input("syndrome", STRING, ["batch", 1])
    number = graph.encode(syndrome, names(), count, "syndrome_number")
    rows = np.vstack([np.eye(count), np.zeros((1, count))]).astype(np.float32)
    axis = graph.constant("syndrome_axis", np.array([1]))
    flat = graph.op("Squeeze", [number, axis], "syndrome_flat")
    row = graph.op("Gather", [graph.constant("syndrome_rows", rows), flat], "syndrome_row", axis=0)
    known = graph.op(
        "Less", [flat, graph.constant("syndromes", np.int64(count))], "syndrome_is_known"
    )
    return row, known


def rank(graph, scores, known):
    """The best principles with their scores, best first; '' and 0 for an unknown syndrome."""
    best, places = graph.top(scores, RANKED, "ranked")
    chosen = graph.op("Gather", [graph.constant("names", principles()), places], "chosen")
    column = graph.op(
        "Unsqueeze", [known, graph.constant("column", np.array([1]))], "known_column"
    )
    blank = graph.constant("blank", np.array("", dtype=object))
    nothing = graph.constant("nothing", np.float32(0))
    return (
        graph.op("Where", [column, chosen, blank], "principles_chosen"),
        graph.op("Where", [column, best, nothing], "scores_chosen"),
    )


def write(model, version, path):
    graph, count = Graph("personalized_treatment"), len(table("treatment")["syndromes"])
    row, known = read_syndrome(graph, count)
    age, gender = read_age(graph), read_gender(graph)
    elderly, child = ramp(graph, age, 50, 25, "elderly"), ramp(graph, age, 14, -10, "child")
    female = graph.op(
        "Gather", [gender, graph.constant("female_column", np.array([0]))], "female", axis=1
    )
    joined = graph.op("Concat", [row, elderly, child, female], "features", axis=1)
    _, chances = graph.classifier(model, joined, count + 3, "principle_")
    ranked, scores = rank(graph, chances, known)
    confidence = graph.op("ReduceMax", [scores], "highest", axes=[1], keepdims=0)
    graph.output("principles", ranked, STRING, ["batch", RANKED])
    graph.output("scores", scores, FLOAT, ["batch", RANKED])
    graph.output("confidence", confidence, FLOAT, ["batch"])
    graph.output("known_syndrome", known, BOOL, ["batch"])
    description = "Syndrome and patient → principles. A demonstration, not medical advice."
    graph.save(path, version, description, DEFAULTS)
