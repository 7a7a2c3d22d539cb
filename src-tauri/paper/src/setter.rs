//! Sets text: fonts, lines, and lines as glyphs of a PDF page.
//!
//! Never here: where a line stands on which page (`flow`).

use crate::PaperError;
use krilla::geom::Point;
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use parley::fontique::Blob;
use parley::layout::Alignment;
use parley::style::{
    FontFamily, FontFamilyName, FontWeight, GenericFamily, LineHeight, OverflowWrap, StyleProperty,
};
use parley::{FontContext, Layout, LayoutContext};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// As on the screens: 1, l and I are told apart. Licence beside the files.
const FONTS: [&[u8]; 2] = [
    include_bytes!("../fonts/AtkinsonHyperlegibleNext-Regular.ttf"),
    include_bytes!("../fonts/AtkinsonHyperlegibleNext-Bold.ttf"),
];
const FAMILY: &str = "Atkinson Hyperlegible Next";

/// A piece of a paragraph.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    text: String,
    bold: bool,
}

/// Words of our own.
pub(crate) fn own(text: impl Into<String>) -> Span {
    Span {
        text: text.into(),
        bold: false,
    }
}

/// Words of our own that must not be overlooked.
pub(crate) fn strong(text: impl Into<String>) -> Span {
    Span {
        text: text.into(),
        bold: true,
    }
}

/// Words from outside: what would turn the direction of the words around them is kept inside.
pub(crate) fn outside(text: &str, bold: bool) -> Span {
    Span {
        text: isolated(text),
        bold,
    }
}

/// Characters that set the direction of what follows are shown as such; text that runs from right to left is isolated
/// (UAX #9 §2.4), so that a name moves no number beside it.
fn isolated(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    if clean.chars().any(runs_left) {
        format!("\u{2068}{clean}\u{2069}")
    } else {
        clean
    }
}

/// Letters of scripts from right to left, and the marks that act like them.
fn runs_left(c: char) -> bool {
    matches!(c, '\u{0590}'..='\u{08ff}' | '\u{200f}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// A paragraph, set to a width.
pub(crate) struct Para {
    text: String,
    layout: Layout<()>,
    /// Top and height of each line, from the top of the paragraph, points.
    lines: Vec<(f32, f32)>,
}

impl Para {
    /// What it says.
    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Top and height of each line, points.
    pub fn lines(&self) -> &[(f32, f32)] {
        &self.lines
    }

    /// Height of all lines, points.
    pub fn height(&self) -> f32 {
        self.lines.last().map_or(0.0, |(top, height)| top + height)
    }

    /// Width of the longest line, points.
    pub fn width(&self) -> f32 {
        self.layout.width()
    }
}

/// Sets paragraphs, and draws them.
pub(crate) struct Setter {
    fonts: FontContext,
    layouts: LayoutContext<()>,
    /// The fonts as the PDF has them, by the number of their data and their place in it.
    known: HashMap<(u64, u32), Font>,
    /// Glyphs drawn that stand for a character without a font.
    pub without_font: usize,
}

impl Setter {
    pub fn new() -> Result<Self, PaperError> {
        let mut fonts = FontContext::new();
        for font in FONTS {
            let found = fonts.collection.register_fonts(Blob::new(Arc::new(font)), None);
            if found.is_empty() {
                return Err(PaperError::Fonts);
            }
        }
        Ok(Self {
            fonts,
            layouts: LayoutContext::new(),
            known: HashMap::new(),
            without_font: 0,
        })
    }

    /// Sets a paragraph of a size to a width, both in points.
    pub fn set(&mut self, spans: &[Span], size: f32, width: f32) -> Para {
        let text: String = spans.iter().map(|s| s.text.as_str()).collect();
        let mut builder = self.layouts.ranged_builder(&mut self.fonts, &text, 1.0, false);
        let families = [
            FontFamilyName::Named(Cow::Borrowed(FAMILY)),
            FontFamilyName::Generic(GenericFamily::SansSerif),
        ];
        builder.push_default(StyleProperty::FontFamily(FontFamily::List(Cow::Borrowed(
            &families,
        ))));
        builder.push_default(StyleProperty::FontSize(size));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(1.3)));
        // Nothing is cut short: a word that is longer than its column goes on in the next line.
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        let mut from = 0;
        for span in spans {
            let until = from + span.text.len();
            if span.bold && until > from {
                builder.push(StyleProperty::FontWeight(FontWeight::BOLD), from..until);
            }
            from = until;
        }
        let mut layout = builder.build(&text);
        layout.break_all_lines(Some(width));
        layout.align(Alignment::Left, parley::AlignmentOptions::default());
        let mut top = 0.0;
        let lines = layout
            .lines()
            .map(|line| {
                let at = top;
                top += line.metrics().line_height;
                (at, line.metrics().line_height)
            })
            .collect();
        Para { text, layout, lines }
    }

    /// Draws a line of a paragraph with the top of the line at a place of the page, points from its upper left corner.
    pub fn draw(&mut self, surface: &mut Surface<'_>, para: &Para, line: usize, x: f32, top: f32) {
        let Some(set) = para.layout.lines().nth(line) else {
            return;
        };
        let own_top = para.lines.get(line).map_or(0.0, |(top, _)| *top);
        let y = top + set.metrics().baseline - own_top;
        let mut x = x + set.metrics().offset;
        for run in set.runs() {
            let font = run.font();
            let key = (font.data.id(), font.index);
            if !self.known.contains_key(&key) {
                let (data, _) = font.data.clone().into_raw_parts();
                let Some(made) = Font::new(data.into(), font.index) else {
                    // What cannot be put into the file is counted as what has no font.
                    self.without_font += run.visual_clusters().count();
                    continue;
                };
                self.known.insert(key, made);
            }
            let Some(font) = self.known.get(&key).cloned() else {
                continue;
            };
            let (size, begin) = (run.font_size(), x);
            let mut glyphs: Vec<KrillaGlyph> = Vec::new();
            for cluster in run.visual_clusters() {
                if cluster.is_ligature_continuation() {
                    if let Some(last) = glyphs.last_mut() {
                        last.text_range.end = cluster.text_range().end;
                    }
                    continue;
                }
                for glyph in cluster.glyphs() {
                    if glyph.id == 0 {
                        self.without_font += 1;
                    }
                    glyphs.push(KrillaGlyph::new(
                        GlyphId::new(glyph.id),
                        glyph.advance / size,
                        glyph.x / size,
                        glyph.y / size,
                        0.0,
                        cluster.text_range(),
                        None,
                    ));
                    x += glyph.advance;
                }
            }
            if !glyphs.is_empty() {
                surface.draw_glyphs(Point::from_xy(begin, y), &glyphs, font, &para.text, size, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_direction_stays_inside() {
        assert_eq!(isolated("JONES, Mary"), "JONES, Mary");
        assert_eq!(isolated("a\u{202e}b\tc"), "a\u{fffd}b c");
        assert_eq!(isolated("محمد"), "\u{2068}محمد\u{2069}");
    }

    /// Words of our own never need a font of the machine.
    #[test]
    fn our_own_fonts_have_what_german_needs() {
        let mut setter = Setter::new().unwrap();
        let mut drawn_by = |text: &str, bold: bool| {
            let span = if bold { strong(text) } else { own(text) };
            let para = setter.set(&[span], 12.0, 1000.0);
            let runs = para.layout.lines().flat_map(|l| l.runs().collect::<Vec<_>>());
            let mut fonts: Vec<(u64, u32)> = Vec::new();
            for run in runs {
                fonts.push((run.font().data.id(), run.font().index));
                for cluster in run.visual_clusters() {
                    assert!(cluster.glyphs().all(|g| g.id != 0), "{text}");
                }
            }
            fonts.dedup();
            fonts
        };
        for bold in [false, true] {
            assert_eq!(
                drawn_by("ÄÖÜäöüß „so“ — ·", bold),
                drawn_by("Abc", bold),
                "{bold}"
            );
        }
    }

    #[test]
    fn a_word_longer_than_its_column_goes_on_in_the_next_line() {
        let mut setter = Setter::new().unwrap();
        let para = setter.set(&[outside(&"W".repeat(200), true)], 12.0, 100.0);
        assert!(para.lines().len() > 10, "{}", para.lines().len());
        assert!(para.width() <= 100.0);
        let set: f32 = para.lines().iter().map(|(_, h)| h).sum();
        assert!((para.height() - set).abs() < 0.01);
    }
}
