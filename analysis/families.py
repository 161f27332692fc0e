#!/usr/bin/env python3
"""Turns samples/families.csv into a C table: families.py INPUT OUTPUT."""
import csv
import json
import sys

with open(sys.argv[1], encoding="utf-8", newline="") as source:
    rows = list(csv.DictReader(source))
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write("/* Made from samples/families.csv: language, name, family, branch, script. */\n")
    out.write("static const char *const ms_families[][5] = {\n")
    for row in rows:
        cells = [row[k] for k in ("language", "name", "family", "branch", "script")]
        out.write("  { " + ", ".join(json.dumps(c, ensure_ascii=False) for c in cells) + " },\n")
    out.write("};\n")
