//! Images decoded for answers: few at once, and never in colours that the metadata do not say.

mod harness;
use harness::images::{Made, RELATED, element, related};
use harness::inside::Inside;
use harness::*;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use std::time::Duration;
use vitrine_server::clock;
use vitrine_server::config::Config;
use vitrine_server::imaging::packing;

const STUDY: &str = "1.2.826.0.1.3680043.8.498.7";

struct Ward {
    _folder: tempfile::TempDir,
    server: Inside,
    token: String,
}

async fn ward(change: impl FnOnce(&mut Config)) -> Ward {
    let (folder, data) = folder();
    let server = Inside::start(&data, change).await;
    server.patient("pat-ed", "ED").await;
    packing::start(&server.app);
    let token = server.program("system/*.cruds").await;
    Ward {
        _folder: folder,
        server,
        token,
    }
}

impl Ward {
    async fn store(&self, file: Vec<u8>) {
        let sent = self
            .server
            .http
            .post(self.server.url("/dicomweb/studies"))
            .bearer_auth(&self.token)
            .header("content-type", RELATED)
            .body(related(&[file]));
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
    }

    async fn get(&self, path: &str, accept: &str) -> reqwest::Response {
        let asked = self.server.get(path, &self.token).header("accept", accept);
        asked.send().await.unwrap()
    }

    /// Once its pixels were looked at.
    async fn ready(&self, path: &str, accept: &str) -> (u16, String, Vec<u8>) {
        for _ in 0..300 {
            let answer = self.get(path, accept).await;
            if answer.status() != 503 {
                let media = answer.headers().get("content-type").cloned();
                let media = media.map(|m| m.to_str().unwrap().to_owned()).unwrap_or_default();
                return (
                    answer.status().as_u16(),
                    media,
                    answer.bytes().await.unwrap().to_vec(),
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not ready: {path}");
    }
}

fn path(uid: &str) -> String {
    let (series, _) = uid.rsplit_once('.').unwrap();
    format!("/dicomweb/studies/{STUDY}/series/{series}/instances/{uid}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_pictures_is_bounded() {
    let w = ward(|c| {
        c.images.decodes = 1;
        // The lane of programs is wider than what is decoded at once.
        c.lanes.bulk = 64;
    })
    .await;
    let made = Made {
        study: STUDY,
        ..Made::default()
    };
    w.store(made.bytes()).await;
    let at = path(&made.uid());
    let rendered = format!("{at}/rendered");
    let (status, media, _) = w.ready(&rendered, "image/png").await;
    assert_eq!((status, media.as_str()), (200, "image/png"));

    // Somebody decodes and does not come to an end. Of those who ask meanwhile some wait, and none gets a picture.
    let held = w.server.app.decodes.place().await.unwrap();
    let began = clock::steady();
    let burst = (0..12).map(|_| w.get(&rendered, "image/png"));
    let answers = futures_util::future::join_all(burst).await;
    for answer in &answers {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "2");
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "some have waited");
    assert!(began.elapsed() < Duration::from_secs(10));
    let plain = w.get(&format!("{at}/thumbnail"), "image/jpeg").await;
    assert_eq!(plain.status(), 503, "a thumbnail is decoded too");
    // What is not decoded is given all the same.
    let stored = w
        .get(
            &format!("{at}/frames/1"),
            "application/octet-stream; transfer-syntax=*",
        )
        .await;
    assert_eq!(stored.status(), 200);
    let metadata = w.get(&format!("{at}/metadata"), "application/dicom+json").await;
    assert_eq!(metadata.status(), 200);
    drop(held);
    let after = w.get(&rendered, "image/png").await;
    assert_eq!(after.status(), 200, "the place was given back");
}

/// A colour image in JPEG baseline, as an ultrasound machine sends it.
fn colour(number: u32, photometric: &str) -> (String, Vec<u8>, Vec<u8>) {
    let uid = format!("{STUDY}.2.{number}");
    let class = b"1.2.840.10008.5.1.4.1.1.6.1";
    let mut meta = Vec::new();
    element(&mut meta, (2, 1), "OB", &[0, 1]);
    element(&mut meta, (2, 2), "UI", class);
    element(&mut meta, (2, 3), "UI", uid.as_bytes());
    element(&mut meta, (2, 0x10), "UI", b"1.2.840.10008.1.2.4.50");
    let mut out = vec![0; 128];
    out.extend_from_slice(b"DICM");
    element(
        &mut out,
        (2, 0),
        "UL",
        &u32::try_from(meta.len()).unwrap().to_le_bytes(),
    );
    out.extend_from_slice(&meta);
    element(&mut out, (8, 0x16), "UI", class);
    element(&mut out, (8, 0x18), "UI", uid.as_bytes());
    element(&mut out, (8, 0x20), "DA", b"20260131");
    element(&mut out, (8, 0x60), "CS", b"US");
    element(&mut out, (0x10, 0x10), "PN", b"Testperson^Una");
    element(&mut out, (0x10, 0x20), "LO", b"mrn-pat-ed");
    element(&mut out, (0x10, 0x30), "DA", b"19700301");
    element(&mut out, (0x20, 0xD), "UI", STUDY.as_bytes());
    element(&mut out, (0x20, 0xE), "UI", format!("{STUDY}.2").as_bytes());
    element(&mut out, (0x20, 0x13), "IS", number.to_string().as_bytes());
    element(&mut out, (0x28, 2), "US", &3_u16.to_le_bytes());
    element(&mut out, (0x28, 4), "CS", photometric.as_bytes());
    element(&mut out, (0x28, 6), "US", &0_u16.to_le_bytes());
    element(&mut out, (0x28, 0x10), "US", &32_u16.to_le_bytes());
    element(&mut out, (0x28, 0x11), "US", &48_u16.to_le_bytes());
    element(&mut out, (0x28, 0x100), "US", &8_u16.to_le_bytes());
    element(&mut out, (0x28, 0x101), "US", &8_u16.to_le_bytes());
    element(&mut out, (0x28, 0x102), "US", &7_u16.to_le_bytes());
    element(&mut out, (0x28, 0x103), "US", &0_u16.to_le_bytes());
    let pixels: Vec<u8> = (0..48 * 32_u32)
        .flat_map(|i| [(i % 48 * 5) as u8, (i / 48 * 8) as u8, 40])
        .collect();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95)
        .write_image(&pixels, 48, 32, ExtendedColorType::Rgb8)
        .unwrap();
    if jpeg.len() % 2 == 1 {
        jpeg.push(0);
    }
    // Encapsulated (PS3.5 §A.4): an empty offset table, one fragment, the delimiter.
    let item = |tag: u16, bytes: &[u8]| {
        let mut item = Vec::from(0xFFFE_u16.to_le_bytes());
        item.extend_from_slice(&tag.to_le_bytes());
        item.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        item.extend_from_slice(bytes);
        item
    };
    out.extend_from_slice(&[0xE0, 0x7F, 0x10, 0x00, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    out.extend(item(0xE000, &[]));
    out.extend(item(0xE000, &jpeg));
    out.extend(item(0xE0DD, &[]));
    (uid, out, jpeg)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_values_are_in_the_colours_of_the_metadata_or_refused() {
    let w = ward(|_| {}).await;
    let (halved, file, jpeg) = colour(1, "YBR_FULL_422");
    w.store(file).await;
    let (full, file, _) = colour(2, "RGB");
    w.store(file).await;
    let (whole, file, _) = colour(3, "YBR_FULL");
    w.store(file).await;
    let frame = |uid: &str| format!("{}/frames/1", path(uid));
    let plain = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1";

    // Decoded it is RGB; the metadata say that two pixels share their chroma samples.
    let (status, _, body) = w.ready(&frame(&halved), plain).await;
    let said = String::from_utf8(body).unwrap();
    assert_eq!(status, 406, "{said}");
    assert!(said.contains("(0028,0004)"), "{said}");
    for (uid, accept) in [(&halved, "image/jphc"), (&whole, plain)] {
        let (status, ..) = w.ready(&frame(uid), accept).await;
        assert_eq!(status, 406, "{uid} {accept}");
    }
    // Whoever takes anything gets it as it was stored, and so does who asks for that.
    for accept in ["*/*", "image/jpeg", "multipart/related; type=\"image/jpeg\""] {
        let (status, media, body) = w.ready(&frame(&halved), accept).await;
        assert_eq!(status, 200, "{accept}");
        assert!(media.contains("image/jpeg"), "{accept}: {media}");
        assert!(body.windows(jpeg.len()).any(|b| b == jpeg), "{accept}");
    }
    let (status, ..) = w.ready(&format!("{}/rendered", path(&halved)), "image/png").await;
    assert_eq!(status, 200);

    // Where the metadata say what there is, it is given.
    let (status, media, body) = w.ready(&frame(&full), plain).await;
    assert_eq!((status, body.len()), (200, 48 * 32 * 3), "{media}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_room_for_packs_originals_come_in_and_it_is_said() {
    // More than any disk has.
    let w = ward(|c| c.images.reserve_mib = 1 << 30).await;
    let made = Made {
        study: STUDY,
        ..Made::default()
    };
    w.store(made.bytes()).await;
    let paused = || async {
        let metrics = w.server.http.get(format!("http://{}/metrics", w.server.metrics));
        let text = metrics.send().await.unwrap().text().await.unwrap();
        text.lines().any(|l| l == "vitrine_image_packing_paused 1")
    };
    for again in 0.. {
        if paused().await {
            break;
        }
        assert!(again < 50, "it is not said");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let at = path(&made.uid());
    let preparing = w.get(&format!("{at}/rendered"), "image/png").await;
    assert_eq!(preparing.status(), 503, "nothing was made ready");
    let object = w.get(&at, "application/dicom").await;
    assert_eq!(object.bytes().await.unwrap(), made.bytes());
    assert!(w.server.app.store.unpacked(None, 9).await.unwrap().len() == 1);
}
