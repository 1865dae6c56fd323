"""Writes every case of the folder above: `python3 tests/data/attacks/make`. Needs `cryptography`."""

import sys

sys.dont_write_bytecode = True

import cases
import encryption
import json_forms
import nested
import parsing
import signatures
import symmetric

for module in (signatures, encryption, nested, parsing, symmetric, json_forms):
    module.all_cases()
cases.write_all()
