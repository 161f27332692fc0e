#!/usr/bin/env python3
"""Makes the small models of models/ and what a forward pass finds in them.

    make-models.py           writes models/NAME.gguf, NAME.csv and NAME-output.csv, and texts.csv
    make-models.py --check   compares with the files that are there instead

Every model is a GGUF file with random weights.  Beside it lie the router's decisions and the predictions
that the forward pass below computes in double precision, loop by loop, from the published definitions
(RMS norm, rotary positions and YaRN, grouped-query attention, windows and sinks, lightning attention, SwiGLU,
and the routers of Mixtral, OLMoE, Qwen-MoE and DeepSeek-V3); it shares nothing with moescope's own.  Weights are rounded to the file's type
before they are used, so the numbers are those of exact arithmetic on the file.

Nothing but Python 3 is needed.  Random numbers come from random.random () alone, whose sequence Python
keeps from version to version: the model files are the same, byte by byte, on every machine.  A seed
that brings a decision nearer to a tie than SAFE is passed over for the next: the test may then demand the
same experts in the same order.
"""

import math
import os
import random
import struct
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'models')
DOCUMENTS = (17, 1, 7)  # tokens of each
EPSILON = 1e-5
SAFE = 1e-5

class Tie(Exception):
    pass

# What the models have in common unless they say otherwise.
COMMON = dict(
    width=16, blocks=3, dense=0, heads=2, kv_heads=1, head=8, vocabulary=40, experts=8, k=2, hidden=12,
    shared=0, shared_gate=False, qkv_bias=False, router_bias=False, qk_norm=None, rope='halves', base=10000.0,
    rope_keys=(), divisors=None, tied=False, type='F16',
    scoring='softmax', selection_bias=False, groups=0, kept=0, renormalise=True, scale=1.0, keys=(),
    # Scales of the embedding, of what is added, of scores (None: 1 / root of the width) and of logits.
    embedding=1.0, residual=1.0, score=None, logit=1.0,
    # Block by block: tokens of a window (0: all), positions or none.  Sinks; gates in one matrix with what they gate.
    windows=None, placed=None, sinks=False, fused=False,
    # Blocks of lightning attention; what the norm, which stays in place of the stream, is multiplied by.
    lightning=(), stays=None)

# Keys of the dots1 family, whose files say how to route.
def routed(scoring, renormalise, **more):
    keys = [('expert_gating_func', 'u32', {'softmax': 1, 'sigmoid': 2}[scoring]),
            ('expert_weights_norm', 'bool', renormalise)]
    if more.get('scale', 1.0) != 1.0:
        keys.append(('expert_weights_scale', 'f32', more['scale']))
    if more.get('groups', 0) > 0:
        keys.append(('expert_group_count', 'u32', more['groups']))
        keys.append(('expert_group_used_count', 'u32', more['kept']))
    return dict(architecture='dots1', qk_norm='head', shared=10, scoring=scoring, renormalise=renormalise,
                keys=tuple(keys), **more)

MODELS = {
    # Mixtral: softmax over all, the chosen renormalised.
    'llama': dict(architecture='llama', rope='pairs', dense=1),
    'llama-bias': dict(architecture='llama', rope='pairs', blocks=2, experts=6, k=4, router_bias=True, tied=True,
                       rope_keys=(('rope.scaling.type', 'str', 'linear'), ('rope.scaling.factor', 'f32', 4.0)),
                       divisors=(1.0, 1.0, 2.5, 8.0)),
    'llama-q8_0': dict(architecture='llama', rope='pairs', blocks=2, width=32, hidden=32, heads=4, kv_heads=4,
                       experts=5, type='Q8_0'),
    # OLMoE: not renormalised; the norm of queries and keys goes over all heads.
    'olmoe': dict(architecture='olmoe', qk_norm='whole', kv_heads=2, experts=12, hidden=8, k=4, blocks=2,
                  renormalise=False, type='F32'),
    # Qwen1.5-MoE and Qwen2-MoE: biases of queries, keys and values, a gated shared expert.
    'qwen2moe': dict(architecture='qwen2moe', qkv_bias=True, shared=20, shared_gate=True, renormalise=False,
                     type='BF16'),
    # Qwen3-MoE: each head has its own norm; heads wider than the model.
    'qwen3moe': dict(architecture='qwen3moe', qk_norm='head', heads=4, kv_heads=2, k=3),
    'qwen3moe-yarn': dict(architecture='qwen3moe', qk_norm='head', k=1, blocks=2, base=1000.0,
                          rope_keys=(('rope.scaling.type', 'str', 'yarn'), ('rope.scaling.factor', 'f32', 4.0),
                                     ('rope.scaling.original_context_length', 'u32', 1000))),
    # dots.llm1 and its relatives (DeepSeek-V3): every switch of the router.
    'dots1': dict(routed('sigmoid', True, scale=2.5), selection_bias=True, dense=1),
    'dots1-plain': dict(routed('sigmoid', False), shared=0, blocks=2),
    'dots1-group-1': dict(routed('sigmoid', False, groups=4, kept=1), experts=12, blocks=2, selection_bias=True),
    'dots1-group-2': dict(routed('sigmoid', True, groups=4, kept=2, scale=1.75), experts=12, k=3, blocks=2,
                          selection_bias=True),
    'dots1-group-all': dict(routed('sigmoid', True, groups=2, kept=2), experts=6, k=3, blocks=2),
    'dots1-softmax': dict(routed('softmax', False, groups=3, kept=2, scale=0.5), experts=12, selection_bias=True,
                          blocks=2),
    # Granite with sliding windows, of which some blocks have no positions.
    'granite_swa': dict(architecture='granite_swa', rope='pairs', tied=True, shared=10, blocks=4, k=3, fused=True,
                        windows=(5, 0, 5, 0), placed=(True, False, False, True), sinks=True,
                        embedding=3.0, residual=0.4, score=0.5, logit=1 / 2.5,
                        keys=(('attention.sliding_window', 'u32', 5),
                              ('attention.sliding_window_pattern', 'bools', (True, False, True, False)),
                              ('attention.rope_pattern', 'bools', (True, False, False, True)),
                              ('embedding_scale', 'f32', 3.0), ('residual_scale', 'f32', 0.4),
                              ('attention.scale', 'f32', 0.5), ('logit_scale', 'f32', 2.5))),
    # MiniMax-Text-01: lightning attention in all blocks but one.
    'minimax-01': dict(architecture='minimax-01', heads=4, kv_heads=2, blocks=3, lightning=(0, 2), stays=1.75,
                       keys=(('residual_scale', 'f32', 1.75),)),
}

# One vocabulary of the SentencePiece kind for all, made up of syllables; an earlier piece joins first.
LETTERS = ['\u2581', *'aeiouklmnrst']
SYLLABLES = ['\u2581k', '\u2581m', 'ka', 'ki', 'ko', 'la', 'le', 'lo', 'ma', 'me', 'mi', 'na', 'ne', 'no', 'ra', 'ro',
             'sa', 'so', 'ta', 'ti', '\u2581ka', '\u2581ma', 'kala', 'mano']
PIECES = ['<unk>', '<s>', '</s>', *LETTERS, *SYLLABLES]
TEXTS = ['kala mano', 'mano', 'sokala me tiro kaka', 'u', 'l ene  kamanola', 'tati']


# --- Number types ---------------------------------------------------------------------------------

def to_f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]

def pack_bf16(x):
    bits = struct.unpack('<I', struct.pack('<f', x))[0]
    return struct.pack('<H', (bits + 0x7fff + ((bits >> 16) & 1)) >> 16)

def from_bf16(data):
    return struct.unpack('<f', struct.pack('<I', struct.unpack('<H', data)[0] << 16))[0]

def encode(values, kind):
    """The bytes of the values in a type of GGUF, and the values that these bytes stand for."""
    if kind == 'F32':
        return b''.join(struct.pack('<f', x) for x in values), [to_f32(x) for x in values]
    if kind == 'F16':
        parts = [struct.pack('<e', x) for x in values]
        return b''.join(parts), [struct.unpack('<e', part)[0] for part in parts]
    if kind == 'BF16':
        parts = [pack_bf16(x) for x in values]
        return b''.join(parts), [from_bf16(part) for part in parts]
    # Q8_0: blocks of 32 whole numbers from -127 to 127 and a half-precision scale.
    data, exact = [], []
    for at in range(0, len(values), 32):
        block = values[at:at + 32]
        scale = struct.pack('<e', max(abs(x) for x in block) / 127)
        step = struct.unpack('<e', scale)[0]
        whole = [max(-127, min(127, int(math.floor(x / step + 0.5)))) for x in block]
        data.append(scale + struct.pack('<32b', *whole))
        exact += [step * q for q in whole]
    return b''.join(data), exact

TYPES = {'F32': 0, 'F16': 1, 'Q8_0': 8, 'BF16': 30}


# --- The file -------------------------------------------------------------------------------------

def text(s):
    return struct.pack('<Q', len(s.encode())) + s.encode()

def key_value(key, kind, value):
    if kind == 'bools':
        return array(key, 7, [struct.pack('<?', x) for x in value])
    number, layout = {'u32': (4, '<I'), 'f32': (6, '<f'), 'bool': (7, '<?'), 'str': (8, None)}[kind]
    return text(key) + struct.pack('<I', number) + (text(value) if kind == 'str' else struct.pack(layout, value))

def array(key, number, values):
    return text(key) + struct.pack('<IIQ', 9, number, len(values)) + b''.join(values)

def score(piece):
    return -float(PIECES.index(piece)) if len(piece) > 1 else -1000.0

def vocabulary():
    kinds = [2, 3, 3] + [1] * (len(PIECES) - 3)  # unknown, control, normal
    return [key_value('tokenizer.ggml.model', 'str', 'llama'),
            array('tokenizer.ggml.tokens', 8, [text(piece) for piece in PIECES]),
            array('tokenizer.ggml.scores', 6, [struct.pack('<f', score(piece)) for piece in PIECES]),
            array('tokenizer.ggml.token_type', 5, [struct.pack('<i', kind) for kind in kinds]),
            key_value('tokenizer.ggml.bos_token_id', 'u32', 1), key_value('tokenizer.ggml.eos_token_id', 'u32', 2),
            key_value('tokenizer.ggml.unknown_token_id', 'u32', 0),
            key_value('tokenizer.ggml.add_bos_token', 'bool', True)]

class Model:
    """A configuration, its tensors as stored, and the values they hold."""

    def __init__(self, name, seed):
        self.name = name
        self.c = dict(COMMON, **MODELS[name])
        self.random = random.Random(seed)
        self.tensors = []  # (name, shape, type, bytes)
        self.values = {}
        self.make()

    def add(self, name, shape, spread, centre=0.0, kind=None):
        n = math.prod(shape)
        # One dimension and routers stay in single precision, as in every file in use.
        kind = kind or (self.c['type'] if len(shape) > 1 else 'F32')
        raw = [centre + spread * (2 * self.random.random() - 1) for _ in range(n)]
        data, self.values[name] = encode(raw, kind)
        self.tensors.append((name, shape, kind, data))

    def add_feed_forward(self, block, suffix, hidden, experts=()):
        d = self.c['width']
        if self.c['fused']:
            name = 'ffn_gate_up_exps' if experts else 'ffn_up' + suffix
            self.add(f'blk.{block}.{name}.weight', (d, 2 * hidden) + experts, 2 / math.sqrt(d))
            self.add(f'blk.{block}.ffn_down{suffix}.weight', (hidden, d) + experts, 2 / math.sqrt(hidden))
            return
        self.add(f'blk.{block}.ffn_gate{suffix}.weight', (d, hidden) + experts, 2 / math.sqrt(d))
        self.add(f'blk.{block}.ffn_up{suffix}.weight', (d, hidden) + experts, 2 / math.sqrt(d))
        self.add(f'blk.{block}.ffn_down{suffix}.weight', (hidden, d) + experts, 2 / math.sqrt(hidden))

    def make(self):
        c = self.c
        d = c['width']
        self.add('token_embd.weight', (d, c['vocabulary']), 1.0)
        if not c['tied']:
            self.add('output.weight', (d, c['vocabulary']), 2 / math.sqrt(d))
        self.add('output_norm.weight', (d,), 0.5, 1.0)
        if c['divisors']:
            data, self.values['rope_freqs.weight'] = encode(c['divisors'], 'F32')
            self.tensors.append(('rope_freqs.weight', (len(c['divisors']),), 'F32', data))
        for b in range(c['blocks']):
            self.make_block(b)

    def make_lightning(self, b):
        d, rows = self.c['width'], self.c['heads'] * self.c['head']
        self.add(f'blk.{b}.attn_norm_2.weight', (rows,), 0.5, 1.0)
        self.add(f'blk.{b}.attn_qkv.weight', (d, 3 * rows), 2 / math.sqrt(d))
        self.add(f'blk.{b}.attn_gate.weight', (d, rows), 2 / math.sqrt(d))
        self.add(f'blk.{b}.attn_output.weight', (rows, d), 1.0 / math.sqrt(d))

    def make_attention(self, b):
        c = self.c
        d = c['width']
        for letter, heads in (('q', c['heads']), ('k', c['kv_heads']), ('v', c['kv_heads'])):
            rows = heads * c['head']
            self.add(f'blk.{b}.attn_{letter}.weight', (d, rows), 2 / math.sqrt(d))
            if c['qkv_bias']:
                self.add(f'blk.{b}.attn_{letter}.bias', (rows,), 0.5)
            if c['qk_norm'] and letter != 'v':
                self.add(f'blk.{b}.attn_{letter}_norm.weight', (rows if c['qk_norm'] == 'whole' else c['head'],),
                         0.5, 1.0)
        self.add(f'blk.{b}.attn_output.weight', (c['heads'] * c['head'], d), 1.0 / math.sqrt(d))
        if c['sinks']:
            self.add(f'blk.{b}.attn_sinks.weight', (c['heads'],), 1.0)

    def make_block(self, b):
        c = self.c
        d = c['width']
        self.add(f'blk.{b}.attn_norm.weight', (d,), 0.5, 1.0)
        self.add(f'blk.{b}.ffn_norm.weight', (d,), 0.5, 1.0)
        if b in c['lightning']:
            self.make_lightning(b)
        else:
            self.make_attention(b)
        if b < c['dense']:
            self.add_feed_forward(b, '', 2 * c['hidden'])
            return
        self.add(f'blk.{b}.ffn_gate_inp.weight', (d, c['experts']), 3 / math.sqrt(d), kind='F32')
        if c['router_bias']:
            self.add(f'blk.{b}.ffn_gate_inp.bias', (c['experts'],), 1.0)
        if c['selection_bias']:
            self.add(f'blk.{b}.exp_probs_b.bias', (c['experts'],), 0.3)
        self.add_feed_forward(b, '_exps', c['hidden'], (c['experts'],))
        if c['shared'] > 0:
            self.add_feed_forward(b, '_shexp', c['shared'])
        if c['shared_gate']:
            self.add(f'blk.{b}.ffn_gate_inp_shexp.weight', (d,), 2 / math.sqrt(d))

    def file(self):
        c = self.c
        keys = [('embedding_length', 'u32', c['width']), ('block_count', 'u32', c['blocks']),
                ('context_length', 'u32', 4096), ('attention.head_count', 'u32', c['heads']),
                ('attention.head_count_kv', 'u32', c['kv_heads']), ('attention.key_length', 'u32', c['head']),
                ('attention.value_length', 'u32', c['head']), ('rope.dimension_count', 'u32', c['head']),
                ('rope.freq_base', 'f32', c['base']),
                ('attention.layer_norm_rms_epsilon', 'f32', EPSILON), ('expert_count', 'u32', c['experts']),
                ('expert_used_count', 'u32', c['k']), *c['rope_keys'], *c['keys']]
        head = [key_value('general.architecture', 'str', c['architecture']),
                key_value('general.name', 'str', 'small ' + self.name)]
        head += [key_value(f'{c["architecture"]}.{key}', kind, value) for key, kind, value in keys]
        head += vocabulary()
        infos, data = [], b''
        for name, shape, kind, values in self.tensors:
            infos.append(text(name) + struct.pack(f'<I{len(shape)}QIQ', len(shape), *shape, TYPES[kind], len(data)))
            data += values + bytes(-len(values) % 32)
        start = b'GGUF' + struct.pack('<IQQ', 3, len(self.tensors), len(head)) + b''.join(head) + b''.join(infos)
        return start + bytes(-len(start) % 32) + data


# --- The forward pass -----------------------------------------------------------------------------

def product(values, x, rows, first=0):
    """y = W x, W as stored: row after row of len (x) values, from row `first` on."""
    n = len(x)
    return [math.fsum(values[(first + i) * n + j] * x[j] for j in range(n)) for i in range(rows)]

def rms_norm(x, weight):
    mean = math.fsum(v * v for v in x) / len(x)
    return [v / math.sqrt(mean + to_f32(EPSILON)) * w for v, w in zip(x, weight)]

def sigmoid(x):
    return 1 / (1 + math.exp(-x))

def softmax(x):
    largest = max(x)
    powers = [math.exp(v - largest) for v in x]
    return [p / math.fsum(powers) for p in powers]

class Forward:
    def __init__(self, model):
        self.c, self.w = model.c, model.values
        self.frequencies, self.magnitude = self.rotation()

    def part(self, block, name):
        return self.w.get(f'blk.{block}.{name}')

    def rotation(self):
        """Angle of each pair per position, and the factor of cosine and sine."""
        c, n = self.c, self.c['head']
        keys = {key: value for key, _, value in c['rope_keys']}
        divisors = c['divisors'] or [1.0] * (n // 2)
        plain = [c['base'] ** (-2 * i / n) / divisors[i] for i in range(n // 2)]
        factor = keys.get('rope.scaling.factor', 1.0)
        if keys.get('rope.scaling.type') != 'yarn':
            return [f / factor for f in plain], 1.0
        # YaRN (arXiv 2309.00071): pairs that turn often keep their angle, slow ones are stretched.
        context = keys['rope.scaling.original_context_length']
        turns = lambda r: n * math.log(context / (2 * math.pi * r)) / (2 * math.log(c['base']))
        low, high = max(math.floor(turns(32)), 0), min(math.ceil(turns(1)), n - 1)
        stretched = []
        for i, f in enumerate(plain):
            ramp = min(max((i - low) / max(high - low, 0.001), 0.0), 1.0)
            stretched.append(f / factor * ramp + f * (1 - ramp))
        return stretched, 1 + 0.1 * math.log(factor)

    def rotate(self, head, position):
        out = list(head)
        for i, frequency in enumerate(self.frequencies):
            a, b = (2 * i, 2 * i + 1) if self.c['rope'] == 'pairs' else (i, i + len(head) // 2)
            cos = math.cos(position * frequency) * self.magnitude
            sin = math.sin(position * frequency) * self.magnitude
            out[a], out[b] = head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos
        return out

    def heads(self, block, letter, n, h, position):
        """Queries, keys or values of one token: one list for each head."""
        c = self.c
        y = product(self.part(block, f'attn_{letter}.weight'), h, n * c['head'])
        bias = self.part(block, f'attn_{letter}.bias')
        if bias:
            y = [v + w for v, w in zip(y, bias)]
        norm = self.part(block, f'attn_{letter}_norm.weight')
        if norm and c['qk_norm'] == 'whole':
            y = rms_norm(y, norm)
        heads = [y[i * c['head']:(i + 1) * c['head']] for i in range(n)]
        if norm and c['qk_norm'] == 'head':
            heads = [rms_norm(head, norm) for head in heads]
        placed = c['placed'] is None or c['placed'][block]
        return heads if letter == 'v' or not placed else [self.rotate(head, position) for head in heads]

    def added(self, x, normed, y):
        """The stream behind half a block that read the norm and gives y."""
        c = self.c
        kept = x if c['stays'] is None else [to_f32(c['stays']) * v for v in normed]
        return [a + to_f32(c['residual']) * b for a, b in zip(kept, y)]

    def lightning(self, block, xs):
        """Linear attention that decays (MiniMax-01), as sums over all tokens before."""
        c, n = self.c, self.c['head']
        normed = [rms_norm(x, self.part(block, 'attn_norm.weight')) for x in xs]
        rows = [[v * sigmoid(v) for v in product(self.part(block, 'attn_qkv.weight'), h, 3 * c['heads'] * n)]
                for h in normed]
        part = lambda t, head, which: rows[t][(3 * head + which) * n:(3 * head + which + 1) * n]
        depth = 1 - block / max(c['blocks'] - 1, 1) + 1e-5
        out = []
        for t, x in enumerate(xs):
            mixed = []
            for head in range(c['heads']):
                slope = 2 ** (-8 * (head + 1) / c['heads']) * depth
                scores = [math.exp(-slope * (t - s))
                          * math.fsum(a * b for a, b in zip(part(t, head, 0), part(s, head, 1))) for s in range(t + 1)]
                mixed += [math.fsum(scores[s] * part(s, head, 2)[i] for s in range(t + 1)) for i in range(n)]
            mixed = rms_norm(mixed, self.part(block, 'attn_norm_2.weight'))
            gate = product(self.part(block, 'attn_gate.weight'), normed[t], len(mixed))
            y = product(self.part(block, 'attn_output.weight'), [a * sigmoid(g) for a, g in zip(mixed, gate)], len(x))
            out.append(self.added(x, normed[t], y))
        return out

    def attention(self, block, xs):
        c = self.c
        if block in c['lightning']:
            return self.lightning(block, xs)
        scale = 1 / math.sqrt(c['head']) if c['score'] is None else c['score']
        sinks = self.part(block, 'attn_sinks.weight')
        normed = [rms_norm(x, self.part(block, 'attn_norm.weight')) for x in xs]
        q = [self.heads(block, 'q', c['heads'], h, t) for t, h in enumerate(normed)]
        k = [self.heads(block, 'k', c['kv_heads'], h, t) for t, h in enumerate(normed)]
        v = [self.heads(block, 'v', c['kv_heads'], h, t) for t, h in enumerate(normed)]
        out = []
        for t, x in enumerate(xs):
            mixed = []
            for head in range(c['heads']):
                pair = head // (c['heads'] // c['kv_heads'])
                window = c['windows'][block] if c['windows'] else 0
                seen = range(max(t + 1 - window, 0) if window else 0, t + 1)
                scores = [math.fsum(a * b for a, b in zip(q[t][head], k[s][pair])) * scale for s in seen]
                # A sink takes part in the softmax and gives nothing.
                p = softmax(scores + [sinks[head]])[:-1] if sinks else softmax(scores)
                mixed += [math.fsum(p[j] * v[s][pair][i] for j, s in enumerate(seen)) for i in range(c['head'])]
            y = product(self.part(block, 'attn_output.weight'), mixed, len(x))
            out.append(self.added(x, normed[t], y))
        return out

    def feed_forward(self, block, suffix, hidden, h, expert=0):
        d = len(h)
        if self.c['fused']:
            both = self.part(block, 'ffn_gate_up_exps.weight' if suffix == '_exps' else f'ffn_up{suffix}.weight')
            gate = product(both, h, hidden, 2 * expert * hidden)
            up = product(both, h, hidden, (2 * expert + 1) * hidden)
        else:
            gate = product(self.part(block, f'ffn_gate{suffix}.weight'), h, hidden, expert * hidden)
            up = product(self.part(block, f'ffn_up{suffix}.weight'), h, hidden, expert * hidden)
        return product(self.part(block, f'ffn_down{suffix}.weight'),
                       [g * sigmoid(g) * u for g, u in zip(gate, up)], d, expert * d)

    def route(self, block, h):
        """Decision of a router: logits, experts, weights, margin, entropy."""
        c, n = self.c, self.c['experts']
        logits = product(self.part(block, 'ffn_gate_inp.weight'), h, n)
        bias = self.part(block, 'ffn_gate_inp.bias') or [0.0] * n
        logits = [a + b for a, b in zip(logits, bias)]
        scores = softmax(logits) if c['scoring'] == 'softmax' else [sigmoid(a) for a in logits]
        extra = self.part(block, 'exp_probs_b.bias') or [0.0] * n
        selection = [s + b for s, b in zip(scores, extra)]
        candidates = list(range(n))
        if c['groups'] > 1:
            size = n // c['groups']
            worth = [sum(sorted(selection[g * size:(g + 1) * size])[-2:]) for g in range(c['groups'])]
            best = sorted(range(c['groups']), key=lambda g: -worth[g])
            if c['kept'] < c['groups']:
                if worth[best[c['kept'] - 1]] - worth[best[c['kept']]] < SAFE:
                    raise Tie
            candidates = [e for e in range(n) if e // size in best[:c['kept']]]
        candidates.sort(key=lambda e: -selection[e])
        for a, b in zip(candidates[:c['k']], candidates[1:]):
            if selection[a] - selection[b] < SAFE:
                raise Tie
        chosen = candidates[:c['k']]
        margin = math.inf
        if len(candidates) > c['k']:
            margin = selection[chosen[-1]] - selection[candidates[c['k']]]
        weights = [scores[e] for e in chosen]
        if c['renormalise']:
            weights = [w / sum(weights) for w in weights]
        weights = [w * c['scale'] for w in weights]
        shares = [s / math.fsum(scores) for s in scores]
        return logits, chosen, weights, margin, -math.fsum(p * math.log(p) for p in shares)

    def mixture(self, block, h, decision):
        c, (_, chosen, weights, _, _) = self.c, decision
        out = [0.0] * len(h)
        for e, w in zip(chosen, weights):
            out = [a + w * b for a, b in zip(out, self.feed_forward(block, '_exps', c['hidden'], h, e))]
        if c['shared'] > 0:
            gate = self.part(block, 'ffn_gate_inp_shexp.weight')
            w = sigmoid(product(gate, h, 1)[0]) if gate else 1.0
            out = [a + w * b for a, b in zip(out, self.feed_forward(block, '_shexp', c['shared'], h))]
        return out

    def document(self, ids):
        """Decisions {(position, block): ...}, and the logits of the next token at each position."""
        c = self.c
        d, decisions = c['width'], {}
        xs = [[c['embedding'] * v for v in self.w['token_embd.weight'][i * d:(i + 1) * d]] for i in ids]
        for block in range(c['blocks']):
            xs = self.attention(block, xs)
            for t, x in enumerate(xs):
                h = rms_norm(x, self.part(block, 'ffn_norm.weight'))
                if block < c['dense']:
                    y = self.feed_forward(block, '', 2 * c['hidden'], h)
                else:
                    decisions[t, block] = self.route(block, h)
                    y = self.mixture(block, h, decisions[t, block])
                xs[t] = self.added(x, h, y)
        head = self.w['token_embd.weight' if c['tied'] else 'output.weight']
        last = [rms_norm(x, self.w['output_norm.weight']) for x in xs]
        return decisions, [[c['logit'] * v for v in product(head, h, c['vocabulary'])] for h in last]


# --- Files ----------------------------------------------------------------------------------------

def number(x):
    return f'{x:.8g}'

def lists(*columns):
    return [' '.join(str(x) if isinstance(x, int) else number(x) for x in column) for column in columns]

def run(model):
    """The two tables of a model as text."""
    draw = model.random
    forward = Forward(model)
    routing = ['document,position,layer,experts,weights,margin,entropy,logits']
    output = ['document,position,token_id,predicted,loss']
    for document, length in enumerate(DOCUMENTS):
        ids = [int(draw.random() * model.c['vocabulary']) for _ in range(length)]
        decisions, scores = forward.document(ids)
        for (t, block), (logits, experts, weights, margin, entropy) in sorted(decisions.items()):
            routing.append(','.join([str(document), str(t), str(block), *lists(experts, weights), number(margin),
                                     number(entropy), *lists(logits)]))
        for t, token in enumerate(ids):
            best = sorted(range(len(scores[t])), key=lambda i: -scores[t][i])
            if scores[t][best[0]] - scores[t][best[1]] < 10 * SAFE:
                raise Tie
            loss = -math.log(softmax(scores[t])[ids[t + 1]]) if t + 1 < length else math.nan
            output.append(f'{document},{t},{token},{best[0]},{number(loss)}')
    return '\n'.join(routing) + '\n', '\n'.join(output) + '\n'

def tokenize(line):
    """SentencePiece's way: neighbours join as long as a pair makes a piece, the best piece first."""
    symbols = list('\u2581' + line.replace(' ', '\u2581'))
    while True:
        pairs = [a + b for a, b in zip(symbols, symbols[1:])]
        known = [i for i, pair in enumerate(pairs) if pair in PIECES]
        if not known:
            return [1] + [PIECES.index(symbol) for symbol in symbols]
        best = max(known, key=lambda i: (score(pairs[i]), -i))
        symbols[best:best + 2] = [pairs[best]]

def make(name):
    seed = 1
    while True:
        model = Model(name, seed)
        try:
            return model, *run(model)
        except Tie:
            seed += 1

def same_numbers(a, b):
    """Equal but for the last digits, in which machines may differ."""
    a, b = (x.replace(',', ' ').replace('\n', ' \n ').split(' ') for x in (a, b))
    if len(a) != len(b):
        return False
    for x, y in zip(a, b):
        if x != y and not math.isclose(float(x), float(y), rel_tol=1e-6, abs_tol=1e-9):
            return False
    return True

def files():
    """Names and contents of all files."""
    assert len(PIECES) == COMMON['vocabulary']
    yield 'texts.csv', 'text,ids\n' + ''.join(f'{line},{lists(tokenize(line))[0]}\n' for line in TEXTS)
    for name in MODELS:
        model, routing, output = make(name)
        yield from ((name + '.gguf', model.file()), (name + '.csv', routing), (name + '-output.csv', output))

def main():
    check, wrong = '--check' in sys.argv[1:], []
    for file, content in files():
        path = os.path.join(HERE, file)
        mode = 'b' if isinstance(content, bytes) else ''
        if not check:
            with open(path, 'w' + mode) as stream:
                stream.write(content)
            continue
        with open(path, 'r' + mode) as stream:
            there = stream.read()
        if not (content == there if mode or file == 'texts.csv' else same_numbers(content, there)):
            wrong.append(file)
    if wrong:
        sys.exit('differ from what is there: ' + ', '.join(wrong))

main()
