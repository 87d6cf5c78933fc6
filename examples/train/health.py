"""health_assessment: measurements → risk, from the diabetes data set of scikit-learn."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from graph import FLOAT, STRING, Graph, steady

VERSION = "v2.0.0"
RISKS = ["low", "moderate", "high"]
SPLIT = {"test_size": 0.3, "random_state": 200}
# Graph input → column of the data set, in the set's own units.
MEASUREMENTS = {
    "patient_info.age": "age",
    "measurements.bmi": "bmi",
    "measurements.blood_pressure": "bp",
    "measurements.total_cholesterol": "s1",
    "measurements.ldl": "s2",
    "measurements.hdl": "s3",
    "measurements.triglycerides": "s5",
    "measurements.glucose": "s6",
}
# The set holds the logarithm of this one; people know the measurement itself.
LOGARITHM = "measurements.triglycerides"
# An answer made of nothing but medians would say nothing of the patient.
REQUIRED = "measurements.bmi"


def data():
    """Features float [442, 8] in the order of MEASUREMENTS, and progression after a year [442]."""
    table = load_diabetes(scaled=False)
    columns = [table.feature_names.index(column) for column in MEASUREMENTS.values()]
    return table.data[:, columns].astype(np.float32), table.target


def split():
    """Training and held-out features and risks. The borders of the risks are training tertiles."""
    values, progression = data()
    rows = np.arange(len(values))
    coarse = np.digitize(progression, np.quantile(progression, [1 / 3, 2 / 3]))
    train, held_out = train_test_split(rows, stratify=coarse, **SPLIT)
    borders = np.quantile(progression[train], [1 / 3, 2 / 3])
    risks = np.digitize(progression, borders)
    return values[train], risks[train], values[held_out], risks[held_out], borders


def pipeline():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5_000, tol=1e-8))


def fit():
    values, risks, *_ = split()
    model = pipeline().fit(values, risks)
    scaler = model[0]
    scaler.mean_, scaler.scale_ = np.round(scaler.mean_, 4), np.round(scaler.scale_, 4)
    steady(model[1])
    return model


def measure(model):
    values, risks, held_out, truth, borders = split()
    chances = model.predict_proba(held_out)
    folds = StratifiedKFold(10, shuffle=True, random_state=SPLIT["random_state"])
    crossed = cross_val_score(pipeline(), values, risks, cv=folds)
    return {
        "borders_of_progression": [round(float(border), 1) for border in borders],
        "training": len(values),
        "held_out": len(truth),
        "accuracy": round(float(accuracy_score(truth, chances.argmax(axis=1))), 4),
        "accuracy_of_the_commonest_class": round(float(np.bincount(truth).max() / len(truth)), 4),
        "accuracy_cross_validated": round(float(crossed.mean()), 4),
        "accuracy_cross_validated_deviation": round(float(crossed.std()), 4),
        "log_loss": round(float(log_loss(truth, chances)), 4),
        "auc_of_high": round(float(roc_auc_score(truth == RISKS.index("high"), chances[:, 2])), 4),
        "confusion": [
            [int(np.sum((truth == a) & (chances.argmax(axis=1) == b))) for b in range(len(RISKS))]
            for a in range(len(RISKS))
        ],
    }


def plain(values):
    """The features as people give them: the logarithm undone."""
    given = values.astype(np.float64).copy()
    place = list(MEASUREMENTS).index(LOGARITHM)
    given[:, place] = np.exp(given[:, place])
    return given


def read_measurement(graph, name, lowest, highest, median):
    """The feature float [batch, 1] held in the training range, and `name` where it was not."""
    value = graph.input(name, FLOAT, ["batch", 1])
    number = graph.number_or(value, median, f"{name}_number")
    low = graph.constant(f"{name}_lowest", np.float32(lowest))
    high = graph.constant(f"{name}_highest", np.float32(highest))
    held = graph.op("Clip", [number, low, high], f"{name}_held")
    within = graph.op("Equal", [value, held], f"{name}_within")
    word = graph.constant(f"{name}_word", np.array(name, dtype=object))
    blank = graph.constant(f"{name}_blank", np.array("", dtype=object))
    outside = graph.op("Where", [within, blank, word], f"{name}_outside")
    if name == LOGARITHM:
        held = graph.op("Log", [held], f"{name}_logarithm")
    return held, outside


def write(model, path):
    graph = Graph("health_assessment")
    given = plain(split()[0])
    # Outwards to whole numbers, so that no training patient is outside.
    lowest, highest = np.floor(given.min(axis=0)), np.ceil(given.max(axis=0))
    medians = np.round(np.median(given, axis=0), 1)
    read = [
        read_measurement(graph, name, lowest[i], highest[i], medians[i])
        for i, name in enumerate(MEASUREMENTS)
    ]
    row = graph.op("Concat", [held for held, _ in read], "features", axis=1)
    outside = graph.op("Concat", [word for _, word in read], "outside", axis=1)
    label, chances = graph.classifier(model, row, len(MEASUREMENTS), "risk_")
    named = graph.op("Gather", [graph.constant("names", RISKS), label], "named")
    confidence = graph.op("ReduceMax", [chances], "highest", axes=[1], keepdims=0)
    graph.output("label", named, STRING, ["batch"])
    graph.output("confidence", confidence, FLOAT, ["batch"])
    graph.output("probabilities", chances, FLOAT, ["batch", len(RISKS)])
    graph.output("out_of_range", outside, STRING, ["batch", len(MEASUREMENTS)])
    metadata = {
        f"default.{name}": float(medians[i])
        for i, name in enumerate(MEASUREMENTS)
        if name != REQUIRED
    }
    description = "Measurements → risk of progression. A demonstration, not medical advice."
    graph.save(path, VERSION, description, {**metadata, "classes.probabilities": RISKS})
