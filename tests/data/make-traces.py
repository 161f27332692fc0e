#!/usr/bin/python3
"""Traces in the formats of other tools, written byte by byte after their documented layouts, each with what an import
must make of it (NAME.csv).  No package is needed; with --check the files are compared with those that are there."""
import base64
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traces")
T, L, K, E = 5, 2, 2, 8
HEAD = "sequence,token,layer,rank,expert,weight\n"


def expert(t, l, k):
    return (3 * t + l + 5 * k) % E


def rows(document="0", layers=range(L), tokens=range(T), weights=True, of=expert, first=0):
    return "".join("%s,%d,%d,%d,%d,%s\n" % (document, t - first, l, k, of(t, l, k), (".625", ".25")[k].replace(".", "0.") if weights else "")
                   for t in tokens for l in layers for k in range(K))


def npy(kind, shape, values, fortran=False):
    code = {"<i4": "i", "<i2": "h", "<u2": "H", "|u1": "B", "<f4": "f", ">i4": ">i", "<f2": "e"}[kind]
    code = code if code[0] == ">" else "<" + code
    head = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (kind, fortran, tuple(shape))
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + b"".join(
        struct.pack(code, v) for v in values)


def archive(parts, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in parts:
            z.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, compress_type=method)
    return out.getvalue()


def safetensors(tensors):
    head, data = {"__metadata__": {"format": "pt"}}, b""
    for name, kind, shape, values in tensors:
        packed = b"".join(struct.pack("<" + {"I16": "h", "I32": "i", "F32": "f", "BF16": "H"}[kind], v) for v in values)
        head[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


# --- torch.save: a pickle that names torch's own functions, and raw storages beside it ------------------------------

class Storage:
    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, key, count


def module(name, **members):
    made = sys.modules.setdefault(name, types.ModuleType(name))
    for key, value in members.items():
        setattr(made, key, value)
    return made


class IntStorage:
    pass


class FloatStorage:
    pass


def _rebuild_tensor_v2(*arguments):
    raise AssertionError


for one in (IntStorage, FloatStorage):
    one.__module__ = "torch"
_rebuild_tensor_v2.__module__ = "torch._utils"
module("torch", IntStorage=IntStorage, FloatStorage=FloatStorage)
module("torch._utils", _rebuild_tensor_v2=_rebuild_tensor_v2)


class Tensor:
    """Pickled as torch does it: _rebuild_tensor_v2 (storage, offset, size, stride, requires_grad, hooks)."""
    parts = []

    def __init__(self, kind, shape, values):
        self.key = str(len(Tensor.parts))
        code = "<i" if kind is IntStorage else "<f"
        Tensor.parts.append(("archive/data/" + self.key, b"".join(struct.pack(code, v) for v in values)))
        self.kind, self.shape, self.count = kind, tuple(shape), len(values)

    def __reduce__(self):
        from collections import OrderedDict
        strides, n = [], 1
        for size in reversed(self.shape):
            strides.insert(0, n)
            n *= size
        return (_rebuild_tensor_v2, (Storage(self.kind, self.key, self.count), 0, self.shape, tuple(strides), False,
                                     OrderedDict()))


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return ("storage", value.kind, value.key, "cpu", value.count)
        return None


def torch_save(value):
    out = io.BytesIO()
    Pickler(out, 2).dump(value)
    return archive([("archive/data.pkl", out.getvalue())] + Tensor.parts + [("archive/version", b"3\n")])


def recorder():
    """SGLang's per_token: physical ids of L layers; experts 8 and 9 are replicas of 3 and 0."""
    Tensor.parts = []
    physical = lambda e, t: {3: 8, 0: 9}.get(e, e) if t % 2 else e
    ids = [physical(expert(t, l, k), t) if k < K else -1 for l in range(L) for t in range(T) for k in range(3)]
    return torch_save({
        "records": [{"forward_pass_id": 7, "rank": 0, "gatherer_key": "primary", "input_ids": [50 + t for t in range(T)],
                     "positions": [0, 1, 2, 0, 1], "extend_seq_lens": [3, 2], "forward_mode": 1, "misc_objects": [],
                     "topk_ids_of_layer": Tensor(IntStorage, [L, T, 3], ids)}],
        "last_physical_to_logical_map": Tensor(IntStorage, [L, 10], [0, 1, 2, 3, 4, 5, 6, 7, 3, 0] * L)})


COUNTS = [[[5, 0, 3, 4], [1, 2, 6, 3]], [[0, 0, 0, 0], [0, 0, 0, 0]], [[2, 2, 0, 0], [1, 1, 1, 1]]]


def stat():
    Tensor.parts = []
    return torch_save({"rank": 0, "logical_count": Tensor(IntStorage, [3, 2, 4], sum(sum(COUNTS, []), [])),
                       "average_utilization_rate_over_window": 0.5})


def logits(t, l, e):
    return {expert(t, l, 0): 4, expert(t, l, 1): 2}.get(e, -1.5 - e / 8)


def router_logits():
    Tensor.parts = []
    return torch_save(tuple(Tensor(FloatStorage, [T, E], [logits(t, l, e) for t in range(T) for e in range(E)])
                            for l in range(L)))


def gguf(pairs, tensors):
    text = lambda s: struct.pack("<Q", len(s)) + s.encode()
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    for key, kind, value in pairs:
        out += text(key) + struct.pack("<I", kind)
        out += (struct.pack("<I", value) if kind == 4 else text(value) if kind == 8 else
                struct.pack("<IQ", 8, len(value)) + b"".join(text(v) for v in value))
    data = b""
    for name, shape, values in tensors:
        out += text(name) + struct.pack("<I", len(shape)) + struct.pack("<%dQ" % len(shape), *shape)
        out += struct.pack("<IQ", 0, len(data))
        data += struct.pack("<%df" % len(values), *values)
        data += b"\0" * (-len(data) % 32)
    return out + b"\0" * (-len(out) % 32) + data


def imatrix(counts):
    tensors = []
    for l, layer in enumerate(counts):
        for kind in ("down", "gate", "up"):
            name = "blk.%d.ffn_%s_exps.weight" % (l + 1, kind)
            tensors += [(name + ".in_sum2", [2, 4], [1.5] * 8), (name + ".counts", [1, 4], layer)]
        tensors.append(("blk.%d.attn_q.weight.counts" % (l + 1), [1, 1], [6]))
    return gguf([("general.type", 8, "imatrix"), ("imatrix.datasets", 9, ["wiki.txt"]), ("imatrix.chunk_count", 4, 2),
                 ("imatrix.chunk_size", 4, 3)], tensors)


def stream(last=T):
    """Two batches, of 3 and of T - 3 tokens; of the last layer only `last` tokens."""
    out, done = b"", 0
    for first, end in ((0, 3), (3, T)):
        for l in range(L):
            tokens = list(range(first, end))
            if l == L - 1:
                tokens = tokens[:max(0, last - done)]
                done += len(tokens)
            if tokens:
                out += struct.pack("<iii", l, len(tokens), K) + b"".join(
                    struct.pack("<i", expert(t, l, k)) for t in tokens for k in range(K))
    return out


def files():
    ids = [expert(t, l, k) for t in range(T) for l in range(L) for k in range(K)]
    by_layer = [expert(t, l, k) for l in range(L) for t in range(T) for k in range(K)]
    weights = [(0.625, 0.25)[k] for _ in range(T * L) for k in range(K)]
    counts = lambda of: "layer,expert,count\n" + "".join(
        "%d,%d,%d\n" % (l, e, c) for l, layer in of for e, c in enumerate(layer) if c)
    plain = HEAD + rows(weights=False)
    # Engines make room for all layers: layer 0 is dense; one token is cached (-1), one a filler of zeros.
    padded = [x for t in range(T + 2) for l in range(L + 1) for k in range(K)
              for x in [0 if l == 0 or t == T + 1 else -1 if t == 0 else expert(t - 1, l - 1, k)]]
    yield "routed_experts.npy", npy("<i4", [T, L, K], ids), plain
    yield "routed_experts_padded.npy", npy("<i2", [T + 2, L + 1, K], padded), HEAD + rows(
        layers=[1, 2], weights=False, of=lambda t, l, k: expert(t, l - 1, k))
    yield "flat_routed_experts.npy", npy(">i4", [T, L * K], ids), plain
    yield "fortran.npy", npy("<u2", [T, L, K], [expert(t, l, k) for k in range(K) for l in range(L) for t in range(T)],
                             True), plain
    yield "moe-trace.npz", archive([("experts.npy", npy("|u1", [L, T, K], by_layer)), ("meta.npy", b"\x93NUMPY\x01\x00\x36\x00{'descr': '<U2', 'fortran_order': False, 'shape': (), } \n{\0\0\0}\0\0\0")]), plain
    yield "requests.npz", archive([
        ("a/prompt_routed_experts.npy", npy("<i4", [3, L, K], ids[:3 * L * K])),
        ("a/routed_experts.npy", npy("<i4", [T - 3, L, K], ids[3 * L * K:])),
        ("b/routed_experts.npy", npy("<i4", [T, L, K], ids))], zipfile.ZIP_DEFLATED), HEAD + rows(
            "a", weights=False) + rows("b", weights=False)
    yield "trace.safetensors", safetensors([("routed_experts", "I16", [T, L, K], ids),
                                            ("topk_weights", "F32", [T, L, K], weights),
                                            ("input_ids", "I32", [T + 1], range(60, 61 + T))]), HEAD + rows()
    yield "logits.safetensors", safetensors(
        [("model.layers.%d.mlp.router_logits" % l, "F32", [T, E], [logits(t, l, e) for t in range(T) for e in range(E)])
         for l in range(L)]), None
    yield "per_token.pt", recorder(), HEAD + rows("pass-7.0", tokens=range(3), weights=False) + rows(
        "pass-7.1", tokens=range(3, T), weights=False, first=3)
    yield "stat.pt", stat(), counts([(l, [a + b for a, b in zip(COUNTS[0][l], COUNTS[2][l])]) for l in range(2)])
    yield "router_logits.pt", router_logits(), None
    nested = [[[expert(t, l, k) for k in range(K)] for l in range(L)] for t in range(T)]
    yield "responses.jsonl", (json.dumps({"id": "cmpl-1", "choices": [{
        "index": 0, "text": "a}b", "prompt_routed_experts": nested[:3], "routed_experts": nested[3:]}]}) + "\n" + json.dumps(
            {"id": "cmpl-2", "choices": [{"routed_experts": nested}]}) + "\n").encode(), HEAD + rows(
                "cmpl-1", weights=False) + rows("cmpl-2", weights=False)
    yield "packed.json", json.dumps([{"text": "x", "meta_info": {"id": "r7", "routed_experts": base64.b64encode(
        struct.pack("<%di" % len(ids), *ids)).decode()}}], indent=1).encode(), HEAD + rows("r7", weights=False)
    yield "imatrix.gguf", imatrix(COUNTS[0]), counts([(l + 1, COUNTS[0][l]) for l in range(2)])
    yield "old-imatrix.gguf", imatrix([[3, 3, 3, 3]]), None
    yield "records.bin", stream(), plain
    yield "truncated.bin", stream(2), HEAD + rows(layers=[0], weights=False)
    yield "counts.expr", b"EXPR" + struct.pack("<4I8Q", 1, 2, 4, 6, *sum(COUNTS[0], [])), counts(
        [(l, COUNTS[0][l]) for l in range(2)])
    yield "usage.coli_usage", ("-1 2 4\n-2 1 77\n" + "".join(
        "%d %d %d\n" % (l, e, c) for l in range(2) for e, c in enumerate(COUNTS[0][l]) if c)).encode(), counts(
            [(l, COUNTS[0][l]) for l in range(2)])
    yield "routes.txt", "".join("0 %d %d %s\n" % (t, l, " ".join("%d:%g" % (expert(t, l, k), (0.625, 0.25)[k])
                                                                 for k in range(K)))
                                for l in range(L) for t in range(T)).encode(), HEAD + rows("call-0")


def main():
    bad = 0
    os.makedirs(FOLDER, exist_ok=True)
    for name, data, expected in files():
        for path, content in ((name, data), (name + ".csv", expected.encode() if expected else None)):
            path = os.path.join(FOLDER, path)
            if content is None:
                continue
            if "--check" in sys.argv:
                with open(path, "rb") as there:
                    if there.read() != content:
                        print("%s is not what the script makes" % path)
                        bad = 1
            else:
                with open(path, "wb") as out:
                    out.write(content)
    sys.exit(bad)


main()
