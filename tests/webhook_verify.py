#!/usr/bin/env python3
"""Verifies deliveries as Standard Webhooks 1.0 says, from the specification alone and with nothing of Ferry's.

Each line of the standard input is {"secret", "id", "timestamp", "signature", "body"}, the body in base64; for each one
line is written: `ok`, or what is wrong. With --self-test the vector that the reference libraries publish is verified.
"""

import base64
import hashlib
import hmac
import json
import sys
import time

TOLERANCE_S = 5 * 60


def verify(delivery, now):
    secret = delivery["secret"]
    if not secret.startswith("whsec_"):
        return "the secret does not begin with whsec_"
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    if not 24 <= len(key) <= 64:
        return f"the secret has {len(key)} bytes"
    if "." in delivery["id"]:
        return "the id holds a full stop"
    if not delivery["timestamp"].isdecimal() or abs(now - int(delivery["timestamp"])) > TOLERANCE_S:
        return f"the timestamp is {delivery['timestamp']}"
    body = base64.b64decode(delivery["body"])
    signed = f"{delivery['id']}.{delivery['timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    for signature in delivery["signature"].split(" "):
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value, expected):
            return "ok"
    return "no signature fits"


def self_test():
    vector = {
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "timestamp": "1614265330",
        "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "body": base64.b64encode(b'{"test": 2432232314}').decode(),
    }
    print(verify(vector, 1614265330))


if sys.argv[1:] == ["--self-test"]:
    self_test()
else:
    for line in sys.stdin:
        print(verify(json.loads(line), time.time()))
