//! The one suite that every backend must pass: [`run_all`].
//!
//! Lives here: what the traits promise, as executable cases with a small projector of their own. Never here: anything
//! one backend alone does (files, keys, power cuts: those are tests of that backend).
//! Called by the tests of each backend. A case panics with what was promised and what was found.

mod archives;
mod audits;
mod charts;
mod copies;
mod directory;
mod feeds;
mod finds;
pub mod hospital;
mod identities;
mod imaging;
mod labels;
mod looks;
mod messages;
mod notes;
mod reviews;
mod tiers;
mod totp;

use crate::{Projector, Store};
use async_trait::async_trait;
use hospital::{Hospital, NoteProjector};
use std::sync::Arc;

/// A backend, as the suite uses it.
#[async_trait]
pub trait Backend: Send + Sync {
    /// An empty store.
    async fn fresh(&self, projector: Arc<dyn Projector>) -> Arc<dyn Store>;
    /// Gives the store up and opens the same data again; `None` when nothing outlives the store.
    async fn reopen(&self, store: Arc<dyn Store>, projector: Arc<dyn Projector>) -> Option<Arc<dyn Store>>;
}

async fn fresh(backend: &dyn Backend) -> Hospital {
    Hospital::new(backend.fresh(Arc::new(NoteProjector)).await, 0)
}

macro_rules! cases {
    ($($module:ident :: $case:ident;)*) => {
        /// Runs every case, each on an empty store, and says which one it is at.
        ///
        /// # Panics
        /// At the first promise that is not kept.
        pub async fn run_all(backend: &dyn Backend) {
            $(
                eprintln!("conformance: {}", stringify!($case));
                $module::$case(fresh(backend).await).await;
            )*
            eprintln!("conformance: restart");
            feeds::restart(backend, fresh(backend).await).await;
        }
        /// The names of the cases.
        pub const CASES: &[&str] = &[$(stringify!($case),)* "restart"];
    };
}

cases! {
    charts::creates_updates_and_deletes;
    charts::keeps_every_version;
    charts::checks_preconditions;
    charts::applies_an_operation_once;
    charts::applies_all_or_nothing;
    charts::refuses_another_patient;
    charts::updates_the_card_with_the_resource;
    charts::keeps_the_newest_facts_of_a_slot;
    charts::projects_dependents_again;
    charts::removes_the_card_with_the_last_resource;
    charts::a_patient_is_not_deleted_from_a_record;
    charts::moves_a_resource_to_another_patient;
    finds::pages_everything_completely;
    finds::reads_by_type;
    finds::finds_identifiers;
    finds::finds_patients;
    finds::finds_names_by_their_sound;
    finds::keeps_what_was_not_taken;
    finds::works_off_what_was_not_taken;
    notes::finds_notes_by_their_words;
    notes::looks_at_every_note_of_many;
    labels::withholds_what_a_permit_does_not_let_see;
    imaging::files_images;
    imaging::refuses_images_that_contradict_what_is_there;
    imaging::finds_studies;
    imaging::destroyed_images_leave_nothing;
    imaging::notes_what_became_of_pixels;
    copies::lists_originals_for_every_target;
    copies::notes_how_copies_stand;
    copies::copies_of_a_destroyed_record_are_to_go;
    finds::counts;
    feeds::has_no_gap_under_concurrent_writers;
    feeds::chains_revisions;
    feeds::tells_moves_between_wards;
    feeds::gives_scopes_in_key_order;
    feeds::prunes;
    feeds::tells_the_directory;
    audits::writes_one_row_per_access;
    audits::finds_every_mutation;
    audits::accepts_device_rows_once;
    looks::finds_rows_of_all_chains;
    looks::refuses_what_cannot_be_asked;
    directory::enrols_once;
    directory::keeps_accounts_sessions_clients;
    directory::sessions_that_are_over_are_forgotten;
    directory::a_badge_is_of_one_person;
    directory::new_secrets_change_what_is_new_and_nothing_else;
    identities::binds_one_identity_to_one_account;
    identities::ends_the_sessions_of_an_identity;
    identities::what_counts_once_counts_once;
    totp::a_second_factor_is_confirmed_once_and_goes_whole;
    totp::a_code_counts_once;
    messages::keeps_a_message_once;
    messages::keeps_messages_that_come_at_once;
    messages::settles_messages;
    messages::lists_messages;
    messages::counts_messages;
    messages::forgets_the_bytes_of_messages_that_are_done_with;
    messages::messages_of_a_destroyed_record_leave_no_bytes;
    reviews::keeps_grants_once;
    reviews::names_whose_glass_was_broken;
    reviews::a_review_is_decided_by_others;
    reviews::a_grant_ends_once_and_its_words_come_later;
    reviews::a_grant_is_taken_back_while_it_is_in_force;
    reviews::a_review_is_escalated_once_for_each_level;
    archives::a_hold_blocks_destruction;
    archives::destruction_needs_two_other_people;
    archives::destroys_a_record_once;
    archives::a_destroyed_record_stays_destroyed;
    tiers::bodies_move_by_age_and_come_back;
    tiers::words_of_notes_stay_when_bodies_move;
    tiers::essentials_and_used_records_stay;
    tiers::an_archived_record_is_written_and_told_of;
    tiers::held_records_move_and_destroyed_ones_leave_no_pack;
}
