#!/usr/bin/env python3
"""Makes the traces of measures/ and what the measures of routing are on them.

    make-measures.py           writes the files
    make-measures.py --check   compares with the files that are there instead

The traces come from a seed.  expected.csv holds one number in each line: of which case, and in which
table, row and column of moescope's result it stands; cases.tsv tells what a case is: a trace, its experts
and the most that a token chooses, an analysis and its arguments.  Every measure is computed here from the trace by
its definition and by the plainest loop: a cache is a list that is searched, a window is cut out and
counted.  Nothing is shared with moescope, and nothing but Python 3 is needed.
"""

import math
import os
import random
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'measures')


# --- Traces ---------------------------------------------------------------------------------------

class Trace:
    """choices[document][layer][token] = the experts, best first; scores likewise = logits, or None."""

    def __init__(self, name, experts, choices, labels, logits=None):
        self.name, self.experts, self.choices, self.labels, self.logits = name, experts, choices, labels, logits
        self.layers = len(choices[0])
        self.top_k = max(len(chosen) for l in range(self.layers) for chosen in self.tokens(l))

    def tokens(self, layer, documents=None):
        for d, document in enumerate(self.choices):
            if documents is None or d in documents:
                yield from document[layer]

    def file(self):
        if self.logits:
            lines = ['sequence,token,layer,' + ','.join(f'e{e}' for e in range(self.experts))]
            for d, document in enumerate(self.logits):
                for t in range(len(document[0])):
                    lines += [f'{d},{t},{l},' + ','.join(f'{z:.6f}' for z in document[l][t]) for l in range(self.layers)]
            return '\n'.join(lines) + '\n'
        lines = ['sequence,token,layer,rank,expert,weight']
        for d, document in enumerate(self.choices):
            for t in range(len(document[0])):
                for l in range(self.layers):
                    chosen = document[l][t]
                    lines += [f'{d},{t},{l},{r},{e},{1 / (r + 2):.6f}' for r, e in enumerate(chosen)]
        return '\n'.join(lines) + '\n'

    def label_file(self):
        return 'sequence,dataset\n' + ''.join(f'{d},{label}\n' for d, label in enumerate(self.labels))


def choose(draw, n, weights, k, last):
    """k different experts; with a chance, one that was chosen just before comes first."""
    chosen = []
    if last and draw.random() < 0.5:
        chosen.append(last[int(draw.random() * len(last))])
    while len(chosen) < k:
        at, e = draw.random() * sum(weights), 0
        while at >= weights[e] and e < n - 1:
            at -= weights[e]
            e += 1
        if e not in chosen and weights[e] > 0:
            chosen.append(e)
    return chosen


def make_choices(draw, lengths, labels, layers, n, sizes, idle=()):
    kinds = sorted(set(labels))
    taste = {(l, kind): [0 if e in idle else 0.2 + draw.random() ** 2 for e in range(n)]
             for l in range(layers) for kind in kinds}
    choices = []
    for length, label in zip(lengths, labels):
        document = []
        for l in range(layers):
            tokens, last = [], []
            for _ in range(length):
                last = choose(draw, n, taste[l, label], sizes[int(draw.random() * len(sizes))], last)
                tokens.append(last)
            document.append(tokens)
        choices.append(document)
    return choices


def make_traces():
    draw = random.Random(7)
    labels = ['law', 'code', 'law', 'news', 'code', 'news', 'news']
    top2 = Trace('top2', 8, make_choices(draw, [40, 33, 1, 25, 16, 4, 9], labels, 2, 8, [2]), labels)
    labels = ['a', 'b', 'a']
    top1 = Trace('top1', 5, make_choices(draw, [21, 30, 18], labels, 1, 5, [1], idle=[3]), labels)
    adaptive = Trace('adaptive', 6, make_choices(draw, [26, 5, 31], labels, 1, 6, [1, 2, 3]), labels)
    logits = [[[[round(5 * draw.random() ** 2 - 2, 6) for _ in range(6)] for _ in range(length)] for _ in range(2)]
              for length in (19, 7, 1)]
    choices = [[[sorted(range(6), key=lambda e: -z[e])[:2] for z in layer] for layer in document] for document in logits]
    return [top2, top1, adaptive, Trace('logits', 6, choices, labels, logits)]


# --- Load -----------------------------------------------------------------------------------------

def entropy(shares):
    return -sum(s * math.log(s) for s in shares if s > 0)


def divergence(p, q):
    """Jensen-Shannon, in nats."""
    return entropy([(a + b) / 2 for a, b in zip(p, q)]) - (entropy(p) + entropy(q)) / 2


def count(trace, layer, documents=None):
    counts = [0] * trace.experts
    for chosen in trace.tokens(layer, documents):
        for e in chosen:
            counts[e] += 1
    return counts


def shares_of(counts):
    return [c / sum(counts) for c in counts]


def balance(counts):
    n, total = len(counts), sum(counts)
    mean = total / n
    shares = shares_of(counts)
    square = sum((c - mean) ** 2 for c in counts)
    h = entropy(shares)
    return {
        'n_decisions': total, 'max_vio': max(counts) / mean - 1, 'min_vio': 1 - min(counts) / mean,
        'total_violation': sum(abs(c - mean) for c in counts) / mean, 'cv': math.sqrt(square / n) / mean,
        'cv_sample': math.sqrt(square / (n - 1)) / mean,
        'gini': sum(abs(a - b) for a in counts for b in counts) / (2 * n * total), 'entropy': h,
        'entropy_normalised': h / math.log(n), 'effective_experts': math.exp(h), 'kl_uniform': math.log(n) - h,
        'js_uniform': divergence(shares, [1 / n] * n), 'max_share': max(shares), 'min_share': min(shares),
        'min_over_max': min(counts) / max(counts), 'idle': counts.count(0),
        'starved': sum(s < 0.1 / n for s in shares)}


def load(trace):
    rows = [balance(count(trace, l)) for l in range(trace.layers)]
    for l, row in enumerate(rows):
        for column, value in row.items():
            yield 'balance', f'layer={l}', column, value
        for e, c in enumerate(count(trace, l)):
            yield 'experts', f'layer={l} expert={e}', 'count', c
            yield 'experts', f'layer={l} expert={e}', 'load', c * trace.experts / sum(count(trace, l))
    for column in ('max_vio', 'cv', 'gini', 'entropy'):
        yield 'overall', f'measure={column}', 'mean', sum(row[column] for row in rows) / len(rows)


# --- Segments -------------------------------------------------------------------------------------

def windows(trace, layer, expert, m, documents=None):
    """How many of the m tokens of each window choose the expert."""
    out = []
    for d, document in enumerate(trace.choices):
        if documents is None or d in documents:
            tokens = document[layer]
            out += [sum(expert in chosen for chosen in tokens[i:i + m]) for i in range(len(tokens) - m + 1)]
    return out


def best_f1(counts, m):
    """SRP and its threshold from the counts of windows."""
    best, threshold = 0.0, 0
    for alpha in range(m + 1):
        loaded = [f for f in counts if f >= alpha]
        f1 = 2 * sum(loaded) / max(m * len(loaded) + sum(counts), 1)
        if f1 > best + 1e-12:
            best, threshold = f1, alpha
    return best, threshold


def srp(trace):
    for m in (4, 16):
        everything = []
        for l in range(trace.layers):
            of_experts = [windows(trace, l, e, m) for e in range(trace.experts)]
            whole = [f for one in of_experts for f in one]
            everything += whole
            value, threshold = best_f1(whole, m)
            yield 'layers', f'layer={l} segment_length={m}', 'srp', value
            yield 'layers', f'layer={l} segment_length={m}', 'threshold', threshold
            for e, one in enumerate(of_experts):
                yield 'experts', f'layer={l} expert={e} segment_length={m}', 'srp', best_f1(one, m)[0]
                yield ('experts', f'layer={l} expert={e} segment_length={m}', 'activation_frequency',
                       sum(one) / (m * len(one)))
        value, threshold = best_f1(everything, m)
        loaded = [f for f in everything if f >= threshold]
        yield 'model', f'segment_length={m}', 'srp', value
        yield 'model', f'segment_length={m}', 'segment_cache_size', m * len(loaded) / sum(everything)


# --- Caches ---------------------------------------------------------------------------------------

def segment_cache(tokens, capacity, policy, ahead=0):
    """Hits of one document: all of a token are tested first, and the first uses are free while there is room."""
    flat = [(i, e) for i, chosen in enumerate(tokens) for e in chosen]
    resident, last, uses, seen, hits = [], {}, {}, [], 0
    done = 0
    for i, chosen in enumerate(tokens):
        before = list(resident)
        for e in chosen:
            if e in seen:
                hits += e in before
            else:
                hits += len(seen) < capacity
                seen.append(e)
        for e in chosen:
            coming = flat[done:]
            if e not in resident:
                if len(resident) == capacity:
                    if policy == 'lru':
                        key = lambda x: last[x]
                    elif policy == 'lfu':
                        key = lambda x: (uses[x], last[x])
                    elif policy == 'sch':
                        key = lambda x: (sum(y == x and t < i + ahead for t, y in coming), last[x])
                    else:  # belady: farthest next use, and of those never used again the larger number
                        def key(x):
                            at = next((j for j, (_, y) in enumerate(coming) if y == x), math.inf)
                            return -at, -x
                    resident.remove(min(resident, key=key))
                resident.append(e)
            last[e] = done
            uses[e] = uses.get(e, 0) + 1
            done += 1
    return hits, done


def hit_rate(trace):
    for policy, ahead in (('lru', 0), ('lfu', 0), ('belady', 0), ('sch-4', 4), ('sch-16', 16)):
        for capacity in range(1, trace.experts + 1):
            for l in range(trace.layers):
                rates = [h / n for h, n in (segment_cache(document[l], capacity, policy[:3].replace('bel', 'belady'), ahead)
                                            for document in trace.choices)]
                yield 'layers', f'layer={l} policy={policy} capacity={capacity}', 'hit_rate', sum(rates) / len(rates)
        # One cache for the whole model: the experts of all layers of a token are one request.
        for capacity in (3, trace.experts):
            rates = []
            for document in trace.choices:
                tokens = [[l * trace.experts + e for l in range(trace.layers) for e in document[l][t]]
                          for t in range(len(document[0]))]
                h, n = segment_cache(tokens, capacity, policy[:3].replace('bel', 'belady'), ahead)
                rates.append(h / n)
            yield 'model', f'policy={policy} capacity={capacity}', 'hit_rate', sum(rates) / len(rates)


AGING = 16


def plain_cache(requests, capacity, policy):
    """A cache over all documents; a request is a list of experts.  Returns hits, cold misses, evictions."""
    queue, visited, hand = [], set(), None  # oldest first; SIEVE's hand is an expert of the queue
    uses, last, ever, hits, cold, evictions, clock, accesses = {}, {}, set(), 0, 0, 0, 0, 0
    flat = [e for request in requests for e in request]
    fixed = sorted(sorted(set(flat)), key=lambda e: -flat.count(e))[:capacity] if policy == 'static' else []
    for request in requests:
        protected = set(request)
        ahead = flat[clock:]
        at_start = set(fixed if policy == 'static' else queue)
        order = [e for e in request if e in at_start] + [e for e in request if e not in at_start]
        for e in order:
            hit = e in at_start
            hits += hit
            cold += not hit and e not in ever
            ever.add(e)
            accesses += 1
            uses[e] = uses.get(e, 0) + 1
            if policy == 'lfu_aging' and accesses % AGING == 0:
                uses = {x: u // 2 for x, u in uses.items()}
            last[e] = accesses
            if hit:
                visited.add(e)
            elif policy != 'static':
                if len(queue) == capacity:
                    free = [x for x in queue if x not in protected] or queue
                    if policy == 'fifo':
                        victim = free[0]
                    elif policy == 'lru':
                        victim = min(free, key=lambda x: last[x])
                    elif policy.startswith('lfu'):
                        victim = min(free, key=lambda x: (uses[x], last[x]))
                    elif policy == 'belady':
                        later = ahead[len(request):]
                        victim = max(free, key=lambda x: (later.index(x) if x in later else math.inf, x))
                    else:  # sieve, alone in serial mode: the hand clears marks on its way
                        i = queue.index(hand) if hand in queue else 0
                        while queue[i] in visited:
                            visited.discard(queue[i])
                            i = (i + 1) % len(queue)
                        victim = queue[i]
                        hand = queue[i + 1] if i + 1 < len(queue) else None
                    queue.remove(victim)
                    visited.discard(victim)
                    evictions += 1
                    if policy == 'lfu_in_cache':
                        uses[victim] = 0
                queue.append(e)
        clock += len(request)
    return hits, cold, evictions


def cache(trace, mode):
    policies = ['fifo', 'lru', 'lfu', 'lfu_in_cache', 'belady', 'static']
    if mode == 'serial':
        policies += ['lfu_aging', 'sieve']
    for policy in policies:
        for capacity in (2, 3, 5):
            for l in range(trace.layers):
                requests = list(trace.tokens(l))
                if mode == 'serial':
                    requests = [[e] for request in requests for e in request]
                hits, cold, evictions = plain_cache(requests, capacity, policy)
                where = f'layer={l} policy={policy} capacity={capacity}'
                yield 'layers', where, 'hits', hits
                yield 'layers', where, 'cold_misses', cold
                yield 'layers', where, 'evictions', evictions


# --- Co-activation and domains --------------------------------------------------------------------

def coactivation(trace):
    for l in range(trace.layers):
        tokens = list(trace.tokens(l))
        even = len({len(chosen) for chosen in tokens}) == 1
        for a in range(trace.experts):
            for b in range(trace.experts):
                n_a, n_b = (sum(e in chosen for chosen in tokens) for e in (a, b))
                if a == b or n_a == 0 or n_b == 0:
                    continue
                both = sum(a in chosen and b in chosen for chosen in tokens)
                near = sum(abs(chosen.index(a) - chosen.index(b)) == 1 for chosen in tokens
                           if a in chosen and b in chosen)
                where = f'layer={l} a={a} b={b}'
                yield 'pairs', where, 'n_ab', both
                yield 'pairs', where, 'share', both / n_a
                yield 'pairs', where, 'adjacent', near
                if a < b and even:  # which tokens count for chance is a matter of taste when k varies
                    yield 'pairs', where, 'pmi', math.log(both * len(tokens) / (n_a * n_b)) if both else math.nan


def domains(trace):
    names = sorted(set(trace.labels))
    inside = {name: [d for d, label in enumerate(trace.labels) if label == name] for name in names}
    for l in range(trace.layers):
        counts = {name: count(trace, l, inside[name]) for name in names}
        whole = count(trace, l)
        for name in names:
            rest = [a - b for a, b in zip(whole, counts[name])]
            yield 'groups', f'layer={l} name={name}', 'js', divergence(shares_of(counts[name]), shares_of(rest))
            for e in range(trace.experts):
                yield 'shares', f'layer={l} name={name} expert={e}', 'count', counts[name][e]
        for i, a in enumerate(names):
            for b in names[i + 1:]:
                yield ('distances', f'layer={l} a={a} b={b}', 'js',
                       divergence(shares_of(counts[a]), shares_of(counts[b])))
        for e in range(trace.experts):
            rates = []
            for name in names:
                f = windows(trace, l, e, 4, inside[name])
                rates.append(sum(f) / (4 * len(f)))
                yield 'shares', f'layer={l} name={name} expert={e}', 'windowed', rates[-1]
            rates = [r for r in rates if r > 1e-5]
            mean = sum(rates) / len(rates) if rates else math.nan
            variation = math.nan
            if len(rates) > 1:
                variation = math.sqrt(sum((r - mean) ** 2 for r in rates) / (len(rates) - 1)) / mean
            yield 'experts', f'layer={l} expert={e}', 'variation', variation


# --- Scores ---------------------------------------------------------------------------------------

def softmax(logits):
    powers = [math.exp(z) for z in logits]
    return [p / sum(powers) for p in powers]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def uncertainty(trace):
    for l in range(trace.layers):
        p = [softmax(z) for document in trace.logits for z in document[l]]
        ranked = [sorted(one, reverse=True) for one in p]
        gw = [-sum(x * math.log(x + 1e-5) for x in one) for one in p]
        values = {
            'shannon_nats': mean(entropy(one) for one in p), 'shannon_bits': mean(entropy(one) for one in p) / math.log(2),
            'normalised': mean(entropy(one) for one in p) / math.log(trace.experts),
            'perplexity': mean(math.exp(entropy(one)) for one in p),
            'tsallis': mean((1 - sum(x ** 1.1 for x in one)) / 0.1 for one in p), 'max_prob': mean(map(max, p)),
            'margin_top1_top2': mean(one[0] - one[1] for one in ranked),
            'selection_margin': mean(one[1] - one[2] for one in ranked), 'mean_entropy_gw': mean(gw),
            'uncertain_ratio': mean(h >= 1.2 for h in gw)}
        for column, value in values.items():
            yield 'layers', f'layer={l}', column, value


def losses(trace):
    n, all_f, all_p = trace.experts, [], []
    sums = {}
    for l in range(trace.layers):
        documents = [[(z, softmax(z), chosen) for z, chosen in zip(logits[l], choices[l])]
                     for logits, choices in zip(trace.logits, trace.choices)]
        tokens = [token for document in documents for token in document]

        def switch(part, taken):
            f = [mean(e in chosen[:taken] for _, _, chosen in part) for e in range(n)]
            p = [mean(p[e] for _, p, _ in part) for e in range(n)]
            return f, p, n * sum(a * b for a, b in zip(f, p))

        f, p, pooled = switch(tokens, 2)
        all_f.append(f)
        all_p.append(p)
        mass = [sum(p[e] for _, p, chosen in tokens if e in chosen) for e in range(n)]
        values = {'z_loss': mean(math.log(sum(map(math.exp, z))) ** 2 for z, _, _ in tokens),
                  'aux_grouped': mean(switch(document, 2)[2] for document in documents), 'aux_pooled': pooled,
                  'aux_first': switch(tokens, 1)[2],
                  'importance_cv2': mean((m - mean(mass)) ** 2 for m in mass) / mean(mass) ** 2}
        for measure, value in values.items():
            sums[measure] = sums.get(measure, 0) + value / trace.layers
            yield 'losses', f'layer={l} measure={measure}', 'value', value
    for measure, value in sums.items():
        yield 'overall', f'measure={measure}', 'value', value
    f = [mean(one[e] for one in all_f) for e in range(n)]
    p = [mean(one[e] for one in all_p) for e in range(n)]
    yield 'overall', 'measure=aux_concatenated', 'value', n * sum(a * b for a, b in zip(f, p))


# --- Files ----------------------------------------------------------------------------------------

def cases(traces):
    """Name, trace, analysis, its arguments, expected numbers."""
    top2, top1, adaptive, logits = traces
    for trace in (top2, top1, adaptive):
        yield trace, 'load', '', load(trace)
        yield trace, 'srp', '--lengths=4,16 --null=no', srp(trace)
    for trace in (top2, top1):
        yield trace, 'hit-rate', '--level=both --null=no --lookahead=4,16', hit_rate(trace)
    serial = f'--policies=fifo,lru,lfu,lfu_in_cache,lfu_aging,sieve,belady,static --aging={AGING}'
    yield top2, 'cache', serial + ' --capacities=2,3,5 --held-out=no --null=no', cache(top2, 'serial')
    yield (adaptive, 'cache', '--mode=batch --policies=fifo,lru,lfu,lfu_in_cache,belady,static --capacities=2,3,5 '
           '--held-out=no --null=no', cache(adaptive, 'batch'))
    for trace in (top2, adaptive):
        yield trace, 'coactivation', '--experts=0', coactivation(trace)
    yield top2, 'domains', '--segment=4 --permutations=0', domains(top2)
    yield logits, 'uncertainty', '--threshold=1.2', uncertainty(logits)
    yield logits, 'losses', '', losses(logits)


def number(x):
    return str(x) if isinstance(x, int) else f'{x:.10g}'


def files():
    """Names and contents of all files."""
    traces = make_traces()
    for trace in traces:
        yield trace.name + '.csv', trace.file()
        yield trace.name + '-labels.csv', trace.label_file()
    told, expected = ['trace\texperts\ttop_k\tanalysis\targuments'], ['trace,analysis,table,row,column,value']
    for trace, analysis, arguments, values in cases(traces):
        told.append(f'{trace.name}\t{trace.experts}\t{trace.top_k}\t{analysis}\t{arguments}')
        expected += [f'{trace.name},{analysis},{table},{row},{column},{number(value)}'
                     for table, row, column, value in values]
    yield 'cases.tsv', '\n'.join(told) + '\n'
    yield 'expected.csv', '\n'.join(expected) + '\n'


def same(a, b):
    """Equal but for the last digits of a line's last cell, in which machines may differ."""
    a, b = a.split('\n'), b.split('\n')
    if len(a) != len(b):
        return False
    for x, y in zip(a, b):
        (x, p), (y, q) = x.rpartition(',')[::2], y.rpartition(',')[::2]
        if x != y or (p != q and not math.isclose(float(p), float(q), rel_tol=1e-8, abs_tol=1e-12)):
            return False
    return True


def main():
    check, wrong = '--check' in sys.argv[1:], []
    for file, content in files():
        path = os.path.join(HERE, file)
        if not check:
            with open(path, 'w') as stream:
                stream.write(content)
            continue
        with open(path) as stream:
            there = stream.read()
        if not (same(content, there) if file == 'expected.csv' else content == there):
            wrong.append(file)
    if wrong:
        sys.exit('differ from what is there: ' + ', '.join(wrong))


main()
