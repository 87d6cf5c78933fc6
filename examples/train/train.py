"""Makes the models of models/: the same bytes at every run. See README.md."""

import hashlib
import json
from pathlib import Path

import diagnosis
import health
import therapy

HERE = Path(__file__).parent
MODELS = HERE.parent.parent / "models"


def versions(room, name):
    """Fits and writes every version of a model; gives its metrics by version."""
    metrics = {}
    for version in room.VERSIONS:
        model = room.fit(version)
        room.write(model, version, MODELS / f"{name}-{version}.onnx")
        metrics[version] = room.measure(model)
    return metrics


def assess(name):
    model = health.fit()
    health.write(model, MODELS / f"{name}-{health.VERSION}.onnx")
    return {health.VERSION: health.measure(model)}


def main():
    metrics = {
        "deep_tcm_diagnosis": versions(diagnosis, "deep_tcm_diagnosis"),
        "personalized_treatment": versions(therapy, "personalized_treatment"),
        "health_assessment": assess("health_assessment"),
    }
    text = json.dumps(metrics, indent=2) + "\n"
    (HERE / "metrics.json").write_text(text, encoding="utf-8")
    files = sorted(
        MODELS / f"{name}-{version}.onnx" for name in metrics for version in metrics[name]
    )
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  models/{path.name}\n" for path in files
    ]
    (HERE / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print(text, "".join(sums), sep="\n")


if __name__ == "__main__":
    main()
