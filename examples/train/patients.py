"""The textbook tables and the patients simulated from them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

# What a patient who says nothing about themselves is taken for.
DEFAULT_AGE, DEFAULT_GENDER = 45, "unknown"
OLDEST = 120
GENDERS = {
    **dict.fromkeys(["female", "Female", "FEMALE", "f", "F", "女", "女性"], 0),
    **dict.fromkeys(["male", "Male", "MALE", "m", "M", "男", "男性"], 1),
}
UNKNOWN_GENDER = 2

# A complaint as people type it names a few symptoms; an examination finds most of them.
REPORTED, STRAY, SHORT = 0.8, 0.01, 0.5
# A principle the table does not name for a syndrome is still met now and then.
RARE = 0.01


def table(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def vocabulary():
    return table("symptoms")["symptoms"]


def words(extended):
    """Every word for a symptom → the symptom's number. `extended`: the words of v3.0.2 as well."""
    known = {}
    for number, (name, entry) in enumerate(vocabulary().items()):
        added = entry["added"] if extended else []
        for word in [name, entry["english"], *entry["synonyms"], *added]:
            if known.setdefault(word, number) != number:
                raise ValueError(f"symptoms.json: {word} names two symptoms")
    return known


@dataclass
class Patients:
    """`signs` [n, symptoms] 0 or 1, `age` [n] in years, `gender` [n] as in GENDERS, and `truth`."""

    signs: np.ndarray
    age: np.ndarray
    gender: np.ndarray
    truth: np.ndarray
    short: np.ndarray


def patients(count, seed):
    """Simulated patients, every syndrome as often as any other."""
    random = np.random.default_rng(seed)
    syndromes, names = table("syndromes")["syndromes"], list(vocabulary())
    truth = random.integers(len(syndromes), size=count)
    weights = np.array([[s["symptoms"].get(name, 0) for name in names] for s in syndromes])
    shown = random.random((count, len(names)))
    signs = shown < np.maximum(weights[truth] * REPORTED, STRAY)
    short = random.random(count) < SHORT
    order = np.where(signs, random.random(signs.shape), 2.0)
    kept = random.integers(2, 6, size=count)
    ranks = np.argsort(np.argsort(order, axis=1), axis=1)
    signs &= ~short[:, None] | (ranks < kept[:, None])
    middle = np.array([s["age"] for s in syndromes])[truth]
    age = np.clip(np.round(random.normal(middle, 15)), 1, 95)
    female = random.random(count) < np.array([s["female"] for s in syndromes])[truth]
    gender = np.where(random.random(count) < 0.1, UNKNOWN_GENDER, np.where(female, 0, 1))
    return Patients(signs.astype(np.float32), age, gender, truth, short)


def traits(age, gender):
    """`elderly` and `child` as ramps from 0 to 1, `female` 0 or 1. Float [n, 3]."""
    elderly, child = np.clip((age - 50) / 25, 0, 1), np.clip((14 - age) / 10, 0, 1)
    return np.stack([elderly, child, gender == 0], axis=1).astype(np.float32)


def principles():
    return list(table("treatment")["english"])


def prescriptions(count, seed):
    """Simulated prescriptions: syndromes [n], traits [n, 3], followed [n, principles] 0 or 1."""
    random, treatment, names = np.random.default_rng(seed), table("treatment"), principles()
    base = np.array(
        [[row.get(name, RARE) for name in names] for row in treatment["syndromes"].values()]
    )
    effect = np.array(
        [
            [treatment["traits"][trait].get(name, 0) for name in names]
            for trait in ("elderly", "child", "female")
        ]
    )
    syndrome = random.integers(len(base), size=count)
    age, gender = random.integers(3, 95, size=count), random.integers(3, size=count)
    person = traits(age, gender)
    odds = np.log(base / (1 - base))[syndrome] + person @ effect
    chance = 1 / (1 + np.exp(-odds))
    followed = (random.random(chance.shape) < chance).astype(np.int64)
    return syndrome, person, followed, chance


