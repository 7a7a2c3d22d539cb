"""Checks rows of the audit log in others' forms, without any code of Vitrine: FHIR AuditEvents, messages of ITI-20.

    python3 audit_forms.py ROWS.json          # {"kinds": [name, …], "rows": [{"case", "entry", "events", "messages"}, …]}
    python3 audit_forms.py --bundle FILE      # a Bundle of AuditEvents as FHIR
    python3 audit_forms.py --messages FILE    # messages as a receiver of syslog kept them, one a line

FHIR: the models of fhir.resources (R4B; AuditEvent is the same in R4 4.0.1): cardinalities, types, formats. BALP: the table
PROFILES, written from the StructureDefinitions of IHE ITI BALP 1.1.4 (each line says which element). DICOM: the schema of
PS3.15 A.5.1.1 in audit-message.rng, codes and their meaning from the dictionary of pydicom (PS3.16), the table DICOM from
PS3.15 A.5.3. EXPECTED says for every act which of these it has to be. Syslog: RFC 5424, RFC 5425.
"""
import base64, json, pathlib, re, sys

from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from lxml import etree
from pydicom.sr._concepts_dict import concepts

DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest")
HOW = "http://hl7.org/fhir/restful-interaction"
PART = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
KIND = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
LIFE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
DESTINATION, SOURCE, APPLICATION = (DCM, "110152"), (DCM, "110153"), (DCM, "110150")
CUSTODIAN = ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian")
AUTHORS = {(PART, c) for c in ("AUT", "INF", "CST")}  # ValueSet DataSources

# What each profile of BALP 1.1.4 fixes. Elements: AuditEvent.type, .subtype (slice, 1..1), .action, .agent:client.type,
# .agent:server.type (1..1 each, who 1..1, network 1..1), .agent:user.type (0..1, requestor true, network 0..0),
# .entity:data or .entity:query (1..1). All: outcome fixed 0, recorded 1..1.
PROFILES = {
    # StructureDefinition-IHE.BasicAudit.Read: subtype:anyRead from AllReadVS
    "Read": dict(type=REST, subtype={(HOW, "read"), (HOW, "vread")}, action="R", client=DESTINATION, server=SOURCE, user={(PART, "IRCP")}, entity="data"),
    # StructureDefinition-IHE.BasicAudit.Query: subtype:anySearch from AllSearchVS
    "Query": dict(type=REST, subtype={(HOW, "search"), (HOW, "search-type"), (HOW, "search-system")}, action="E", client=SOURCE, server=DESTINATION, user={(PART, "IRCP")}, entity="query"),
    # StructureDefinition-IHE.BasicAudit.Create: subtype:anyCreate fixed
    "Create": dict(type=REST, subtype={(HOW, "create")}, action="C", client=SOURCE, server=DESTINATION, user=AUTHORS, entity="data"),
    # StructureDefinition-IHE.BasicAudit.Update: subtype:anyUpdate from AllUpdateVS
    "Update": dict(type=REST, subtype={(HOW, "update"), (HOW, "patch")}, action="U", client=SOURCE, server=DESTINATION, user=AUTHORS, entity="data"),
    # StructureDefinition-IHE.BasicAudit.Delete: agent:client 110150, agent:server custodian
    "Delete": dict(type=REST, subtype={(HOW, "delete")}, action="D", client=APPLICATION, server=CUSTODIAN, user=AUTHORS, entity="data"),
}
# StructureDefinition-IHE.BasicAudit.Patient…: the parent, and entity:patient 1..1 (type 1, role 1, what Reference(Patient) 1..1).
for name in list(PROFILES):
    PROFILES["Patient" + name] = dict(PROFILES[name], patient=True)
# StructureDefinition-IHE.BasicAudit.PrivacyDisclosure.Source: agent:source obeys val-audit-source, agent:recipient, entity:patient
PROFILES["PrivacyDisclosure.Source"] = dict(type=(DCM, "110106"), subtype={(LIFE, "disclose")}, action="R", client=DESTINATION, server=SOURCE, user=None, entity=None, patient=True)

# PS3.15 A.5.3: the actions an event may have, and the EventTypeCodes (A.5.3.11 to A.5.3.13; None: it has none).
DICOM = {
    "110101": ("R", None),                      # A.5.3.2 Audit Log Used
    "110106": ("R", None),                      # A.5.3.6 Data Export
    "110107": ("CE", None),                     # A.5.3.7 Data Import (live values are not kept: E)
    "110110": ("CRUD", None),                   # A.5.3.10 Patient Record
    "110112": ("E", None),                      # A.5.3.11 Query
    "110113": ("CUDE", {"110126", "110127", "110128", "110129", "110130", "110131", "110132", "110133", "110134", "110135",
                        "110136", "110137", "110138", "110139", "110140", "110141", "110142"}),  # A.5.3.12 Security Alert
    "110114": ("E", {"110122", "110123"}),      # A.5.3.13 User Authentication
}
ALERT, LOGIN = "110113", "110114"
# Every act: the profile, or event and type of DICOM, and the action.
EXPECTED = {
    "read-card": ("PatientRead", "R"), "read-card/packet": ("PrivacyDisclosure.Source", "R"),
    "read-card/glass": ("PatientRead", "R"), "read-card/several": ("PatientRead", "R"),
    "read-chart": ("PatientRead", "R"), "read-chart/studies": ("PatientQuery", "E"),
    "read-chart/many": ("PatientRead", "R"),
    "read-resource": ("PatientRead", "R"), "read-resource/nobody": ("Read", "R"), "read-resource/nothing": ("Read", "R"),
    "search-patients": ("PatientQuery", "E"), "search-patients/none": ("Query", "E"), "search-patients/several": ("PatientQuery", "E"),
    "view-board": ("PatientQuery", "E"), "sync-scope": ("PatientQuery", "E"), "sync-scope/device": ("PatientQuery", "E"),
    "write-clinical": ("PatientUpdate", "U"), "write-clinical/new": ("PatientCreate", "C"),
    "write-clinical/client": ("PatientUpdate", "U"), "destroy-record": ("PatientDelete", "D"),
    "destroy-record/operator": ("PatientDelete", "D"),
    "break-glass": ((ALERT, "110127"), "E"), "end-break-glass": ((ALERT, "110138"), "E"),
    "explain-break-glass": ((ALERT, None), "U"), "receive-grant": ((ALERT, None), "C"),
    "review-break-glass": ((ALERT, None), "U"), "review-break-glass/list": (("110101", None), "R"),
    "read-audit": (("110101", None), "R"), "send-live": (("110107", None), "E"), "import-data": (("110107", None), "C"),
    "run-drill": ((ALERT, "110128"), "E"), "end-drill": ((ALERT, "110128"), "E"),
    "manage-users": ((ALERT, "110137"), "U"), "manage-users/list": ("Query", "E"),
    "manage-devices": ((ALERT, "110129"), "U"), "manage-devices/list": ("Query", "E"),
    "operate-server": ((ALERT, "110141"), "E"), "hold-record": (("110110", None), "U"),
    "request-destruction": (("110110", None), "U"), "approve-destruction": (("110110", None), "U"),
    "sign-in": ((LOGIN, "110122"), "E"), "identify": ((LOGIN, "110122"), "E"), "sign-out": ((LOGIN, "110123"), "E"),
    "enrol": ((ALERT, "110129"), "C"), "wiped": ((ALERT, "110129"), "D"), "alarm": ((ALERT, None), "E"),
    "self-test": (("self-test", None), "E"), "claim-lane": ((ALERT, "110132"), "E"),
    "introspect-token": (("introspect-token", None), "R"), "authorize-app": ((ALERT, "110137"), "E"),
    "second-factor": ((ALERT, "110137"), "U"),
    "change-secret": ((ALERT, "110137"), "U"),
}
REASONS = {"TREAT": ["TREAT"], "BTG": ["BTG", "ETREAT"], "HSYSADMIN": ["HSYSADMIN"], "HCOMPL": ["HCOMPL"]}
MEANING = {code: text for said in concepts["DCM"].values() for code, (text, _) in said.items()}
SCHEMA = etree.RelaxNG(etree.parse(str(pathlib.Path(__file__).with_name("audit-message.rng"))))
HEAD = re.compile(r"^<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) - \ufeff(<\?xml .*)$", re.S)


def need(fine, text):
    if not fine:
        raise AssertionError(text)


def of(coding):
    return coding.get("system"), coding.get("code")


def meaning(system, code, text):
    if system in (DCM, "DCM"):
        need(code in MEANING and MEANING[code].lower() == text.lower(), f"{code} is not {text!r} in PS3.16")


def codings(value):
    """Every coding in a resource has the meaning it claims."""
    if isinstance(value, dict):
        if "system" in value and "code" in value:
            meaning(value["system"], value["code"], value.get("display", ""))
        for v in value.values():
            codings(v)
    elif isinstance(value, list):
        for v in value:
            codings(v)


def whole(value):
    """No element is empty (ele-1; a string has at least one character that is no space)."""
    need(value not in ({}, [], None) and not (isinstance(value, str) and not value.strip()), "an empty element")
    for v in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        whole(v)


def one(found, what):
    need(len(found) == 1, f"{what}: {len(found)} times, not once")
    return found[0]


def profiled(event, name):
    p = PROFILES[name]
    need(of(event["type"]) == p["type"], f"{name}: type {event['type']}")
    one([s for s in event["subtype"] if of(s) in p["subtype"]], f"{name}: subtype")
    need(event["action"] == p["action"], f"{name}: action {event['action']}")
    need("modifierExtension" not in event, f"{name}: modifierExtension")
    kinds = [of(a["type"]["coding"][0]) for a in event["agent"]]
    need(len(kinds) >= 2, f"{name}: fewer than two agents")
    for slice in ("client", "server"):
        a = event["agent"][one([i for i, k in enumerate(kinds) if k == p[slice]], f"{name}: agent {slice}")]
        need(a.get("who") and a.get("network") and "media" not in a, f"{name}: agent {slice} without who or network")
        if name.startswith("Privacy") and slice == "server":
            need(a["who"] == event["source"]["observer"], f"{name}: val-audit-source")
    users = [a for a, k in zip(event["agent"], kinds) if k[0] == PART]
    need(len(users) <= 1, f"{name}: several users")
    for a in users:
        need(a["requestor"] is True and a.get("who") and "network" not in a and "media" not in a, f"{name}: agent user")
        need(p["user"] is None or of(a["type"]["coding"][0]) in p["user"], f"{name}: agent user is {a['type']}")
    of_kind = lambda code: [e for e in event["entity"] if of(e.get("type", {})) == (KIND, code)]
    if p.get("patient"):
        e = one(of_kind("1"), f"{name}: entity patient")
        need(of(e["role"]) == (ROLE, "1") and e["what"]["reference"].startswith("Patient/"), f"{name}: entity patient")
    if p["entity"] == "data":
        e = one(of_kind("2"), f"{name}: entity data")
        need(of(e["role"]) in {(ROLE, c) for c in ("4", "3", "20")} and e.get("what"), f"{name}: entity data")
    if p["entity"] == "query":
        e = one(of_kind("2"), f"{name}: entity query")
        need(of(e["role"]) == (ROLE, "24") and e.get("query"), f"{name}: entity query")
        need(not {"what", "lifecycle", "detail"} & set(e), f"{name}: entity query has what it may not")
        need(base64.b64decode(e["query"], validate=True).decode(), f"{name}: empty query")


def fhir(event):
    AuditEvent.model_validate_json(json.dumps(event))
    codings(event)
    # sev-1 of AuditEvent: a name or a query, not both; ele-1: no element is empty
    need(all(not ("name" in e and "query" in e) for e in event.get("entity", [])), "sev-1")
    whole(event)
    denied = event["outcome"] != "0"
    claimed = event.get("meta", {}).get("profile", [])
    need(not (denied and claimed), "a refusal claims a profile of success")
    for url in claimed:
        need(url.startswith(PROFILE), url)
        profiled(event, url[len(PROFILE):])
    return [url[len(PROFILE):] for url in claimed]


def plain(event, expected):
    code, kind = expected
    system = DCM if code in DICOM else "urn:vitrine:audit-act"
    need(of(event["type"]) == (system, code), f"type {event['type']}, not {code}")
    kinds = [c for s, c in map(of, event["subtype"]) if s == DCM]
    need(kinds == ([kind] if kind else []), f"subtypes {kinds}, not {kind}")


def dicom(event, action, types):
    if event in DICOM:
        actions, allowed = DICOM[event]
        need(action in actions, f"{event} with action {action}")
        need(all(t in (allowed or ()) for t in types), f"{event} with types {types}")


def message(text):
    need(len(text.encode()) <= 32768, "longer than 32,768 bytes")
    head = HEAD.match(text)
    need(head, f"not RFC 5424: {text[:80]!r}")
    pri, at, host, app, pid, msgid, xml = head.groups()
    need(pri == "85" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", at), f"head {head.groups()[:6]}")
    need(all(33 <= ord(c) <= 126 for part in (host, app, pid, msgid) for c in part), "head is not printable ASCII")
    tree = etree.fromstring(xml.encode())
    need(SCHEMA.validate(tree), f"PS3.15 A.5.1.1: {SCHEMA.error_log}")
    for e in tree.iter():
        if e.get("csd-code") and e.get("originalText"):
            meaning(e.get("codeSystemName"), e.get("csd-code"), e.get("originalText"))
    identified = tree.find("EventIdentification")
    kinds = [k.get("csd-code") for k in identified.findall("EventTypeCode") if k.get("codeSystemName") == "DCM"]
    dicom(identified.find("EventID").get("csd-code"), identified.get("EventActionCode"), kinds)
    return tree, identified, kinds


def listed(entry):
    """Everything the row names, as FHIR and as a message name it."""
    out = []
    for r in entry["disclosure"]["resources"]:
        kind, id_ = r["key"].split("/", 1) if isinstance(r["key"], str) else (r["key"]["kind"], r["key"]["id"])
        made = kind in ("EmergencyCard",)
        fhir_said = ("value", f"{id_}/{r['version']}") if made else ("reference", f"{kind}/{id_}/_history/{r['version']}")
        out.append((fhir_said, f"{kind}/{id_}/_history/{r['version']}"))
    return out


def row(r):
    entry, events, messages = r["entry"], r["events"], r["messages"]
    expected, action = EXPECTED[r["case"].removesuffix("/denied")]
    denied = entry["decision"] == "deny"
    patients = {p for p in [entry.get("patient"), *entry["disclosure"]["patients"]] if p}
    need(events and messages, "nothing was made")
    for event in events:
        claimed = fhir(event)
        need(event["action"] == action, f"action {event['action']}, not {action}")
        need((event["outcome"] != "0") == denied, "the outcome is not the decision")
        if denied:
            need(event["outcome"] == ("4" if entry["rule"].startswith("wrong-") else "8"), "outcome of a refusal")
        need([of(c["coding"][0])[1] for c in event["purposeOfEvent"]] == REASONS[entry["purpose"]], "purposeOfEvent")
        need(("urn:vitrine:audit-act", entry["action"]) in map(of, event["subtype"]), "the act is not named")
        if isinstance(expected, str):
            if denied:
                profiled(dict(event, outcome="0"), expected)
            else:
                need(claimed == [expected], f"profile {claimed}, not {expected}")
        else:
            need(not claimed, f"profile {claimed} for what BALP has none")
            plain(event, expected)
            dicom(event["type"]["code"], event["action"], [c for s, c in map(of, event["subtype"]) if s == DCM])
        who = entry["actor"]
        name = next(iter(who.values()))
        ids = [a["who"].get("identifier", {}).get("value") for a in event["agent"]]
        need(name in ids, f"{name} is no agent: {ids}")
        asking = [a for a in event["agent"] if a["requestor"]]
        need(len(asking) == 1, f"{len(asking)} requestors")
        need(entry.get("device") is None or "User" not in who or entry["device"] in ids, "the workstation is no agent")
        need(re.fullmatch(r"\d{4}-.*\.\d{3}Z", event["recorded"]), event["recorded"])
    flat = [json.dumps(e) for e in events]
    for p in patients:
        need(sum(f'"reference": "Patient/{p}"' in e for e in flat) >= 1, f"{p} is in no event")
    trees = [message(m) for m in messages]
    for _, identified, kinds in trees:
        event, kind = expected if not isinstance(expected, str) else (None, None)
        if event:
            need(identified.find("EventID").get("csd-code") == event and kinds == ([kind] if kind else []), "EventID")
        need(identified.get("EventActionCode") == action, "EventActionCode")
        need(identified.get("EventOutcomeIndicator") == events[0]["outcome"], "EventOutcomeIndicator")
    objects = [o.get("ParticipantObjectID") for t, _, _ in trees for o in t.findall("ParticipantObjectIdentification")]
    need(patients <= set(objects), "a patient is in no message")
    for (field, value), id_ in listed(entry):
        need(any(f'"{field}": "{value}"' in e for e in flat), f"{value} is in no event")
        need(objects.count(id_) == 1, f"{id_} is in messages {objects.count(id_)} times")
    users = {u.get("UserID") for t, _, _ in trees for u in t.findall("ActiveParticipant")}
    need(next(iter(entry["actor"].values())) in users, f"who acts is not in {users}")


def main():
    if sys.argv[1] == "--bundle":
        bundle = json.loads(pathlib.Path(sys.argv[2]).read_text("utf-8"))
        Bundle.model_validate_json(json.dumps(bundle))
        events = [e["resource"] for e in bundle.get("entry", []) if e["resource"]["resourceType"] == "AuditEvent"]
        profiles = [p for e in events for p in fhir(e)]
        print(f"{len(events)} AuditEvents, profiles {sorted(set(profiles))}: YES")
        return
    if sys.argv[1] == "--messages":
        lines = pathlib.Path(sys.argv[2]).read_text("utf-8").splitlines()
        for line in lines:
            message(line)
        print(f"{len(lines)} messages: YES")
        return
    said = json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))
    missing = set(said["kinds"]) - {c.split("/")[0] for c in EXPECTED}
    need(not missing, f"nobody wrote down what these acts have to be: {sorted(missing)}")
    cases = {r["case"].removesuffix("/denied") for r in said["rows"]}
    need(said.get("some") or cases == set(EXPECTED), f"cases: {sorted(cases ^ set(EXPECTED))}")
    faults = []
    for r in said["rows"]:
        try:
            row(r)
        except (AssertionError, ValueError, KeyError, etree.XMLSyntaxError) as e:
            faults.append(f"{r.get('name', r['case'])}: {type(e).__name__}: {e}"[:600])
    if faults:
        print("NO\n" + "\n".join(faults))
        sys.exit(1)
    print(f"{len(said['rows'])} rows, {sum(len(r['events']) for r in said['rows'])} AuditEvents, "
          f"{sum(len(r['messages']) for r in said['rows'])} messages: YES")


main()
