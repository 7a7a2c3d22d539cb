#!/usr/bin/env python3
"""Fits the weights of `shared/clinical/src/matching/weights.rs`, without any code of Vitrine.

    pip install Metaphone==0.6
    python3 docs/matching_fit.py --febrl FOLDER [--pairs 400000]

FOLDER holds dataset2.csv and dataset3.csv of FEBRL (ANU; synthetic people with duplicates by known errors). Of both,
only people with an even number are read (the training half). m is how often a level is seen in pairs of records of one
person: all such pairs of the half. u is how often it is seen in pairs of two people, drawn at random within each set
with a fixed seed. Both are smoothed by half a count for each level, and u is not let below 0.00001: five thousand
synthetic people cannot show how rarely two real ones share a number. A weight is log2(m/u), and at most that of the
level above it: FEBRL makes more errors than people do, and a name with an error must not say more than the name.

Printed: one row for each field and level, as the table has it: m, u, hundredths of a bit, and how often it was seen.
"""
import argparse, collections, csv, itertools, math, pathlib, random, re
from metaphone import doublemetaphone

FLOOR = 0.00001
PARTICLES = set(
    "van von der den de del della la le les du da do dos das di al el ibn bin bint ter ten zu zur zum af av y e o".split()
)
STREETS = {
    "st": "street", "str": "street", "rd": "road", "ave": "avenue", "av": "avenue", "cres": "crescent", "ct": "court",
    "crt": "court", "pl": "place", "dr": "drive", "ln": "lane", "cct": "circuit", "blvd": "boulevard", "tce": "terrace",
    "hwy": "highway", "pde": "parade", "sq": "square",
}


def osa(a, b):
    """Restricted Damerau-Levenshtein distance."""
    two, one = None, list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        now = [i]
        for j, y in enumerate(b, 1):
            cost = min(one[j] + 1, now[j - 1] + 1, one[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, two[j - 2] + 1)
            now.append(cost)
        two, one = one, now
    return one[-1]


def jaro_winkler(a, b):
    if not a or not b:
        return 0.0
    reach = max(max(len(a), len(b)) // 2 - 1, 0)
    used, hits = [False] * len(b), []
    for i, x in enumerate(a):
        for j in range(max(0, i - reach), min(len(b), i + reach + 1)):
            if not used[j] and b[j] == x:
                used[j] = True
                hits.append(x)
                break
    if not hits:
        return 0.0
    other = [b[j] for j in range(len(b)) if used[j]]
    swaps = sum(x != y for x, y in zip(hits, other)) // 2
    n = len(hits)
    jaro = (n / len(a) + n / len(b) + (n - swaps) / n) / 3
    prefix = 0
    for x, y in zip(a[:4], b[:4]):
        if x != y:
            break
        prefix += 1
    return jaro + 0.1 * prefix * (1 - jaro) if jaro > 0.7 else jaro


def near(a, b):
    a, b = sorted((a, b))
    least, apart = min(len(a), len(b)), abs(len(a) - len(b))
    if least < 4:
        return False
    if apart <= 2:
        d = osa(a, b)
        if d <= 1 or (d <= 2 and least >= 8):
            return True
    return least >= 5 and jaro_winkler(a, b) >= 0.92


CODES = {}


def codes(word):
    if word not in CODES:
        CODES[word] = {c[:8] for c in doublemetaphone(word) if c} if word.isascii() and word.isalpha() else set()
    return CODES[word]


def words(text):
    return [w for w in re.split(r"[^a-z0-9]+", text.lower()) if w]


def name(text):
    """(joined without particles, joined, words without particles); None when nothing is there."""
    every = words(text)
    core = [w for w in every if w not in PARTICLES] or every
    return ("".join(core), "".join(every), core) if every else None


def word_level(a, b):
    if a == b:
        return "Exact"
    if near(a, b):
        return "Near"
    return "Sounds" if codes(a) & codes(b) else "Differs"


def name_level(a, b):
    """Without nicknames, initials, and what is made of several words: FEBRL has too few of them to count."""
    if a[0] == b[0] or a[1] == b[1]:
        return "Exact"
    return word_level(a[0], b[0])


def date_level(a, b):
    if a == b:
        return "Exact"
    if a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return "Swapped"
    return "Near" if osa(a, b) == 1 else "Differs"


def number_level(a, b):
    return "Exact" if a == b else "Near" if osa(a, b) == 1 else "Differs"


def street(text):
    every = [STREETS.get(w, w) for w in words(text)]
    numbers = "".join(w for w in every if any(c.isdigit() for c in w))
    rest = "".join(w for w in every if not any(c.isdigit() for c in w))
    return (numbers, rest) if rest else None


def street_level(a, b):
    if a == b:
        return "Exact"
    if a[1] == b[1] or near(a[1], b[1]):
        return "Near" if a[0] == b[0] else "Part"
    return "Differs"


def prepared(row):
    g = {k: v.strip() for k, v in row.items()}
    born = g["date_of_birth"]
    # A date that is none, or stands for "not known", says nothing (matching/dates.rs).
    if len(born) != 8 or not 1 <= int(born[4:6]) <= 12 or not 1 <= int(born[6:]) <= 31:
        born = None
    elif born.endswith("0101") or born == "19111111":
        born = None
    town = "".join(words(g["suburb"]))
    return {
        "who": int(g["rec_id"].split("-")[1]),
        "National": g["soc_sec_id"] or None,
        "Birth": born,
        "Family": name(g["surname"]),
        "Given": name(g["given_name"]),
        "Postcode": g["postcode"] or None,
        "City": town or None,
        "Street": street(g["street_number"] + " " + g["address_1"]),
    }


COMPARE = {
    "National": number_level,
    "Birth": date_level,
    "Family": name_level,
    "Given": name_level,
    "Postcode": number_level,
    "City": word_level,
    "Street": street_level,
}
LEVELS = {
    "National": ["Exact", "Near", "Differs"],
    "Birth": ["Exact", "Near", "Swapped", "Differs"],
    "Family": ["Exact", "Near", "Swapped", "Sounds", "Differs"],
    "Given": ["Exact", "Near", "Swapped", "Sounds", "Differs"],
    "Postcode": ["Exact", "Near", "Differs"],
    "City": ["Exact", "Near", "Sounds", "Differs"],
    "Street": ["Exact", "Near", "Part", "Differs"],
}
ALIKE = ("Exact", "Near", "Sounds")


def levels(a, b):
    out = {f: how(a[f], b[f]) for f, how in COMPARE.items() if a[f] is not None and b[f] is not None}
    four = a["Family"], a["Given"], b["Family"], b["Given"]
    if all(four) and out["Family"] not in ALIKE and out["Given"] not in ALIKE:
        if name_level(four[0], four[3]) in ALIKE and name_level(four[1], four[2]) in ALIKE:
            out["Family"] = out["Given"] = "Swapped"
    return out


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--febrl", type=pathlib.Path, required=True)
    args.add_argument("--pairs", type=int, default=400_000)
    args = args.parse_args()
    rng = random.Random(57)
    same, other = (collections.defaultdict(collections.Counter) for _ in "mu")
    for file in ("dataset2.csv", "dataset3.csv"):
        with open(args.febrl / file, encoding="utf-8", newline="") as text:
            rows = [prepared(r) for r in csv.DictReader(text, skipinitialspace=True)]
        rows = [r for r in rows if r["who"] % 2 == 0]
        people = collections.defaultdict(list)
        for r in rows:
            people[r["who"]].append(r)
        for records in people.values():
            for a, b in itertools.combinations(records, 2):
                for field, level in levels(a, b).items():
                    same[field][level] += 1
        drawn = 0
        while drawn < args.pairs // 2:
            a, b = rng.choice(rows), rng.choice(rows)
            if a["who"] == b["who"]:
                continue
            drawn += 1
            for field, level in levels(a, b).items():
                other[field][level] += 1
    print(f"{'field':9} {'level':8} {'m':>8} {'u':>8} {'weight':>7}   seen in pairs of one person, of two")
    for field, names in LEVELS.items():
        part = lambda seen, level: (seen[field][level] + 0.5) / (sum(seen[field].values()) + 0.5 * len(names))
        most = math.inf
        for level in names:
            m, u = round(part(same, level), 5), round(max(part(other, level), FLOOR), 5)
            weight = most = min(most, round(100 * math.log2(m / u)))
            print(f"{field:9} {level:8} {m:8.5f} {u:8.5f} {weight:7}   {same[field][level]}, {other[field][level]}")


if __name__ == "__main__":
    main()
