"""deep_tcm_diagnosis: symptoms and patient → syndrome with probabilities."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from graph import FLOAT, STRING, Graph, steady
from patients import OLDEST, patients, table, vocabulary, words
from person import DEFAULTS, read_age, read_gender

# The two versions differ in how much they have seen and in the words they know.
VERSIONS = {
    "v3.0.1": {"patients": 6_000, "seed": 301, "C": 0.5, "extended": False},
    "v3.0.2": {"patients": 24_000, "seed": 302, "C": 1.0, "extended": True},
}
HELD_OUT = {"patients": 8_000, "seed": 399}
# The answer when no symptom is understood: age and gender alone are no ground for a diagnosis.
UNDECIDED = "证候不明"


def features(people):
    gender = np.eye(3, dtype=np.float32)[people.gender][:, :2]
    age = (people.age / OLDEST).astype(np.float32)[:, None]
    return np.hstack([people.signs, age, gender])


def fit(version):
    settings = VERSIONS[version]
    people = patients(settings["patients"], settings["seed"])
    model = LogisticRegression(C=settings["C"], max_iter=5_000, tol=1e-8)
    return steady(model.fit(features(people), people.truth))


def measure(model):
    """Held-out scores, rounded: whole examinations apart from short complaints."""
    people = patients(HELD_OUT["patients"], HELD_OUT["seed"])
    chances = model.predict_proba(features(people))
    ranked = np.argsort(-chances, axis=1)
    scores = {}
    for name, rows in (("examination", ~people.short), ("complaint", people.short)):
        truth = people.truth[rows]
        scores[name] = {
            "patients": int(rows.sum()),
            "accuracy": round(float(np.mean(ranked[rows, 0] == truth)), 4),
            "top3": round(float(np.mean(np.any(ranked[rows, :3] == truth[:, None], axis=1))), 4),
            "log_loss": round(float(log_loss(truth, chances[rows], labels=model.classes_)), 4),
        }
    return scores


def read_symptoms(graph, known):
    """Signs float [batch, symptoms] 0 or 1, and the words that are not known, '' for the others."""
    count = len(vocabulary())
    padding, unknown = count, count + 1
    symptoms = graph.input("symptoms", STRING, ["batch", "symptoms"])
    number = graph.encode(symptoms, {**known, "": padding}, unknown, "symptom_number")
    shape = graph.op("Shape", [symptoms], "batch_size", end=1)
    shape = graph.op(
        "Concat", [shape, graph.constant("columns", np.array([count + 2]))], "table_shape", axis=0
    )
    empty = graph.op("ConstantOfShape", [shape], "empty_table")
    ones = graph.op(
        "Where",
        [
            graph.op("Equal", [number, number], "everywhere"),
            graph.constant("present", np.float32(1)),
            graph.constant("absent", np.float32(0)),
        ],
        "ones",
    )
    # Scattering costs as much as the request is long; a one-hot cube would cost 127 times that.
    marked = graph.op("ScatterElements", [empty, number, ones], "marked", axis=1)
    signs = graph.op(
        "Slice",
        [
            marked,
            graph.constant("first", np.array([0])),
            graph.constant("last", np.array([count])),
            graph.constant("along", np.array([1])),
        ],
        "signs",
    )
    is_unknown = graph.op(
        "Equal", [number, graph.constant("unknown_number", np.int64(unknown))], "is_unknown"
    )
    blank = graph.constant("blank", np.array("", dtype=object))
    return signs, graph.op("Where", [is_unknown, symptoms, blank], "unknown_words")


def decide(graph, signs, label, chances, names):
    """Syndrome, confidence and probabilities; nothing understood gives UNDECIDED and zeros."""
    axis = graph.constant("symptom_axis", np.array([1]))
    found = graph.op("ReduceMax", [signs], "found", axes=[1], keepdims=1)
    weighed = graph.op("Mul", [chances, found], "weighed")
    chosen = graph.op("Gather", [graph.constant("names", names), label], "chosen")
    any_found = graph.op(
        "Greater",
        [
            graph.op("Squeeze", [found, axis], "found_flat"),
            graph.constant("nothing", np.float32(0)),
        ],
        "any_found",
    )
    undecided = graph.constant("undecided", np.array(UNDECIDED, dtype=object))
    syndrome = graph.op("Where", [any_found, chosen, undecided], "decided")
    confidence = graph.op("ReduceMax", [weighed], "highest", axes=[1], keepdims=0)
    return syndrome, confidence, weighed


def write(model, version, path):
    graph = Graph("deep_tcm_diagnosis")
    names = [syndrome["name"] for syndrome in table("syndromes")["syndromes"]]
    signs, unknown = read_symptoms(graph, words(VERSIONS[version]["extended"]))
    age, gender = read_age(graph), read_gender(graph)
    scaled = graph.op(
        "Div", [age, graph.constant("oldest", np.float32(OLDEST))], "age_scaled"
    )
    row = graph.op("Concat", [signs, scaled, gender], "features", axis=1)
    label, chances = graph.classifier(model, row, len(vocabulary()) + 3, "syndrome_")
    syndrome, confidence, weighed = decide(graph, signs, label, chances, names)
    graph.output("syndrome", syndrome, STRING, ["batch"])
    graph.output("confidence", confidence, FLOAT, ["batch"])
    graph.output("probabilities", weighed, FLOAT, ["batch", len(names)])
    graph.output("unknown_symptoms", unknown, STRING, ["batch", "symptoms"])
    metadata = {**DEFAULTS, "padding.symptoms": "", "classes.probabilities": names}
    description = "Symptoms and patient → syndrome. A demonstration, not medical advice."
    graph.save(path, version, description, metadata)
