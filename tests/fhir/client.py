"""What a program does that was written for another server, by the PyPI package fhirpy: client.py BASE TOKEN CA.pem"""
import json
import ssl
import sys

import requests
from fhirpy import SyncFHIRClient

base, token, ca = sys.argv[1:4]
client = SyncFHIRClient(base, authorization=f"Bearer {token}", requests_config={"verify": ca})

patient = client.resource(
    "Patient",
    identifier=[{"system": "urn:mrn", "value": "P-1"}],
    name=[{"family": "Quill", "given": ["Noor"]}],
    birthDate="1980-02-03",
)
patient.save()
assert patient.id and patient["meta"]["versionId"] == "1"
for day in range(1, 6):
    client.resource(
        "Observation",
        status="final",
        subject=patient.to_reference(),
        code={"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        effectiveDateTime=f"2026-03-0{day}T08:00:00Z",
        valueQuantity={"value": 8.5, "unit": "mmol/L"},
    ).save()
mine = client.resources("Observation").search(patient=patient.id, code="718-7", date__ge="2026-03-03")
assert len(mine.sort("-date").fetch()) == 3
assert len(client.resources("Observation").search(patient=patient.id).limit(2).fetch_all()) == 5
# It counts with a parameter of its own server's, which is left out where the caller says that it may be.
lenient = SyncFHIRClient(
    base,
    authorization=f"Bearer {token}",
    requests_config={"verify": ca},
    extra_headers={"Prefer": "handling=lenient"},
)
assert lenient.resources("Observation").search(patient=patient.id).count() == 5
assert client.resources("Patient").search(identifier="urn:mrn|P-1").first().id == patient.id
assert client.reference("Patient", patient.id).to_resource()["birthDate"] == "1980-02-03"
patient["gender"] = "female"
patient.save()
assert patient["meta"]["versionId"] == "2"
found = client.resources("Observation").search(patient=patient.id).include("Observation", "patient").fetch_raw()
assert {e.search.mode for e in found.entry} == {"match", "include"}
print(json.dumps({"done": True}))
