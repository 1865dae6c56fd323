"""Writes every case of the folder above: `python3 tests/data/attacks/make`. Needs `cryptography`."""

import cases
import encryption
import nested
import signatures

for module in (signatures, encryption, nested):
    module.all_cases()
cases.write_all()
