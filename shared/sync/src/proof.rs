//! The exact texts that are signed. A nonce enters as its hex text, an id as its text.
//!
//! Lives here: bytes to sign. Never here: keys and signatures, which belong to the drivers.
//! Called by both drivers.

/// What a device signs to prove itself on a connection.
#[must_use]
pub fn device_auth(nonce_hex: &str, device: &str) -> Vec<u8> {
    [
        b"vitrine-ws-1".as_slice(),
        nonce_hex.as_bytes(),
        device.as_bytes(),
    ]
    .concat()
}

/// What a device signs to be given the previews of its ward's images.
#[must_use]
pub fn device_images(nonce_hex: &str, device: &str) -> Vec<u8> {
    [
        b"vitrine-images-1".as_slice(),
        nonce_hex.as_bytes(),
        device.as_bytes(),
    ]
    .concat()
}

/// What the server signs to order a wipe.
#[must_use]
pub fn wipe_order(device: &str, nonce_hex: &str) -> Vec<u8> {
    [
        b"vitrine-wipe".as_slice(),
        device.as_bytes(),
        nonce_hex.as_bytes(),
    ]
    .concat()
}

/// What the server signs of a site's role layouts.
#[must_use]
pub fn layouts(text: &str) -> Vec<u8> {
    [b"vitrine-layouts-1".as_slice(), text.as_bytes()].concat()
}

/// What a device signs after it has carried the order out.
#[must_use]
pub fn wipe_done(nonce_hex: &str) -> Vec<u8> {
    [b"vitrine-wiped".as_slice(), nonce_hex.as_bytes()].concat()
}
