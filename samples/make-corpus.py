#!/usr/bin/env python3
"""Builds the training corpus of the sample model from Debian packages.

Downloads fixed packages with apt-get (nothing is installed), takes prose and dialogue in 22 languages
out of translated manuals and game scripts, and C, Python, shell, JSON, mathematics and generated logs;
drops repeated and untranslated paragraphs; writes one text per category, documents separated by form
feeds, every hundredth document to heldout/.  The same packages and seed give the same bytes; package
versions and sizes go to MANIFEST.

    samples/make-corpus.py [--output samples/corpus] [--packages DIR] [--seed 1]
"""

import argparse
import concurrent.futures
import gettext
import glob
import gzip
import hashlib
import html.parser
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unicodedata

# language: (LibreOffice help, handbook, GNOME help, gettext, manual pages, script of its letters)
LANGUAGES = {
    "en": ("en-us", "en-US", "C", "en", "", None),
    "ar": ("", "ar-MA", "", "ar", "", "\u0600-\u06ff"),
    "de": ("de", "de-DE", "de", "de", "de", None),
    "el": ("el", "el-GR", "el", "el", "el", "\u0370-\u03ff"),
    "es": ("es", "es-ES", "es", "es", "es", None),
    "fa": ("", "fa-IR", "fa", "fa", "", "\u0600-\u06ff"),
    "fi": ("fi", "", "fi", "fi", "", None),
    "fr": ("fr", "fr-FR", "fr", "fr", "fr", None),
    "hi": ("hi", "", "hi", "hi", "", "\u0900-\u097f"),
    "hu": ("hu", "", "hu", "hu", "hu", None),
    "id": ("id", "id-ID", "id", "id", "", None),
    "it": ("it", "it-IT", "it", "it", "it", None),
    "ja": ("ja", "ja-JP", "ja", "ja", "ja", "\u3040-\u30ff\u4e00-\u9fff"),
    "ko": ("ko", "ko-KR", "ko", "ko", "", "\uac00-\ud7af"),
    "nl": ("nl", "nl-NL", "nl", "nl", "nl", None),
    "pl": ("pl", "pl-PL", "pl", "pl", "pl", None),
    "pt": ("pt-br", "pt-BR", "pt_BR", "pt_BR", "", None),
    "ru": ("ru", "ru-RU", "ru", "ru", "ru", "\u0400-\u04ff"),
    "sv": ("sv", "sv-SE", "sv", "sv", "sv", None),
    "tr": ("tr", "tr-TR", "tr", "tr", "tr", None),
    "vi": ("vi", "vi-VN", "vi", "vi", "vi", None),
    "zh": ("zh-cn", "zh-CN", "zh_CN", "zh_CN", "zh", "\u4e00-\u9fff"),
}
CAMPAIGNS = "httt low utbs thot did dm dw ei l nr sof sota sotbe trow tsg ttb".split()
FORTUNES = ["fortunes", "fortunes-min", "fortunes-de", "fortunes-es", "fortunes-it", "fortunes-pl",
            "fortunes-ru", "fortunes-zh", "fortunes-br"]
CODE = ["libc6-dev", "linux-libc-dev", "libglib2.0-dev", "libgtk-4-dev", "libpython3.11-stdlib",
        "perl-modules-5.36", "initramfs-tools-core", "debhelper", "git"]
OTHER = ["debian-handbook", "gnome-user-docs", "iso-codes", "maxima-doc",
         "pari-doc", "python-sympy-doc", "wesnoth-1.16-data"]

LANGUAGE_BYTES = 1_000_000     # per language; letters of two or three bytes count as fewer
DOCUMENT = 1800                # characters of a document, about
HOLD_OUT = 100                 # every how many documents one is held out


def package_names():
    names = [f"libreoffice-help-{row[0]}" for row in LANGUAGES.values() if row[0]]
    names += [f"manpages-{row[4]}" for row in LANGUAGES.values() if row[4]]
    names += [f"wesnoth-1.16-{campaign}" for campaign in CAMPAIGNS]
    return sorted(set(names + FORTUNES + CODE + OTHER))


def download(folder):
    os.makedirs(folder, exist_ok=True)
    missing = [n for n in package_names() if not glob.glob(f"{folder}/{n}_*.deb")]
    if missing:
        subprocess.run(["apt-get", "-q", "download", *missing], cwd=folder, check=True,
                       stdout=sys.stderr)
    return {n: sorted(glob.glob(f"{folder}/{n}_*.deb"))[-1] for n in package_names()}


# --- Text out of files -------------------------------------------------------------------------

class Paragraphs(html.parser.HTMLParser):
    """The paragraphs of an HTML or Mallard page."""
    BLOCKS = set("p li dd dt h1 h2 h3 h4 td th div title item pre tr section page note br".split())
    SKIP = set("script style nav head code screen info link".split())

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.now, self.skip = [], [], 0

    def flush(self):
        text = re.sub(r"\s+", " ", "".join(self.now)).strip()
        self.now = []
        if text:
            self.found.append(text)

    def handle_starttag(self, tag, attrs):
        if tag in self.SKIP and tag != "link":
            self.skip += 1
        elif tag in self.BLOCKS:
            self.flush()

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in self.SKIP and tag != "link":
            self.skip = max(self.skip - 1, 0)
        elif tag in self.BLOCKS:
            self.flush()

    def handle_data(self, data):
        if not self.skip:
            self.now.append(data)


def read(path):
    data = gzip.open(path).read() if path.endswith(".gz") else open(path, "rb").read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text.replace("\f", "\n").replace("\r", "")


def html_paragraphs(path):
    parser = Paragraphs()
    parser.feed(read(path))
    parser.flush()
    return parser.found


def man_paragraphs(path):
    found, now = [], []
    for line in read(path).split("\n"):
        if line.startswith((".", "'")):
            if re.match(r"\.(PP|P|LP|SH|SS|TP|IP|br)\b", line):
                found.append(" ".join(now))
                now = []
            words = line.split(" ", 1)
            if re.match(r"\.(B|I|BR|IR|RB|RI|BI)\b", line) and len(words) > 1:
                now.append(words[1].replace('"', ""))
        else:
            now.append(line)
    found.append(" ".join(now))
    clean = []
    for text in found:
        text = re.sub(r"\\f[A-Z]|\\f\[[A-Z]*\]|\\[&,/|]|\\s[-+]?\d", "", text)
        text = text.replace("\\-", "-").replace("\\(bu", "").replace("\\e", "\\")
        text = re.sub(r"\\\(..|\\\[[^]]*\]", "", text)
        clean.append(re.sub(r"\s+", " ", text).strip())
    return [text for text in clean if text]


def message_paragraphs(path):
    """Translations of a game's script, or with the language of the original the originals."""
    with open(path, "rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog
    found = []
    for key in sorted((k for k in catalog if isinstance(k, str) and k), key=lambda k: k):
        text = re.sub(r"<[^>]*>", "", catalog[key]).split("^")[-1]
        found.append(re.sub(r"\s+", " ", text).strip())
    return found


def original_paragraphs(path):
    with open(path, "rb") as file:
        catalog = gettext.GNUTranslations(file)._catalog
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", k).split("^")[-1]).strip()
            for k in sorted(k for k in catalog if isinstance(k, str) and k)]


def fortune_paragraphs(path):
    return [p.strip() for p in re.split(r"\n%\n", read(path))]


def plain_paragraphs(path):
    return [re.sub(r"[ \t]+\n", "\n", p).strip("\n") for p in re.split(r"\n\s*\n", read(path))]


# --- Categories --------------------------------------------------------------------------------

def sample(rng, paths, size, reader, keep):
    """Documents from files in random order until there are `size` bytes."""
    paths = sorted(paths)
    rng.shuffle(paths)
    documents, total = [], 0
    for path in paths:
        if total >= size:
            break
        now, length = [], 0
        for text in reader(path) + [None]:
            if text is not None and keep(text):
                now.append(text)
                length += len(text)
            if now and (length >= DOCUMENT or text is None):
                documents.append("\n\n".join(now) if reader is plain_paragraphs else "\n".join(now))
                total += len(documents[-1].encode())
                now, length = [], 0
    rng.shuffle(documents)
    cut, out = 0, []
    for document in documents:
        if cut >= size:
            break
        out.append(document)
        cut += len(document.encode())
    return out


class Keeper:
    """Lets each paragraph pass once, when it is long enough and in the script it should be."""

    def __init__(self, seen, script, least):
        self.seen, self.least = seen, least
        self.script = re.compile(f"[{script}]") if script else None

    def __call__(self, text):
        if len(text) < self.least:
            return False
        letters = sum(unicodedata.category(c)[0] in "LM" for c in text)
        if self.script:
            if len(self.script.findall(text)) < 0.5 * letters or letters < 0.4 * len(text):
                return False
        elif self.least > 10 and letters < 0.6 * len(text):
            return False
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if key in self.seen:
            return False
        self.seen.add(key)
        return True


def find(root, pattern):
    return [p for p in glob.glob(f"{root}/{pattern}", recursive=True)
            if os.path.isfile(p) and not os.path.islink(p)]


def language(arguments):
    code, root, seed, english = arguments
    lo, handbook, gnome, messages, man, script = LANGUAGES[code]
    rng = random.Random(f"{seed} {code}")
    seen = set(english)
    wide = 1.0 if not script else 1.3 if code in ("ar", "fa", "ru", "el") else 1.5
    size = LANGUAGE_BYTES * wide * (1.5 if code == "en" else 1)
    keep = Keeper(seen, script, 12 if code in ("zh", "ja", "ko") else 30)
    documents = []
    mo = "de" if code == "en" else messages
    documents += sample(rng, find(root, f"usr/share/games/wesnoth/1.16/locale/{mo}/LC_MESSAGES/*.mo"),
                        0.4 * size, original_paragraphs if code == "en" else message_paragraphs, keep)
    books = {"en": "fortunes*", "de": "de", "es": "es", "it": "it", "pl": "pl", "ru": "ru",
             "zh": "zh", "pt": "brasil"}
    if code == "en":
        fortunes = [p for p in find(root, "usr/share/games/fortunes/*") if "." not in os.path.basename(p)]
        documents += sample(rng, fortunes, 0.3 * size, fortune_paragraphs, keep)
    elif code in books:
        fortunes = [p for p in find(root, f"usr/share/games/fortunes/{books[code]}*/**")
                    + find(root, f"usr/share/games/fortunes/{books[code]}*")
                    if not p.endswith((".dat", ".u8"))]
        documents += sample(rng, fortunes, 0.15 * size, fortune_paragraphs, keep)
    rest = size - sum(len(d.encode()) for d in documents)
    pages = find(root, f"usr/share/doc/debian-handbook/html/{handbook}/*.html") if handbook else []
    documents += sample(rng, pages, 0.35 * rest, html_paragraphs, keep)
    pages = find(root, f"usr/share/help/{gnome}/**/*.page") if gnome else []
    documents += sample(rng, pages, 0.25 * rest, html_paragraphs, keep)
    pages = find(root, f"usr/share/man/{man}*/man*/*.gz") if man else []
    documents += sample(rng, pages, 0.15 * rest, man_paragraphs, keep)
    rest = size - sum(len(d.encode()) for d in documents)
    pages = find(root, f"usr/share/libreoffice/help/{lo}/text/**/*.html") if lo else []
    documents += sample(rng, pages, rest, html_paragraphs, keep)
    return code, documents, seen if code == "en" else None


def logs(rng, size):
    """Server, kernel and application logs in common formats, made of random fields."""
    hosts = ["alpha", "db01", "web-3", "gateway", "node17", "build", "cache-2"]
    paths = ["/", "/index.html", "/api/v1/users", "/api/v1/orders/{}", "/static/app.js", "/login",
             "/search?q={}", "/img/{}.png", "/health", "/metrics"]
    agents = ["curl/7.88.1", "Mozilla/5.0 (X11; Linux x86_64)", "Go-http-client/1.1", "python-requests/2.28"]
    units = ["sshd", "systemd", "kernel", "cron", "postgres", "nginx", "dockerd", "NetworkManager"]
    events = ["Started Session {} of user root.", "Accepted publickey for admin from 10.0.{}.{} port {}",
              "Connection closed by 192.168.{}.{} port {}", "Out of memory: Killed process {} (java)",
              "usb 1-{}: new high-speed USB device number {}", "eth0: link up, {} Mbps, full duplex",
              "checkpoint complete: wrote {} buffers", "slow query: {} ms", "Reloading configuration",
              "worker {} exited with code {}", "disk sda{}: {}% used", "retry {} of {}: timed out"]
    documents, total = [], 0
    while total < size:
        kind, lines, at = rng.randrange(4), [], rng.randrange(1_600_000_000, 1_700_000_000)
        host = rng.choice(hosts)
        for _ in range(rng.randrange(10, 25)):
            at += rng.randrange(0, 90)
            n = [rng.randrange(1, 256) for _ in range(6)]
            h, m, s = at // 3600 % 24, at // 60 % 60, at % 60
            day, month = at // 86400 % 28 + 1, at // 2419200 % 12
            name = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[month]
            stamp = f"20{at // 31536000 % 30:02d}-{month + 1:02d}-{day:02d}T{h:02d}:{m:02d}:{s:02d}Z"
            event = rng.choice(events)
            event = event.format(*n[:event.count("{}")])
            path = rng.choice(paths).format(n[0])
            status = rng.choice([200, 200, 200, 200, 304, 404, 500, 301])
            if kind == 0:
                lines.append(f"{name} {day:2d} {h:02d}:{m:02d}:{s:02d} {host} {rng.choice(units)}"
                             f"[{n[0] * n[1]}]: {event}")
            elif kind == 1:
                lines.append(f'10.{n[0]}.{n[1]}.{n[2]} - - [{day:02d}/{name}/2023:{h:02d}:{m:02d}:{s:02d}'
                             f' +0000] "{rng.choice(["GET", "GET", "POST", "PUT"])} {path} HTTP/1.1"'
                             f' {status} {n[3] * n[4]} "-" "{rng.choice(agents)}"')
            elif kind == 2:
                lines.append(json.dumps({"time": stamp, "level": rng.choice(["info", "info", "warn", "error",
                             "debug"]), "host": host, "service": rng.choice(units), "message": event,
                             "duration_ms": n[5]}))
            else:
                lines.append(f"{stamp} {rng.choice(['INFO', 'INFO', 'WARN', 'ERROR', 'DEBUG'])} "
                             f"[worker-{n[0] % 8}] {rng.choice(units)}: {event}")
        documents.append("\n".join(lines))
        total += len(documents[-1])
    return documents


def json_documents(rng, root, size):
    documents = []
    for path in sorted(find(root, "usr/share/iso-codes/json/*.json")):
        for key, rows in sorted(json.load(open(path, encoding="utf-8")).items()):
            if not isinstance(rows, list):
                continue
            rng.shuffle(rows)
            step = rng.randrange(3, 12)
            for at in range(0, min(len(rows), 1500), step):
                indent = rng.choice([2, 4, None])
                documents.append(json.dumps({key: rows[at:at + step]}, indent=indent, ensure_ascii=False))
    rng.shuffle(documents)
    out, total = [], 0
    for document in documents:
        if total >= size:
            break
        out.append(document)
        total += len(document)
    return out


def domains(root, seed):
    """Everything that is no language: category -> documents."""
    rng = random.Random(f"{seed} domains")
    seen = set()
    keep = Keeper(seen, None, 8)
    shells = [p for p in find(root, "usr/share/initramfs-tools/**/*") + find(root, "usr/lib/git-core/*")
              + find(root, "usr/bin/*") if open(p, "rb").read(9) == b"#!/bin/sh"]
    texts = {
        "code-c": sample(rng, find(root, "usr/include/**/*.h"), 2_500_000, plain_paragraphs, keep),
        "code-python": sample(rng, find(root, "usr/lib/python3.11/**/*.py"), 1_500_000,
                              plain_paragraphs, keep),
        "code-perl": sample(rng, find(root, "usr/share/perl/**/*.pm"), 500_000, plain_paragraphs, keep),
        "code-shell": sample(rng, shells, 500_000, plain_paragraphs, keep),
        "json": json_documents(rng, root, 1_200_000),
        "logs": logs(rng, 1_200_000),
    }
    pages = (find(root, "usr/share/doc/maxima-doc/html/*.html")
             + find(root, "usr/share/doc/python-sympy-doc/html/**/*.html"))
    prose = Keeper(seen, None, 20)
    texts["math"] = sample(rng, pages, 1_800_000, html_paragraphs,
                           lambda text: len(text) < 3000 and prose(text))
    tex = [p for p in find(root, "usr/share/pari/doc/*.tex") + find(root, "usr/share/doc/pari-doc/*.tex*")]
    texts["math"] += sample(rng, tex, 700_000, plain_paragraphs, keep)
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--output", default=f"{here}/corpus")
    parser.add_argument("--packages", help="where packages are kept (OUTPUT/packages)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    packages = download(options.packages or f"{options.output}/packages")
    os.makedirs(f"{options.output}/heldout", exist_ok=True)
    texts = {}
    with tempfile.TemporaryDirectory() as root, concurrent.futures.ProcessPoolExecutor() as pool:
        list(pool.map(unpack, [(path, root) for path in packages.values()]))
        other = pool.submit(domains, root, options.seed)
        _, texts["en"], english = language(("en", root, options.seed, ()))
        jobs = [(code, root, options.seed, english) for code in LANGUAGES if code != "en"]
        for code, documents, _ in pool.map(language, jobs):
            texts[code] = documents
        texts.update(other.result())
    with open(f"{options.output}/MANIFEST", "w", encoding="utf-8") as manifest:
        for name in sorted(packages):
            manifest.write(os.path.basename(packages[name]) + "\n")
        manifest.write("\ncategory documents bytes held-out-bytes\n")
        for name in sorted(texts):
            documents = texts[name]
            random.Random(f"{options.seed} {name}").shuffle(documents)
            held = [d for i, d in enumerate(documents) if i % HOLD_OUT == HOLD_OUT - 1]
            train = [d for i, d in enumerate(documents) if i % HOLD_OUT != HOLD_OUT - 1]
            for folder, part in (("", train), ("/heldout", held)):
                with open(f"{options.output}{folder}/{name}.txt", "w", encoding="utf-8") as out:
                    out.write("\n\f".join(part) + "\n")
            sizes = [sum(len(d.encode()) for d in part) for part in (train, held)]
            manifest.write(f"{name} {len(documents)} {sizes[0]} {sizes[1]}\n")
    print(open(f"{options.output}/MANIFEST", encoding="utf-8").read(), end="")


def unpack(arguments):
    subprocess.run(["dpkg", "-x", *arguments], check=True)


if __name__ == "__main__":
    main()
