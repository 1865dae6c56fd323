"""Writes every case of the folder above: `python3 tests/data/attacks/make`. Needs `cryptography`."""

import sys

sys.dont_write_bytecode = True

import agreement
import cases
import claim_sets
import content
import curves
import encoding
import headers
import json_forms
import json_keys
import json_signatures
import jwe_policy
import macs
import nested
import rsa_keys
import rsa_signatures
import shared_keys
import shared_policy
import signatures
import symmetric
import texts

for module in (
    signatures,
    curves,
    rsa_signatures,
    rsa_keys,
    agreement,
    content,
    jwe_policy,
    nested,
    claim_sets,
    texts,
    encoding,
    headers,
    symmetric,
    shared_keys,
    macs,
    shared_policy,
    json_forms,
    json_keys,
    json_signatures,
):
    module.all_cases()
cases.write_all()
