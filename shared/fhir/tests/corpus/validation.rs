//! Every resource is taken, or stands in a list with the reason.

use crate::files::{data, json_below};
use std::collections::BTreeMap;
use vitrine_fhir::bundle::Bundle;
use vitrine_fhir::validate;

#[derive(Default)]
struct Count { ok: usize, bad: BTreeMap<String, String> }

#[test]
fn explore() {
    let Some(root) = data() else { return };
    for folder in ["fhir/au-core","fhir/us-core-9","fhir/r4-official-examples","fhir/synthea-2019/plain","fhir/microsoft-fhir-server"] {
        let mut c: BTreeMap<String, Count> = BTreeMap::new();
        for s in json_below(&root, folder) {
            let mut each: Vec<(String, Vec<u8>)> = vec![(s.path.clone(), s.bytes.clone())];
            if let Ok(b) = Bundle::parse(&s.bytes) {
                if folder.contains("synthea") { each.clear(); }
                for e in b.entries { if let Some(r) = e.resource { each.push((format!("{}#{}", s.path, e.index), r.to_vec())); } }
            }
            for (p, b) in each {
                let kind = vitrine_fhir::edit::member(&b, "resourceType").ok().flatten().map_or("?".to_owned(), |k| String::from_utf8_lossy(k).into_owned());
                let e = c.entry(kind).or_default();
                match validate(&b) { Ok(_) => e.ok += 1, Err(i) => { e.bad.insert(p, i.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(" ;; ")); } }
            }
        }
        println!("== {folder}");
        for (k, v) in c { println!("{k} ok={} bad={}", v.ok, v.bad.len()); for (p, t) in v.bad { println!("    {p}: {t}"); } }
    }
}
