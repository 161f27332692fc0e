#!/usr/bin/env python3
"""Records the router scores of a Mixture-of-Experts model while Hugging Face Transformers or vLLM runs it, as a
safetensors file that moescope imports.  Nothing of theirs is changed, and nothing but Python and what they bring is
needed.

    python3 record_hf.py MODEL texts.txt routing.safetensors            Transformers, one text a line
    python3 record_hf.py --vllm MODEL texts.txt routing.safetensors     vLLM, in this process, eagerly
    moescope import routing.safetensors --top-k 8 --gating softmax -o run.db

or around any code of yours:

    with Recorder (model, "routing.safetensors") as recorder:
        for name, ids in texts:
            recorder.begin (name, ids)      # a document; ids may be None
            model (input_ids=ids)

A router is found by what it is: a module called gate or router beside a module called experts.  Its scores (before the
choice) go to the file as NAME/layers.N.router_logits, one row for each token in the order in which the model routed
them: the prompt, then what was generated.  How the scores become a choice (--gating, --renormalise, --scale) is the
model's own rule, which its configuration tells; a bias that is added for choosing alone is not recorded.
"""
import array
import json
import re
import struct
import sys


def find_routers(model):
    """(layer, module) of every router, in the order of the layers."""
    modules = dict(model.named_modules())
    found = []
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        layer = re.search(r"(?:layers|blocks|h)\.(\d+)\.", name)
        if last in ("gate", "router") and layer and (parent + ".experts" in modules):
            found.append((int(layer.group(1)), module))
    return sorted(found, key=lambda pair: pair[0])


def rows_of(output):
    """The scores, (tokens, experts), in what a router gives back: a tensor, or a tuple that has it first."""
    while isinstance(output, (tuple, list)):
        output = output[0]
    rows = output.detach().float().cpu().tolist()
    while rows and isinstance(rows[0][0], list):  # (batch, tokens, experts): one after the other
        rows = [row for batch in rows for row in batch]
    return rows


class Recorder:
    def __init__(self, model, path):
        self.routers = find_routers(model)
        if not self.routers:
            raise SystemExit("no router was found: the model has no module 'gate' or 'router' beside 'experts'")
        self.path = path
        self.tensors = []  # name, type, shape, bytes
        self.document = None

    def __enter__(self):
        self.hooks = [module.register_forward_hook(lambda _module, _inputs, output, layer=layer: self._take(layer, output))
                      for layer, module in self.routers]
        return self

    def __exit__(self, kind, value, trace):
        for hook in self.hooks:
            hook.remove()
        if kind is None:
            self.end()
            self.write()

    def begin(self, name, ids=None):
        """All that is routed from here on belongs to the document `name`, which must be none of the earlier ones."""
        self.end()
        self.document, self.ids, self.scores = re.sub(r"[./]", "-", str(name)), ids, {}

    def end(self):
        if self.document is None:
            return
        for layer, rows in sorted(self.scores.items()):
            flat = array.array("f", [score for row in rows for score in row])
            self._add("layers.%d.router_logits" % layer, "F32", [len(rows), len(rows[0])], flat)
        if self.ids is not None:
            ids = [int(i) for i in self.ids]
            self._add("input_ids", "I32", [len(ids)], array.array("i", ids))
        self.document = None

    def _add(self, name, kind, shape, values):
        if sys.byteorder == "big":
            values.byteswap()
        self.tensors.append(("%s/%s" % (self.document, name), kind, shape, values.tobytes()))

    def _take(self, layer, output):
        if self.document is not None:  # warm-up and profiling come before the first document
            self.scores.setdefault(layer, []).extend(rows_of(output))

    def write(self):
        head, at = {"__metadata__": {"format": "pt", "recorder": "moescope record_hf.py"}}, 0
        for name, kind, shape, data in self.tensors:
            head[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        with open(self.path, "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for _name, _kind, _shape, data in self.tensors:
                out.write(data)


def record_transformers(model_name, texts, path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_name)
    model = AutoModelForCausalLM.from_pretrained(model_name, torch_dtype="auto", device_map="auto").eval()
    with torch.no_grad(), Recorder(model, path) as recorder:
        for number, text in enumerate(texts):
            ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)
            recorder.begin("text-%d" % number, ids[0].tolist())
            model(input_ids=ids, use_cache=False)


def record_vllm(model_name, texts, path):
    """One request at a time, so that the rows of a pass are those of one document; without graphs, prefix cache and
    speculation every token is routed once, in order.  The token sampled last is never routed."""
    import os

    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    from vllm import LLM, SamplingParams

    llm = LLM(model=model_name, enforce_eager=True, enable_prefix_caching=False, max_num_seqs=1)

    def run(model):
        with Recorder(model, path) as recorder:
            for number, text in enumerate(texts):
                recorder.begin("text-%d" % number)
                output = llm.generate([text], SamplingParams(max_tokens=16, temperature=0), use_tqdm=False)[0]
                recorder.ids = list(output.prompt_token_ids) + list(output.outputs[0].token_ids)

    llm.apply_model(run)


def main(arguments):
    vllm = "--vllm" in arguments
    arguments = [a for a in arguments if a != "--vllm"]
    if len(arguments) != 3:
        raise SystemExit(__doc__)
    with open(arguments[1], encoding="utf-8") as lines:
        texts = [line.rstrip("\n") for line in lines if line.strip()]
    (record_vllm if vllm else record_transformers)(arguments[0], texts, arguments[2])


if __name__ == "__main__":
    main(sys.argv[1:])
