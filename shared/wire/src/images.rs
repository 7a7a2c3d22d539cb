//! The stream of images, `/ws/images`: a second socket beside the sync connection, so that a study never stands before the
//! record.
//!
//! Lives here: every message of it, and its binary frames. Never here: pixels, packs (their index travels as bytes that
//! `vitrine_pixels` reads), priorities (`vitrine_dicom::stages`).
//!
//! The workstation pulls: it knows what it holds, what is on the screen and what the link can do, and asks for segments one
//! by one, never for more than [`OUTSTANDING_MOST`] bytes ahead. So the server keeps no plan, a download goes on where it
//! stopped whatever ended it, and a change of mind costs one window. What is on the screen first does not wait for a
//! question: with the index of a series comes its first frame.
//!
//! Control messages are text, JSON, one object each, tagged by `t`; indexes and segments are binary ([`Piece`]).

use crate::ErrorCode;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Version of this protocol, in the address: `/ws/images?v=1`.
pub const PROTOCOL: u32 = 1;
/// Bytes of segments that a workstation may have asked for and not been given; who asks for more is cut off.
pub const OUTSTANDING_MOST: u64 = 8 << 20;
/// Segments named in one [`Ask::Want`] at most.
pub const WANT_MOST: usize = 4096;
/// Frames in one piece of an index at most.
pub const INDEX_FRAMES: usize = 256;

/// A segment: number of the pack in [`Told::Opened`], frame in the pack, number of the segment in the frame's list.
pub type Wanted = (u16, u32, u8);

/// Path of the same stream for a workstation on its own behalf: the lists and the layers of 64 pixels of the patients of its
/// ward, fetched ahead. The server begins with [`Told::Prove`].
pub const AHEAD: &str = "/ws/images/ahead";

/// What a workstation asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "kebab-case")]
pub enum Ask {
    /// The answer to [`Told::Prove`], once, before anything else.
    Prove {
        /// The workstation's id.
        device: String,
        /// Ed25519 over `vitrine_sync::proof::device_images`, hex.
        signature: String,
    },
    /// The studies of a patient.
    List {
        /// Whose: the record's id.
        patient: String,
    },
    /// Opens a series, or looks again whether there is more of it.
    Open {
        /// A number of the workstation's own for what it opens; the same number again replaces it.
        view: u32,
        /// Whose it is by what the workstation knows: images of anybody else are not given.
        patient: String,
        /// Study Instance UID.
        study: String,
        /// Series Instance UID.
        series: String,
        /// Longest side of the place on the screen, pixels: how far the first frame is sent at once.
        px: u32,
        /// Packs whose index it holds: ids.
        #[serde(default)]
        held: Vec<String>,
    },
    /// Segments, in the order in which they are wanted.
    Want {
        /// Of what was opened.
        view: u32,
        /// Which.
        segments: Vec<Wanted>,
    },
    /// What was wanted and is not on its way is not wanted any more.
    Forget {
        /// Of what was opened.
        view: u32,
    },
    /// Ends a view.
    Close {
        /// Which.
        view: u32,
    },
}

/// A series in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSeries {
    /// Series Instance UID.
    pub uid: String,
    /// Series Number (0020,0011).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// Modality (0008,0060).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Series Description (0008,103E).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Body Part Examined (0018,0015).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_part: Option<String>,
    /// Instances in the record.
    pub instances: u32,
    /// Instances whose pixels can be had.
    pub ready: u32,
    /// Instances not looked at yet.
    pub preparing: u32,
    /// Frames that can be had.
    pub frames: u32,
}

/// A study in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedStudy {
    /// Study Instance UID.
    pub uid: String,
    /// Study Date, yyyymmdd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<i32>,
    /// Study Time as in the header, HHMMSS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Study Description (0008,1030).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accession Number (0008,0050).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accession: Option<String>,
    /// Its series, in the order in which they first came.
    pub series: Vec<ListedSeries>,
}

/// A pack: the pixels of some frames of a series. It never changes; more instances come in further packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRef {
    /// Its id: 32 bytes, hex.
    pub id: String,
    /// Frames in it.
    pub frames: u32,
    /// Its length, bytes.
    pub bytes: u64,
}

/// An instance without pixels to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// SOP Instance UID.
    pub sop: String,
    /// Why, as shown: "no pixels: structured report", "no decoder for MPEG-4 here: download the original".
    pub why: String,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "kebab-case")]
pub enum Told {
    /// Which workstation is it? Only on [`AHEAD`].
    Prove {
        /// 32 bytes, hex.
        nonce: String,
    },
    /// The studies of a patient, newest first.
    List {
        /// Whose.
        patient: String,
        /// All of them.
        studies: Vec<ListedStudy>,
    },
    /// A series is open. The indexes of its packs follow, those not held, and with the first the first frame.
    Opened {
        /// The workstation's number.
        view: u32,
        /// Its packs.
        packs: Vec<PackRef>,
        /// Instances without pixels.
        without: Vec<Without>,
        /// Instances not looked at yet: [`Told::Grown`] comes when there is more.
        preparing: u32,
    },
    /// There is more of a series: ask again by [`Ask::Open`].
    Grown {
        /// The workstation's number.
        view: u32,
    },
    /// An ask was refused or failed.
    Failed {
        /// Of which view; `None` = of the list.
        view: Option<u32>,
        /// What went wrong, for a program.
        code: ErrorCode,
        /// The same for a person.
        text: String,
    },
}

/// A binary message: `kind (1) ‖ view (4) ‖ pack (2) ‖ …`, numbers big endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Kind 1, `first (4) ‖ body`: frames of a pack's index from number `first` on, as `vitrine_pixels` writes them.
    Index {
        /// The workstation's number.
        view: u32,
        /// Number of the pack in [`Told::Opened`].
        pack: u16,
        /// Number of the first frame in the pack.
        first: u32,
        /// The frames.
        body: Bytes,
    },
    /// Kind 2, `frame (4) ‖ segment (1) ‖ body`: a segment.
    Segment {
        /// The workstation's number.
        view: u32,
        /// Number of the pack.
        pack: u16,
        /// Frame in the pack.
        frame: u32,
        /// Number of the segment in the frame's list.
        segment: u8,
        /// The segment as it lies in the pack.
        body: Bytes,
    },
    /// Kind 3, `frame (4) ‖ segment (1)`: a segment that cannot be given, for its file is damaged or gone.
    Lost {
        /// The workstation's number.
        view: u32,
        /// Number of the pack.
        pack: u16,
        /// Frame in the pack.
        frame: u32,
        /// Number of the segment in the frame's list.
        segment: u8,
    },
}

/// A binary message that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a binary message of the image stream that cannot be read")]
pub struct NoPiece;

fn take<const N: usize>(bytes: &mut Bytes) -> Result<[u8; N], NoPiece> {
    let head = bytes.split_to_checked(N)?;
    head.as_ref().try_into().map_err(|_| NoPiece)
}

trait SplitTo {
    fn split_to_checked(&mut self, n: usize) -> Result<Bytes, NoPiece>;
}

impl SplitTo for Bytes {
    fn split_to_checked(&mut self, n: usize) -> Result<Bytes, NoPiece> {
        if self.len() < n {
            return Err(NoPiece);
        }
        Ok(self.split_to(n))
    }
}

impl Piece {
    /// The message.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let body = match self {
            Self::Index { body, .. } | Self::Segment { body, .. } => body.len(),
            Self::Lost { .. } => 0,
        };
        let mut out = BytesMut::with_capacity(12 + body);
        let mut head = |kind: u8, view: u32, pack: u16| {
            out.put_u8(kind);
            out.put_u32(view);
            out.put_u16(pack);
        };
        match self {
            Self::Index {
                view,
                pack,
                first,
                body,
            } => {
                head(1, *view, *pack);
                out.put_u32(*first);
                out.put_slice(body);
            }
            Self::Segment {
                view,
                pack,
                frame,
                segment,
                body,
            } => {
                head(2, *view, *pack);
                out.put_u32(*frame);
                out.put_u8(*segment);
                out.put_slice(body);
            }
            Self::Lost {
                view,
                pack,
                frame,
                segment,
            } => {
                head(3, *view, *pack);
                out.put_u32(*frame);
                out.put_u8(*segment);
            }
        }
        out.freeze()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`NoPiece`].
    pub fn read(mut bytes: Bytes) -> Result<Self, NoPiece> {
        let [kind] = take(&mut bytes)?;
        let view = u32::from_be_bytes(take(&mut bytes)?);
        let pack = u16::from_be_bytes(take(&mut bytes)?);
        let frame = u32::from_be_bytes(take(&mut bytes)?);
        if kind == 1 {
            return Ok(Self::Index {
                view,
                pack,
                first: frame,
                body: bytes,
            });
        }
        let [segment] = take(&mut bytes)?;
        match kind {
            2 => Ok(Self::Segment {
                view,
                pack,
                frame,
                segment,
                body: bytes,
            }),
            3 if bytes.is_empty() => Ok(Self::Lost {
                view,
                pack,
                frame,
                segment,
            }),
            _ => Err(NoPiece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_messages_read_as_they_are_written() {
        let ask = r#"{"t":"want","view":3,"segments":[[0,7,2]]}"#;
        let read: Ask = serde_json::from_str(ask).unwrap();
        assert_eq!(
            read,
            Ask::Want {
                view: 3,
                segments: vec![(0, 7, 2)]
            }
        );
        assert_eq!(serde_json::to_string(&read).unwrap(), ask);
        let old = r#"{"t":"open","view":1,"patient":"p","study":"1.2","series":"1.3","px":512}"#;
        assert!(matches!(serde_json::from_str(old), Ok(Ask::Open { held, .. }) if held.is_empty()));
    }

    proptest! {
        #[test]
        fn pieces_read_as_they_are_written(view: u32, pack: u16, frame: u32, segment: u8, body: Vec<u8>) {
            let body = Bytes::from(body);
            for piece in [
                Piece::Index { view, pack, first: frame, body: body.clone() },
                Piece::Segment { view, pack, frame, segment, body },
                Piece::Lost { view, pack, frame, segment },
            ] {
                prop_assert_eq!(Piece::read(piece.write()), Ok(piece));
            }
        }

        #[test]
        fn whatever_comes_is_a_piece_or_refused(bytes: Vec<u8>) {
            let read = Piece::read(Bytes::from(bytes.clone()));
            if let Ok(piece) = read {
                prop_assert_eq!(piece.write(), bytes);
            }
        }
    }
}
