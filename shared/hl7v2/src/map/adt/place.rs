//! PL: wards and beds.

use super::Adt;
use crate::draft::{Draft, How, Key, draft_reference};
use crate::json::{Json, array, concept, object, set, text};
use crate::message::Seg;
use crate::types::{HL7, identifier_of};
use vitrine_clinical::label::Label;

/// The system of a ward's key; its value is the id of its Location.
const WARD: &str = "urn:vitrine:ward";

impl Adt<'_> {
    /// The place that a field of type PL names, as a reference to the draft of its bed or room, else of its ward.
    pub(super) fn place(&mut self, seg: &Seg<'_>, field: usize) -> Option<Json> {
        let pl = seg.rep(field);
        let (point, room, bed) = (pl.text(1), pl.text(2), pl.text(3));
        if point.is_empty() {
            if !pl.is_empty() {
                self.out
                    .note(seg.place_of(field), "a place without a point of care: not taken");
            }
            return None;
        }
        let ward_id = self.feed.ward(&point);
        let key = Key::new(WARD, ward_id.clone());
        let ward = self.location(seg, field, key, &point, "wa", None);
        if room.is_empty() && bed.is_empty() {
            return Some(reference(ward, &point));
        }
        let (kind, name) = if bed.is_empty() {
            ("ro", room.clone())
        } else if room.is_empty() || bed.starts_with(&room) {
            ("bd", bed.clone())
        } else {
            ("bd", format!("{room}-{bed}"))
        };
        let key = Key::new(self.feed.own("bed", ""), format!("{ward_id}|{room}|{bed}"));
        let bed = self.location(seg, field, key, &name, kind, Some(ward));
        Some(reference(bed, &name))
    }

    fn location(
        &mut self,
        seg: &Seg<'_>,
        field: usize,
        key: Key,
        name: &str,
        kind: &str,
        within: Option<usize>,
    ) -> usize {
        let known = self.out.drafts.iter();
        if let Some(at) = known
            .enumerate()
            .find_map(|(at, d)| (d.kind == "Location" && d.keys.contains(&key)).then_some(at))
        {
            return at;
        }
        let body = object([
            ("resourceType", text("Location")),
            ("identifier", array([identifier_of(&key)])),
            ("status", text("active")),
            ("name", text(name)),
            ("mode", text("instance")),
            (
                "physicalType",
                Some(concept(&format!("{HL7}location-physical-type"), kind, "")),
            ),
            ("partOf", within.map(draft_reference)),
        ]);
        self.out.push(Draft {
            kind: "Location",
            keys: vec![key],
            how: How::IfAbsent,
            dated: self.dated.clone(),
            body,
            made_with: Json::Null,
            label: Label::NONE,
            place: seg.place_of(field),
        })
    }
}

fn reference(index: usize, words: &str) -> Json {
    let mut out = draft_reference(index);
    set(&mut out, "display", Json::String(words.to_owned()));
    out
}
