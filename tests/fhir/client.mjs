// What a program does that was written for another server, by @medplum/core: node client.mjs BASE TOKEN
import assert from "node:assert/strict";
import { connect } from "./connect.mjs";

const { client } = await connect(process.argv[2], process.argv[3]);

const patient = await client.createResource({
  resourceType: "Patient",
  identifier: [{ system: "urn:mrn", value: "M-1" }],
  name: [{ family: "Marlow", given: ["Iris"] }],
  gender: "female",
  birthDate: "1971-05-04",
});
assert.ok(patient.id && patient.meta.versionId === "1");
const again = await client.createResourceIfNoneExist(patient, "identifier=urn:mrn|M-1");
assert.equal(again.id, patient.id);

const subject = { reference: `Patient/${patient.id}` };
const observation = await client.createResource({
  resourceType: "Observation",
  status: "preliminary",
  subject,
  code: { coding: [{ system: "http://loinc.org", code: "2823-3" }] },
  effectiveDateTime: "2026-03-01T08:00:00Z",
  valueQuantity: { value: 4.5, unit: "mmol/L", system: "http://unitsofmeasure.org", code: "mmol/L" },
});
const final = await client.updateResource({ ...observation, status: "final" });
assert.equal(final.meta.versionId, "2");
assert.equal((await client.readResource("Observation", observation.id)).status, "final");
assert.equal((await client.readVersion("Observation", observation.id, "1")).status, "preliminary");

const found = await client.searchResources("Observation", { patient: patient.id, code: "http://loinc.org|2823-3", date: "ge2026-03-01" });
assert.deepEqual(found.map((r) => r.id), [observation.id]);
const one = await client.searchOne("Patient", "identifier=urn:mrn|M-1");
assert.equal(one.id, patient.id);
const bundle = await client.search("Observation", `patient=${patient.id}&_include=Observation:patient`);
assert.deepEqual(bundle.entry.map((e) => e.search.mode), ["match", "include"]);

const patched = await client.patchResource("Observation", observation.id, [
  { op: "test", path: "/status", value: "final" },
  { op: "replace", path: "/status", value: "amended" },
]);
assert.deepEqual([patched.status, patched.meta.versionId], ["amended", "3"]);
const history = await client.readHistory("Observation", observation.id);
assert.deepEqual(history.entry.map((e) => e.resource.status), ["amended", "final", "preliminary"]);
const checked = await client.validateResource({ ...final, status: "nothing of R4" });
assert.ok(checked.issue.some((i) => i.severity === "error"), JSON.stringify(checked));
const short = await client.createResource({ ...final, id: undefined, meta: undefined, effectiveDateTime: "2026-02-01" });
await client.deleteResource("Observation", short.id);
await assert.rejects(client.readResource("Observation", short.id), /gone|deleted/i);

const batch = await client.executeBatch({
  resourceType: "Bundle",
  type: "transaction",
  entry: [1, 2, 3].map((n) => ({
    request: { method: "POST", url: "Observation" },
    resource: { ...final, id: undefined, meta: undefined, effectiveDateTime: `2026-03-0${n + 1}T08:00:00Z` },
  })),
});
assert.equal(batch.entry.length, 3);
const pages = [];
for await (const page of client.searchResourcePages("Observation", `patient=${patient.id}&_sort=-date&_count=2`)) pages.push(page.length);
assert.deepEqual(pages, [2, 2]);

await assert.rejects(client.readResource("Observation", "not-there"), /Not found|no such resource/i);
await assert.rejects(client.search("Observation", `patient=${patient.id}&colour=red`), /colour/);
console.log(JSON.stringify({ done: true }));
