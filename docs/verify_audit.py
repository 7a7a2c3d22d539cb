#!/usr/bin/env python3
"""Checks an exported audit chain and a proof of one of its rows, without any code of Vitrine.

    vitrine-server audit export --data DIR --chain server --to server.ndjson
    vitrine-server audit prove --data DIR --chain server --seq 17 --json > proof.json
    python3 verify_audit.py --export server.ndjson --proof proof.json [--log DIR/audit-tree] [--key KEY]

Every row's hash is computed again from its text, the proven row's leaf from the row and its salt, the tree's hash from
the leaf and the path, and the Ed25519 signature of the checkpoint is checked with the package `cryptography` (without
it the hashes alone are checked, and that is said). With --log the hash of the whole tree is computed again from all
leaves. --key is the log's key as you noted it before; without it the key in the proof is believed.
"""
import argparse, base64, hashlib, json, pathlib, sys


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def fail(text):
    print("NO: " + text)
    sys.exit(1)


def leaf_of(chain, seq, row, salt):
    return sha(b"\x00", salt, seq.to_bytes(8, "big"), row, chain.encode())


def rows_of(path):
    """Hash of each row, each computed from the row's own text."""
    prev, rows = bytes(32), []
    for n, line in enumerate(path.read_text("utf-8").rstrip("\n").split("\n"), 1):
        head, _, rest = line.partition(',"entry":')
        said, body = json.loads(head + "}"), rest[:-1]
        if said["seq"] != n:
            fail(f"row {n} is missing: the next one is {said['seq']}")
        if bytes.fromhex(said["prev"]) != prev:
            fail(f"row {n} does not continue the row before it")
        prev = sha(b"\x00", prev, n.to_bytes(8, "big"), body.encode("utf-8"))
        if bytes.fromhex(said["hash"]) != prev:
            fail(f"row {n} was changed after it was written")
        rows.append(prev)
    return rows


def root_of(leaf, index, size, path):
    """RFC 9162, 2.1.3.2."""
    if index >= size:
        fail("the leaf does not lie in the tree")
    at, end, value = index, size - 1, leaf
    for p in path:
        if end == 0:
            fail("the path is too long")
        if at & 1 or at == end:
            value = sha(b"\x01", p, value)
            while not at & 1 and at:
                at, end = at >> 1, end >> 1
        else:
            value = sha(b"\x01", value, p)
        at, end = at >> 1, end >> 1
    if end:
        fail("the path is too short")
    return value


def tree(leaves):
    peaks = []
    for n, leaf in enumerate(leaves):
        while n & 1:
            leaf, n = sha(b"\x01", peaks.pop(), leaf), n >> 1
        peaks.append(leaf)
    value = peaks.pop() if peaks else sha()
    while peaks:
        value = sha(b"\x01", peaks.pop(), value)
    return value


def signed(note, key):
    """Size and hash of a signed note, its signature checked where that can be."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    name, key_id, public = key.split("+", 2)
    public = base64.b64decode(public, validate=True)
    if sha(name.encode(), b"\n", public)[:4].hex() != key_id:
        fail("the key is not of its name")
    lines = text.split("\n")
    if lines[0] != name:
        fail("the checkpoint is of another log than the key")
    mine = [s.split(" ")[2] for s in signatures.splitlines() if s.startswith(f"\u2014 {name} ")]
    found = [base64.b64decode(s, validate=True) for s in mine]
    found = [s[4:] for s in found if s[:4].hex() == key_id]
    if not found:
        fail("the checkpoint has no signature of the key")
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        print("the signature was NOT checked: the package cryptography is not here; hashes alone are")
        return int(lines[1]), base64.b64decode(lines[2], validate=True)
    try:
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(found[0], text.encode())
    except InvalidSignature:
        fail("the signature is of another checkpoint")
    print("the checkpoint's signature is the key's")
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


def main():
    ask = argparse.ArgumentParser(description="Checks an exported audit chain and a proof of one of its rows.")
    ask.add_argument("--export", required=True, type=pathlib.Path)
    ask.add_argument("--proof", required=True, type=pathlib.Path)
    ask.add_argument("--log", type=pathlib.Path)
    ask.add_argument("--key")
    args = ask.parse_args()
    proof = json.loads(args.proof.read_text("utf-8"))
    size, root = signed(proof["note"], args.key or proof["key"])
    rows = rows_of(args.export)
    print(f"{len(rows)} rows continue one another and hash to what they say")
    seq = proof["seq"]
    if not 1 <= seq <= len(rows) or rows[seq - 1].hex() != proof["row_hash"]:
        fail(f"row {seq} of the export is not the proven one")
    leaf = leaf_of(proof["chain"], seq, rows[seq - 1], bytes.fromhex(proof["salt"]))
    if leaf.hex() != proof["leaf"]:
        fail("the leaf is not the row's")
    path = [bytes.fromhex(p) for p in proof["path"]]
    if root_of(leaf, proof["index"], size, path) != root or (size, root.hex()) != (proof["size"], proof["root"]):
        fail(f"row {seq} is not in the tree of the checkpoint")
    print(f"row {seq} of chain {proof['chain']} is leaf {proof['index']} of the {size} that were signed")
    if args.log:
        names = (args.log / "chains").read_text("utf-8").splitlines()
        data = (args.log / "leaves").read_bytes()[: size * 64]
        leaves = []
        for r in (data[i : i + 64] for i in range(0, len(data), 64)):
            chain, number = names[int.from_bytes(r[:4], "big")], int.from_bytes(r[4:12], "big")
            if chain == proof["chain"] and (number > len(rows) or rows[number - 1] != r[28:60]):
                fail(f"row {number} of the export is not what the log has")
            leaves.append(leaf_of(chain, number, r[28:60], r[12:28]))
        if len(leaves) != size or tree(leaves) != root:
            fail("the log's leaves are not those that were signed")
        print(f"the whole tree of {size} leaves hashes to what was signed")
    print("YES")


main()
