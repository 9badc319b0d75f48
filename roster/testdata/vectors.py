"""Writes the known-answer vectors of lists of members and of KEYUPDATE. It is a second
implementation of docs/PROTOCOL.md, sections 8 and 13, made from the page and not from the
Go code. Run it in this folder with Python 3 and the package "cryptography"; the test only
reads what it wrote."""
import hashlib, json, struct
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

P = b"hedgerow/1 "
CID = hashlib.shake_128(b"vector community").digest(16)
SEED = hashlib.shake_128(b"vector authority").digest(32)
KEY = Ed25519PrivateKey.from_private_bytes(SEED)


def h(*parts):
    return hashlib.sha256(P + b"".join(parts)).digest()


def identity(n):
    k = Ed25519PrivateKey.from_private_bytes(hashlib.shake_128(b"member %d" % n).digest(32))
    return k.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def vector(n, serial, made, stale):
    entries = sorted((identity(i), [0, 1, 2, 4, 0x80, 3][i % 6], 0 if i % 3 else made + 3600 * (i + 1)) for i in range(n))
    packed = [i + struct.pack(">BQ", roles, expiry) for i, roles, expiry in entries]
    pieces = [b"".join(packed[i:i + 16]) for i in range(0, n, 16)]
    levels = [[h(b"list piece", p) for p in pieces]]
    while len(levels[-1]) > 1:
        row = levels[-1] + [bytes(32)] * (len(levels[-1]) % 2)
        levels.append([h(b"list node", row[i], row[i + 1]) for i in range(0, len(row), 2)])
    last = len(pieces) - 1
    proof = []
    for depth, row in enumerate(levels[:-1]):
        beside = last >> depth ^ 1
        proof.append(row[beside] if beside < len(row) else bytes(32))
    head = struct.pack(">QQQH", serial, made, stale, n) + levels[-1][0]
    head += KEY.sign(P + b"list" + CID + head)
    part = levels[-1][0][:8] + struct.pack(">HB", last, len(packed[16 * last:])) + pieces[last] + b"".join(proof)
    return {"entries": [{"id": i.hex(), "roles": r, "expiry": e} for i, r, e in entries], "head": head.hex(), "last": part.hex()}


update = struct.pack(">QBBQQ", 9, 3, 0, 1800000010, 0) + hashlib.shake_128(b"vector key").digest(32)
update += KEY.sign(P + b"key update" + CID + update)
with open("lists.json", "w") as f:
    json.dump({"cid": CID.hex(), "authority_seed": SEED.hex(), "lists": [vector(1, 1, 1700000000, 0), vector(16, 2, 1700000000, 1702592000),
              vector(17, 3, 1700000000, 1702592000), vector(83, 2**40, 1700000000, 1702592000)], "keyupdate": update.hex()}, f, indent=1)
    f.write("\n")
