//! Open packs: their index in memory, any segment of them from the file.
//!
//! Lives here: opening, the few that are kept open, what happens to a damaged one. Never here: who may see them.
//! Called by `ws::images` and `http::dicomweb`. Reading blocks: callers are on threads that may.

use super::blobs::{Blobs, Reading};
use crate::app::App;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use vitrine_pixels::pack::{Index, PackError, read_index, verify};
use vitrine_store::imaging::Blob;
use vitrine_store::pixels::PixelPack;

/// Frames of packs kept open though nobody looks at them: an index takes about half a kilobyte a frame.
const KEPT_FRAMES: usize = 16 << 10;

/// Bytes of one piece of an index.
const PIECE_MOST: usize = 8 << 20;

/// An open pack.
pub struct Pack {
    /// SHA-256, hex: its name for workstations.
    pub id: String,
    /// Bytes.
    pub bytes: u64,
    /// What it holds.
    pub index: Index,
    sha256: [u8; 32],
    file: Mutex<Reading>,
}

fn broken(e: PackError) -> io::Error {
    match e {
        PackError::Io(e) => e,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

impl Pack {
    /// How many frames from one on go into one piece of the index: at most `most`, and few enough for a message.
    #[must_use]
    pub fn piece(&self, from: usize, most: usize) -> usize {
        let frames = self.index.frames.get(from..).unwrap_or_default();
        let mut bytes = 0;
        let fit = frames.iter().take(most).take_while(|f| {
            bytes += f.display.len() + f.segments.len() * 48 + 256;
            bytes <= PIECE_MOST
        });
        fit.count().max(1)
    }

    /// A segment, checked.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] for one that the pack has not, [`io::ErrorKind::InvalidData`] for a damaged one.
    pub fn segment(&self, frame: u32, segment: u8) -> io::Result<Vec<u8>> {
        let none = || io::Error::from(io::ErrorKind::NotFound);
        let at = usize::try_from(frame).ok().and_then(|f| self.index.frames.get(f));
        let at = at
            .and_then(|f| f.segments.get(usize::from(segment)))
            .ok_or_else(none)?;
        let mut bytes = vec![0; usize::try_from(at.len).map_err(|_| none())?];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(at.offset))?;
            file.read_exact(&mut bytes)?;
        }
        verify(&bytes, at).map_err(broken)?;
        Ok(bytes)
    }
}

/// The packs that are open.
#[derive(Default)]
pub struct Packs {
    open: Mutex<HashMap<[u8; 32], Weak<Pack>>>,
    kept: Mutex<VecDeque<Arc<Pack>>>,
}

impl Packs {
    /// Opens a pack, or gives the one that is open.
    ///
    /// # Errors
    /// Of the file system; [`io::ErrorKind::InvalidData`] for a file that is not that pack.
    pub fn open(&self, blobs: &Blobs, blob: &Blob) -> io::Result<Arc<Pack>> {
        let there = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.get(&blob.sha256).and_then(Weak::upgrade)
        };
        let pack = match there {
            Some(pack) => pack,
            None => {
                let mut file = blobs.read(blob)?;
                let index = read_index(&mut file, blob.bytes).map_err(broken)?;
                let pack = Arc::new(Pack {
                    id: crate::keys::hex(&blob.sha256),
                    bytes: blob.bytes,
                    index,
                    sha256: blob.sha256,
                    file: Mutex::new(file),
                });
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.retain(|_, p| p.strong_count() > 0);
                open.insert(blob.sha256, Arc::downgrade(&pack));
                pack
            }
        };
        self.keep(pack.clone());
        Ok(pack)
    }

    /// Keeps a pack open as one of those used last.
    fn keep(&self, pack: Arc<Pack>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|p| p.sha256 != pack.sha256);
        kept.push_back(pack);
        let frames = |kept: &VecDeque<Arc<Pack>>| kept.iter().map(|p| p.index.frames.len()).sum::<usize>();
        while kept.len() > 1 && frames(&kept) > KEPT_FRAMES {
            kept.pop_front();
        }
    }

    /// The packs of a series. One whose file is damaged or gone is left out, and the series is looked at again: `true` then.
    ///
    /// # Errors
    /// Of the file system, but for those.
    pub fn of(
        &self,
        app: &Arc<App>,
        series: &str,
        packs: &[PixelPack],
    ) -> io::Result<(Vec<Arc<Pack>>, bool)> {
        use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
        let (mut out, mut gone) = (Vec::with_capacity(packs.len()), false);
        for pack in packs {
            match self.open(app.images.blobs(), &pack.blob) {
                Ok(opened) => out.push(opened),
                Err(e) if matches!(e.kind(), NotFound | InvalidData | UnexpectedEof) => {
                    tracing::error!(error = %e, "a pack of images is damaged or gone: its series is made ready again");
                    gone = true;
                }
                Err(e) => return Err(e),
            }
        }
        if gone {
            again(app, series);
        }
        Ok((out, gone))
    }

    /// A pack of a series was found damaged: the series is looked at again, from its objects. Once: whoever still holds the
    /// pack that was damaged says nothing of the one made after it.
    pub fn damaged(&self, app: &Arc<App>, pack: &Arc<Pack>, series: &str) {
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let is = open
                .get(&pack.sha256)
                .is_some_and(|p| p.as_ptr() == Arc::as_ptr(pack));
            if !is {
                return;
            }
            open.remove(&pack.sha256);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|p| p.sha256 != pack.sha256);
        again(app, series);
    }
}

/// Has a series looked at again, in the background.
fn again(app: &Arc<App>, series: &str) {
    let (app, series) = (app.clone(), series.to_owned());
    app.metrics.count("vitrine_image_packs_damaged_total", "", 1);
    tokio::spawn(async move {
        match app.store.look_again(&series).await {
            Ok(gone) => {
                let blobs = app.images.blobs().clone();
                let removed = tokio::task::spawn_blocking(move || gone.iter().for_each(|b| blobs.remove(b)));
                let _ = removed.await;
                app.images.tell();
            }
            Err(e) => tracing::error!(error = %e, "a damaged pack stays"),
        }
    });
}
