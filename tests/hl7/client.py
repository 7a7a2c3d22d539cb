"""Sends messages (a JSON array on stdin) by the PyPI package hl7 and prints what each was answered: client.py PORT"""
import json
import sys

import hl7
from hl7.client import MLLPClient

answers = []
with MLLPClient("127.0.0.1", int(sys.argv[1])) as client:
    for text in json.load(sys.stdin):
        answer = client.send_message(hl7.parse(text)).strip(b"\x0b\x1c\r")
        read = hl7.parse(answer.decode())
        answers.append({"code": str(read.segment("MSA")[1]), "control": str(read.segment("MSA")[2])})
print(json.dumps(answers))
