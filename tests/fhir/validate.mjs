// Validates resources (a JSON array on stdin) by the npm package fhir against the structure of R4, and prints what it finds.
import { readFileSync } from "node:fs";
import fhir from "fhir";

const validator = new fhir.Fhir();
const found = [];
for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const { valid, messages } = validator.validate(resource, { errorOnUnexpected: true });
  const bad = messages.filter((m) => ["error", "fatal"].includes(m.severity));
  if (!valid || bad.length) found.push({ what: `${resource.resourceType}/${resource.id ?? "-"}`, messages: bad.map((m) => `${m.location}: ${m.message}`) });
}
console.log(JSON.stringify({ found }));
