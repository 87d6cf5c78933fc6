"""Asks every model what Python's ONNX Runtime answers, and writes it for the tests to compare.

Writes test/onnx/reference/<model>-<version>.json: a list of `{name, inputs, outputs}`.
"""

from pathlib import Path

import numpy as np
import onnxruntime

import diagnosis
import health
import layout
import therapy
from patients import table, words

HERE = Path(__file__).parent
MODELS = HERE.parent.parent / "models"
REFERENCE = HERE.parent.parent / "test" / "onnx" / "reference"

SEED, RANDOM_CASES = 17, 16


def strings(rows):
    return np.array(rows, dtype=object)


def column(values):
    return np.array(values, dtype=np.float32).reshape(-1, 1)


def complaint(rows, ages, genders):
    return {
        "symptoms": strings(rows).reshape(len(rows), -1),
        "patient_info.age": column(ages),
        "patient_info.gender": strings([[gender] for gender in genders]),
    }


def diagnoses(version):
    """Name → feeds. The first is the request the product's documentation shows."""
    random = np.random.default_rng(SEED)
    yield "headache, fatigue, no appetite", complaint(
        [["头痛", "乏力", "食欲不振"]], [35], ["female"]
    )
    yield "one word is unknown", complaint([["头痛", "量子纠缠", "乏力"]], [35], ["female"])
    yield "no word is known", complaint([["xyz", "头 痛"]], [35], ["male"])
    yield "no symptom at all", complaint([[]], [35], ["male"])
    yield "a symptom said twice", complaint([["咳嗽", "咳嗽", "气喘"]], [61], ["男"])
    yield "English words", complaint([["headache", "fatigue"]], [20], ["F"])
    yield "words of the later version", complaint([["疲倦", "怕冷", "眼花"]], [70], ["女"])
    yield "ages beyond all people", complaint([["失眠"], ["失眠"]], [-3, 400], ["", "其他"])
    yield "a batch with padding", complaint(
        [["咽痛", "发热", "咳嗽"], ["便溏", "", ""], ["", "", ""]], [8, 40, 80], ["f", "m", "?"]
    )
    known = list(words(diagnosis.VERSIONS[version]["extended"]))
    for case in range(RANDOM_CASES):
        rows, width = int(random.integers(1, 4)), int(random.integers(1, 9))
        picked = random.choice(known, size=(rows, width))
        ages = random.integers(0, 100, size=rows)
        genders = random.choice(["male", "female", "unknown"], size=rows)
        yield f"random {case + 1}", complaint(picked, ages, genders)


def treatments(_version):
    def feeds(names, ages, genders):
        return {
            "syndrome": strings([[name] for name in names]),
            "patient_info.age": column(ages),
            "patient_info.gender": strings([[gender] for gender in genders]),
        }

    syndromes = table("syndromes")["syndromes"]
    for place, syndrome in enumerate(syndromes):
        age, gender = 4 + 3.5 * place, ["female", "male", "unknown"][place % 3]
        yield syndrome["english"], feeds([syndrome["name"]], [age], [gender])
    yield "by its English name", feeds([syndromes[0]["english"]], [45], ["unknown"])
    yield "an unknown syndrome", feeds(["不存在证"], [45], ["female"])
    yield "what a diagnosis without symptoms gives", feeds([diagnosis.UNDECIDED], [45], ["male"])
    some = [syndromes[place]["name"] for place in (3, 9, 20)]
    yield "a batch", feeds([*some, "?"], [3, 33, 77, 50], ["男", "女", "", "male"])


def assessments(_version):
    def feeds(rows):
        return {
            name: column(rows[:, place]) for place, name in enumerate(health.MEASUREMENTS)
        }

    rows = np.round(health.plain(health.split()[2]), 1).astype(np.float32)
    for place in range(RANDOM_CASES + 4):
        yield f"held-out patient {place + 1}", feeds(rows[place : place + 1])
    yield "a batch of thirty", feeds(rows[30:60])
    yield "nothing is measured right", feeds(np.zeros((1, rows.shape[1]), dtype=np.float32))
    yield "everything is far too high", feeds(np.full((1, rows.shape[1]), 1e6, dtype=np.float32))
    yield "not a number", feeds(np.full((1, rows.shape[1]), np.nan, dtype=np.float32))


def main():
    REFERENCE.mkdir(parents=True, exist_ok=True)
    rooms = [
        ("deep_tcm_diagnosis", diagnosis.VERSIONS, diagnoses),
        ("personalized_treatment", therapy.VERSIONS, treatments),
        ("health_assessment", [health.VERSION], assessments),
    ]
    for name, versions, requests in rooms:
        for version in versions:
            session = onnxruntime.InferenceSession(MODELS / f"{name}-{version}.onnx")
            cases = [
                {"name": case, **layout.run(session, feeds)} for case, feeds in requests(version)
            ]
            layout.write(REFERENCE / f"{name}-{version}.json", cases)
            print(f"{name} {version}: {len(cases)} requests")


if __name__ == "__main__":
    main()
