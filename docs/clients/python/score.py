"""Score one customer: python score.py HOST:PORT MODEL (CVM_TOKEN and CVM_CA as needed)."""

import os
import sys

import cvm

target, model = sys.argv[1:]
customer = {"frequency": [2.0], "recency": [30.43], "T": [38.86]}
with cvm.connect(
    target,
    timeout=2,
    token=os.environ.get("CVM_TOKEN"),
    ca_certificate=os.environ.get("CVM_CA"),
) as client:
    scores = client.score(model, customer, horizon=39)
    print(repr(float(scores["expected_purchases"][0])), scores["status"][0])
