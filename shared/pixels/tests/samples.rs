//! Rendering against values worked out by hand from PS3.3.

mod common;

use common::{put, shape};
use vitrine_pixels::layers::Decoded;
use vitrine_pixels::samples::{Function, Look, Palette, RenderError, Window, render};
use vitrine_pixels::{Colour, Shape};

fn window(center: f64, width: f64, function: Function) -> Window {
    Window {
        center,
        width,
        function,
    }
}

fn image(shape: &Shape, values: &[i64]) -> Decoded {
    let mut plain = Vec::new();
    values.iter().for_each(|v| put(shape, &mut plain, *v));
    Decoded {
        columns: shape.columns,
        rows: shape.rows,
        plain,
        exact: true,
    }
}

fn look(window: Option<Window>, rescale: (f64, f64), invert: bool) -> Look {
    Look {
        rescale,
        window,
        invert,
    }
}

#[test]
fn windows_are_those_of_the_standard() {
    type Case = (f64, f64, Function, &'static [(f64, f64)]);
    let cases: &[Case] = &[
        // C.11.2.1.2.1: c=2048, w=4096 is x/4095; c=0, w=100: black at -50, white at 49
        (
            2048.0,
            4096.0,
            Function::Linear,
            &[(0.0, 0.0), (4095.0, 1.0), (2047.5, 0.5)],
        ),
        (
            0.0,
            100.0,
            Function::Linear,
            &[(-50.0, 0.0), (49.0, 1.0), (-0.5, 0.5)],
        ),
        (
            0.0,
            1.0,
            Function::Linear,
            &[(-1.0, 0.0), (-0.5, 0.0), (0.0, 1.0)],
        ),
        (2048.0, 1.0, Function::Linear, &[(2047.5, 0.0), (2048.0, 1.0)]),
        (5.0, 0.0, Function::Linear, &[(4.0, 0.0), (5.0, 1.0)]),
        (
            0.0,
            100.0,
            Function::LinearExact,
            &[(-50.0, 0.0), (50.0, 1.0), (0.0, 0.5), (25.0, 0.75)],
        ),
        (0.0, -3.0, Function::LinearExact, &[(-1.0, 0.0), (1.0, 1.0)]),
        (
            10.0,
            4.0,
            Function::Sigmoid,
            &[(10.0, 0.5), (11.0, 0.731_058), (-1e9, 0.0), (1e9, 1.0)],
        ),
        (f64::NAN, 4.0, Function::Linear, &[(3.0, 0.0)]),
    ];
    for (center, width, function, points) in cases {
        for (x, want) in *points {
            let got = window(*center, *width, *function).apply(*x);
            assert!(
                (got - want).abs() < 1e-5,
                "{center} {width} {function:?} {x}: {got}"
            );
        }
    }
}

#[test]
fn grey_is_rescaled_windowed_and_inverted() {
    let ct = shape(4, 1, 1, 12, true);
    let pixels = image(&ct, &[-2048, 24, 1064, 2047]);
    let soft = window(40.0, 400.0, Function::LinearExact);
    let half = look(Some(soft), (1.0, -1024.0), false);
    let cases = [
        (Colour::Monochrome2, half, [0, 0, 128, 255]),
        (Colour::Monochrome1, half, [255, 255, 127, 0]),
        (
            Colour::Monochrome1,
            look(Some(soft), (1.0, -1024.0), true),
            [0, 0, 128, 255],
        ),
        (
            Colour::Monochrome2,
            look(None, (1.0, 0.0), false),
            [0, 129, 194, 255],
        ),
        (
            Colour::Monochrome2,
            look(None, (-2.0, 5.0), false),
            [255, 126, 61, 0],
        ),
    ];
    for (colour, look, want) in cases {
        let got = render(&pixels, &ct, colour, &look, None).unwrap();
        assert_eq!(
            (got.samples, got.bytes.as_slice()),
            (1, want.as_slice()),
            "{colour:?} {look:?}"
        );
    }
}

#[test]
fn every_width_and_sign_is_read() {
    for (bits, signed) in [
        (1, false),
        (8, false),
        (8, true),
        (16, false),
        (16, true),
        (32, false),
        (32, true),
        (20, true),
    ] {
        let s = shape(3, 1, 1, bits, signed);
        let (low, high) = s.bounds();
        let got = render(
            &image(&s, &[low, high, low]),
            &s,
            Colour::Monochrome2,
            &Look::default(),
            None,
        );
        assert_eq!(got.unwrap().bytes, [0, 255, 0], "{bits} {signed}");
    }
    let flat = shape(2, 1, 1, 8, false);
    let got = render(
        &image(&flat, &[7, 7]),
        &flat,
        Colour::Monochrome2,
        &Look::default(),
        None,
    );
    assert_eq!(got.unwrap().bytes, [128, 128]);
}

#[test]
fn colours_and_palettes() {
    let rgb = shape(2, 1, 3, 8, false);
    let pixels = image(&rgb, &[255, 0, 10, 128, 128, 128]);
    let plain = Look::default();
    let got = render(&pixels, &rgb, Colour::Rgb, &plain, None).unwrap();
    assert_eq!(
        (got.samples, got.bytes.as_slice()),
        (3, [255, 0, 10, 128, 128, 128].as_slice())
    );
    // full-range Y, Cb, Cr of red and of a grey
    let ybr = image(&rgb, &[76, 85, 255, 128, 128, 128]);
    let got = render(&ybr, &rgb, Colour::YbrFull, &plain, None).unwrap();
    assert_eq!(got.bytes, [254, 0, 0, 128, 128, 128]);
    let deep = shape(1, 1, 3, 12, false);
    let got = render(&image(&deep, &[4095, 2048, 0]), &deep, Colour::Rgb, &plain, None).unwrap();
    assert_eq!(got.bytes, [255, 128, 0]);

    let index = shape(4, 1, 1, 8, false);
    let palette = Palette {
        first: 10,
        entries: vec![[1, 2, 3], [4, 5, 6]],
    };
    let pixels = image(&index, &[0, 10, 11, 200]);
    let got = render(&pixels, &index, Colour::Palette, &plain, Some(&palette)).unwrap();
    assert_eq!(
        (got.samples, got.bytes.as_slice()),
        (3, [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6].as_slice())
    );
    let none = render(&pixels, &index, Colour::Palette, &plain, None);
    assert_eq!(none, Err(RenderError::Palette));
    assert_eq!(
        render(&pixels, &index, Colour::Rgb, &plain, None),
        Err(RenderError::Colour)
    );
    let short = Decoded {
        plain: vec![0; 3],
        ..pixels
    };
    assert!(matches!(
        render(&short, &index, Colour::Monochrome2, &plain, None),
        Err(RenderError::Shape(_))
    ));
}
