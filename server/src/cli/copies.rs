//! tmp
use super::{Context, Data, Outcome};
use crate::error::Fault;
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct BackupArgs {}
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {}
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {}
pub(super) async fn backup(_: &Context, _: BackupArgs) -> Result<Outcome, Fault> { Err(Fault::failed("")) }
pub(super) fn restore(_: &Context, _: RestoreArgs) -> Result<Outcome, Fault> { Err(Fault::failed("")) }
pub(super) fn verify(_: &Context, _: VerifyArgs) -> Result<Outcome, Fault> { Err(Fault::failed("")) }
pub(super) async fn migrate(_: &Context, _: &Data) -> Result<Outcome, Fault> { Err(Fault::failed("")) }
