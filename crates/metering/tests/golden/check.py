#!/usr/bin/env python3
"""Works out the golden vectors from the books, with nothing but Python's standard library.

Prices, quantities and sums are fractions; only what is compared with the table is rounded. It shares
no code with the rating that it checks: both read the same books and the same tables.

  check.py          compares, and says what differs
  check.py --print  prints what each row of costs.csv costs
"""

import csv
import sys
import tomllib
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

HERE = Path(__file__).parent
ACI = {"Pulling", "Starting", "Init", "Running", "BackOff", "Terminating"}
STATES = {
    "aci": ACI,
    "fal": ACI - {"Pulling"},
    "autopilot": ACI - {"Pulling", "Starting"},
    "running": {"Init", "Running", "Terminating"},
}
# States, nanoseconds of a step of time, seconds at least, steps of cpu and memory.
PROFILES = {
    "exact": ("aci", 1, 0, 1, 1),
    "aci": ("aci", 10**9, 0, 10, 10**8),
    "fargate": ("aci", 10**9, 60, 1, 1),
    "autopilot": ("autopilot", 10**9, 0, 1, 1),
    "running": ("running", 1, 0, 1, 1),
}
AMOUNTS = {"Core": 1000, "GB": 10**9, "GiB": 2**30, "Device": 1, "Port": 1}
SPANS = {"Second": 1, "Minute": 60, "Hour": 3600, "Day": 86400, "30Days": 2592000, "730Hours": 2628000}
METERS = {"cpu": "cpu", "memory": "memory", "ephemeral_storage": "ephemeral", "gpu": "gpus",
          "port": "ports", "volume": "volume"}


def unit(text):
    amount, _, span = text.rpartition("-")
    return AMOUNTS.get(amount, 1), SPANS[span]


class Book:
    def __init__(self, name):
        raw = tomllib.loads((HERE / "books" / f"{name}.toml").read_text())
        profile = raw.get("profile", {})
        states, quantum, minimum, cpu, memory = PROFILES[profile.get("name", "exact")]
        self.states = STATES[profile.get("states", states)]
        self.quantum = profile.get("quantum_ns", quantum)
        self.minimum = profile.get("minimum_seconds", minimum) * 10**9
        self.steps = cpu, memory
        self.round = {"ceil": ceil, "floor": floor}[raw.get("memory", {}).get("rounding", "ceil")]
        self.sizes = raw.get("sizes")
        self.skus = {sku["id"]: dict(sku) for sku in raw["sku"]}
        for sku in self.skus.values():
            sku["price"] = Fraction(sku.get("price", 0))
        for sku in self.skus.values():
            if base := self.skus.get(sku.get("base")):
                merged = {**base, **sku, "price": base["price"] * Fraction(sku["factor"])}
                merged["match"] = {**base.get("match", {}), **sku["match"]}
                sku.update(merged)

    def billed(self, cpu, memory):
        if self.sizes:
            gb = AMOUNTS[self.sizes["unit"]]
            need = memory + Fraction(self.sizes["overhead_memory"]) * gb
            for size in self.sizes["size"]:
                least, most, step = (Fraction(size[f"memory_{key}"]) * gb for key in ("min", "max", "step"))
                fitting = least + max(0, ceil((need - least) / step)) * step
                if Fraction(size["cpu"]) * 1000 >= cpu and fitting <= most:
                    cpu, memory = Fraction(size["cpu"]) * 1000, fitting
                    break
        return (ceil(Fraction(cpu, self.steps[0])) * self.steps[0],
                self.round(Fraction(memory, self.steps[1])) * self.steps[1])

    def time(self, elapsed):
        return max(ceil(Fraction(elapsed, self.quantum)) * self.quantum, self.minimum) if elapsed else 0

    def fitting(self, attributes):
        lines = {}
        for sku in self.skus.values():
            match = sku.get("match", {})
            if all(attributes.get(key) == value for key, value in match.items()):
                line = sku.get("line", sku["meter"])
                if line not in lines or len(match) > len(lines[line].get("match", {})):
                    lines[line] = sku
        return lines.values()

    def cost(self, attributes, amounts, time):
        cpu, memory = self.billed(amounts.get("cpu", 0), amounts.get("memory", 0))
        amounts = {**amounts, "cpu": cpu, "memory": memory}
        total = Fraction(0)
        for sku in self.fitting(attributes):
            parts, span = unit(sku["unit"])
            held = 1 if sku["meter"] == "group" else amounts.get(METERS[sku["meter"]], 0)
            free = Fraction(sku.get("included", 0)) * parts
            total += max(0, held - free) * time * sku["price"] / (parts * span * 10**9)
        return total


def pairs(text, sign):
    return dict(pair.split(sign) for pair in text.split())


def sessions(text):
    for session in text.split("|"):
        steps = (step.split(":") for step in session.split())
        yield [(state, int(Fraction(length) * 10**9)) for state, length in steps]


def billed_until(book, session, end):
    """What is billed of a session up to a moment after its start."""
    elapsed = at = 0
    for state, length in session:
        if state in book.states:
            elapsed += max(0, min(length, end - at))
        at += length
    return book.time(elapsed)


def shown(number, digits=18):
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(number.numerator) / Decimal(number.denominator)
        return f"{exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN):f}"


def rows(name):
    with open(HERE / name, newline="") as file:
        yield from csv.DictReader(file)


def main():
    wrong = []

    def same(what, found, expected):
        if found != expected:
            wrong.append(f"{what}: worked out {found}, the table has {expected}")

    for row in rows("costs.csv"):
        book = Book(row["book"])
        amounts = {key: int(value) for key, value in pairs(row["amounts"], "=").items()}
        repeat = int(row["repeat"])
        times = [billed_until(book, s, sum(n for _, n in s)) for s in sessions(row["sessions"])]
        cost = sum(book.cost(pairs(row["attributes"], "="), amounts, time) for time in times) * repeat
        if sys.argv[1:] == ["--print"]:
            print(row["id"], shown(cost).rstrip("0").rstrip("."), sep=",")
            continue
        same(f"{row['id']} seconds", Fraction(sum(times) * repeat, 10**9), Fraction(row["seconds"]))
        same(f"{row['id']} cost", shown(cost), shown(Fraction(row["cost"] or 0)))
    for row in rows("amounts.csv"):
        found = Book(row["book"]).billed(int(row["cpu"]), int(row["memory"]))
        same(f"{row['id']} amounts", found, (int(row["billed_cpu"]), int(row["billed_memory"])))
    for row in rows("windows.csv"):
        book, [session] = Book(row["book"]), list(sessions(row["sessions"]))
        ends = [int(Fraction(cut) * 10**9) for cut in row["cuts"].split()]
        ends = [0, *ends, sum(length for _, length in session)]
        found = [billed_until(book, session, end) for end in ends]
        found = [Fraction(b - a, 10**9) for a, b in zip(found, found[1:])]
        same(f"{row['id']} windows", found, [Fraction(text) for text in row["seconds"].split()])
    print("\n".join(wrong) or "the golden vectors are what the books say")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
