//! The acts on images, as the facade offers them.

use super::Workstation;
use crate::EngineError;
use crate::images::{self, Pixels};
use vitrine_wire::image_view::{HeldView, ImagesView, OpenSeriesView};

impl Workstation {
    /// The studies of a patient, by FHIR id or MRN, newest first: as the server tells them, else as they were told last.
    ///
    /// # Errors
    /// [`EngineError::NotOnThisWorkstation`] when they were never told here and the server cannot be reached;
    /// [`EngineError::Denied`], [`EngineError::NotSignedIn`], [`EngineError::AuditFailed`], [`EngineError::Refused`].
    pub async fn images(&self, patient: &str) -> Result<ImagesView, EngineError> {
        let (station, patient) = (self.station()?, patient.to_owned());
        self.inner
            .handle
            .spawn(images::list(station, patient))
            .await
            .map_err(|_| EngineError::Internal("listing images"))?
    }

    /// Opens a series. `px` is the longest side of its place on the screen, device pixels.
    ///
    /// # Errors
    /// As [`Self::images`]; [`EngineError::Usage`] for what is no DICOM UID.
    pub async fn image_open(
        &self,
        patient: &str,
        study: &str,
        series: &str,
        px: u32,
    ) -> Result<OpenSeriesView, EngineError> {
        let (station, patient) = (self.station()?, patient.to_owned());
        let (study, series) = (study.to_owned(), series.to_owned());
        self.inner
            .handle
            .spawn(images::open(station, patient, study, series, px))
            .await
            .map_err(|_| EngineError::Internal("opening images"))?
    }

    /// The screen looks at another frame: its place in the order of scrolling, and how many frames a second it moves.
    ///
    /// # Errors
    /// [`EngineError::NotSignedIn`].
    pub fn image_center(&self, view: u32, frame: u32, velocity: f32, px: u32) -> Result<(), EngineError> {
        images::center(&*self.station()?, view, frame, velocity, px)
    }

    /// What is here of a view, and how many bytes of it; `None` when there is no such view.
    #[must_use]
    pub fn image_held(&self, view: u32) -> Option<(HeldView, u64)> {
        images::held(&*self.station().ok()?, view)
    }

    /// A view is no longer on the screen.
    pub fn image_close(&self, view: u32) {
        if let Ok(station) = self.station() {
            images::close(&station, view);
        }
    }

    /// Pixels of a frame, as soon as there are better ones than layer `above` (`None` = none are shown).
    pub async fn image_pixels(&self, token: &str, frame: u32, above: Option<u8>) -> Pixels {
        let Ok(station) = self.station() else {
            return Pixels::Ended;
        };
        let shared = images::shared(&station);
        // Nothing is waited for with the workstation held open.
        drop(station);
        images::pixels(&shared, token, frame, above).await
    }

    /// A small picture (PNG) of a series that a list names; `None` when there is none.
    pub async fn image_thumbnail(&self, token: &str, series: &str) -> Option<Vec<u8>> {
        let station = self.station().ok()?;
        let (token, series) = (token.to_owned(), series.to_owned());
        self.inner
            .handle
            .spawn(images::thumbnail(station, token, series))
            .await
            .ok()
            .flatten()
    }
}
