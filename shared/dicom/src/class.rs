//! SOP classes: which of them are images.
//!
//! Lives here: a table of the Storage SOP classes whose IOD has an Image Pixel, Floating Point or Double Floating Point
//! Image Pixel module (PS3.4 Table B.5-1, PS3.3 Annex A; retired ones from PS3.6 Table A-1), without those of
//! non-destructive testing and security. Never here: what a viewer can show. Called by the index's users.

/// What all of them begin with.
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

/// What follows [`STORAGE`], and the name in PS3.6.
const IMAGES: &[(&str, &str)] = &[
    ("1", "Computed Radiography Image Storage"),
    ("1.1", "Digital X-Ray Image Storage - For Presentation"),
    ("1.1.1", "Digital X-Ray Image Storage - For Processing"),
    (
        "1.2",
        "Digital Mammography X-Ray Image Storage - For Presentation",
    ),
    (
        "1.2.1",
        "Digital Mammography X-Ray Image Storage - For Processing",
    ),
    ("1.3", "Digital Intra-Oral X-Ray Image Storage - For Presentation"),
    ("1.3.1", "Digital Intra-Oral X-Ray Image Storage - For Processing"),
    ("2", "CT Image Storage"),
    ("2.1", "Enhanced CT Image Storage"),
    ("2.2", "Legacy Converted Enhanced CT Image Storage"),
    ("3", "Ultrasound Multi-frame Image Storage (Retired)"),
    ("3.1", "Ultrasound Multi-frame Image Storage"),
    ("4", "MR Image Storage"),
    ("4.1", "Enhanced MR Image Storage"),
    ("4.3", "Enhanced MR Color Image Storage"),
    ("4.4", "Legacy Converted Enhanced MR Image Storage"),
    ("5", "Nuclear Medicine Image Storage (Retired)"),
    ("6", "Ultrasound Image Storage (Retired)"),
    ("6.1", "Ultrasound Image Storage"),
    ("6.2", "Enhanced US Volume Storage"),
    ("6.3", "Photoacoustic Image Storage"),
    ("7", "Secondary Capture Image Storage"),
    ("7.1", "Multi-frame Single Bit Secondary Capture Image Storage"),
    (
        "7.2",
        "Multi-frame Grayscale Byte Secondary Capture Image Storage",
    ),
    (
        "7.3",
        "Multi-frame Grayscale Word Secondary Capture Image Storage",
    ),
    ("7.4", "Multi-frame True Color Secondary Capture Image Storage"),
    ("12.1", "X-Ray Angiographic Image Storage"),
    ("12.1.1", "Enhanced XA Image Storage"),
    ("12.2", "X-Ray Radiofluoroscopic Image Storage"),
    ("12.2.1", "Enhanced XRF Image Storage"),
    ("12.3", "X-Ray Angiographic Bi-Plane Image Storage (Retired)"),
    ("13.1.1", "X-Ray 3D Angiographic Image Storage"),
    ("13.1.2", "X-Ray 3D Craniofacial Image Storage"),
    ("13.1.3", "Breast Tomosynthesis Image Storage"),
    (
        "13.1.4",
        "Breast Projection X-Ray Image Storage - For Presentation",
    ),
    ("13.1.5", "Breast Projection X-Ray Image Storage - For Processing"),
    (
        "14.1",
        "Intravascular Optical Coherence Tomography Image Storage - For Presentation",
    ),
    (
        "14.2",
        "Intravascular Optical Coherence Tomography Image Storage - For Processing",
    ),
    ("20", "Nuclear Medicine Image Storage"),
    ("30", "Parametric Map Storage"),
    ("66.4", "Segmentation Storage"),
    ("66.7", "Label Map Segmentation Storage"),
    ("66.8", "Height Map Segmentation Storage"),
    ("77.1", "VL Image Storage - Trial (Retired)"),
    ("77.1.1", "VL Endoscopic Image Storage"),
    ("77.1.1.1", "Video Endoscopic Image Storage"),
    ("77.1.2", "VL Microscopic Image Storage"),
    ("77.1.2.1", "Video Microscopic Image Storage"),
    ("77.1.3", "VL Slide-Coordinates Microscopic Image Storage"),
    ("77.1.4", "VL Photographic Image Storage"),
    ("77.1.4.1", "Video Photographic Image Storage"),
    ("77.1.5.1", "Ophthalmic Photography 8 Bit Image Storage"),
    ("77.1.5.2", "Ophthalmic Photography 16 Bit Image Storage"),
    ("77.1.5.4", "Ophthalmic Tomography Image Storage"),
    (
        "77.1.5.5",
        "Wide Field Ophthalmic Photography Stereographic Projection Image Storage",
    ),
    (
        "77.1.5.6",
        "Wide Field Ophthalmic Photography 3D Coordinates Image Storage",
    ),
    (
        "77.1.5.7",
        "Ophthalmic Optical Coherence Tomography En Face Image Storage",
    ),
    ("77.1.6", "VL Whole Slide Microscopy Image Storage"),
    ("77.1.7", "Dermoscopic Photography Image Storage"),
    ("77.1.8", "Confocal Microscopy Image Storage"),
    ("77.1.9", "Confocal Microscopy Tiled Pyramidal Image Storage"),
    ("77.2", "VL Multi-frame Image Storage - Trial (Retired)"),
    ("81.1", "Ophthalmic Thickness Map Storage"),
    ("82.1", "Corneal Topography Map Storage"),
    ("128", "Positron Emission Tomography Image Storage"),
    ("128.1", "Legacy Converted Enhanced PET Image Storage"),
    ("130", "Enhanced PET Image Storage"),
    ("481.1", "RT Image Storage"),
    ("481.2", "RT Dose Storage"),
    ("481.23", "Enhanced RT Image Storage"),
    ("481.24", "Enhanced Continuous RT Image Storage"),
];

fn image(uid: &str) -> Option<&'static (&'static str, &'static str)> {
    let rest = uid.strip_prefix(STORAGE)?;
    IMAGES.iter().find(|(own, _)| *own == rest)
}

/// Whether instances of this SOP class carry pixels. A private class is not known to: look at the scan instead.
#[must_use]
pub fn is_image(uid: &str) -> bool {
    image(uid).is_some()
}

/// The name of an image storage class in PS3.6; `None` for every other.
#[must_use]
pub fn name(uid: &str) -> Option<&'static str> {
    image(uid).map(|(_, name)| *name)
}

/// Computed Radiography Image Storage.
pub const CR: &str = "1.2.840.10008.5.1.4.1.1.1";
/// CT Image Storage.
pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
/// Enhanced CT Image Storage.
pub const ENHANCED_CT: &str = "1.2.840.10008.5.1.4.1.1.2.1";
/// Ultrasound Multi-frame Image Storage.
pub const US_MULTI_FRAME: &str = "1.2.840.10008.5.1.4.1.1.3.1";
/// MR Image Storage.
pub const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
/// Secondary Capture Image Storage.
pub const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_others() {
        for uid in [CR, CT, ENHANCED_CT, US_MULTI_FRAME, MR, SECONDARY_CAPTURE] {
            assert!(is_image(uid), "{uid}");
        }
        // A structured report, a key object selection, a presentation state, a plan, a document, an ECG.
        for rest in ["88.22", "88.59", "11.1", "481.5", "104.1", "9.1.1", "66", ""] {
            assert!(!is_image(&format!("{STORAGE}{rest}")), "{rest}");
        }
        assert_eq!(name(CT), Some("CT Image Storage"));
    }
}
