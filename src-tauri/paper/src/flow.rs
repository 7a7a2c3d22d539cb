//! Fills pages from the top to the bottom; what does not fit goes on the next, under the same head.
//!
//! Never here: what the pages say (`packet`).

use crate::PaperError;
use crate::setter::{Para, Setter, Span, own, strong};
use krilla::Document;
use krilla::geom::{PathBuilder, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use std::rc::Rc;
use vitrine_wire::{language, say, word};

/// A4, points (ISO 216).
const PAGE: (f32, f32) = (595.28, 841.89);
/// Left and right; the printable area of office printers is larger.
pub(crate) const MARGIN: f32 = 36.0;
/// Between the two margins.
pub(crate) const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
/// Where the text begins and the foot stands.
const TOP: f32 = 32.0;
/// Where the mark of synthetic patients begins; a line of it ends above [`TOP`].
const MARK: f32 = 14.0;
const FOOT: f32 = PAGE.1 - 50.0;
/// A head that is higher than this part of the page would leave too little room for what is under it.
const HEAD_MOST: f32 = (FOOT - TOP) * 0.45;

/// Something on a page.
#[derive(Clone)]
enum Mark {
    /// A line of a paragraph, its upper left corner.
    Line(Rc<Para>, usize, f32, f32),
    /// A line from a point to the right, and how thick.
    Rule(f32, f32, f32, f32),
    /// A rectangle: place, width, height, thickness.
    Frame(f32, f32, f32, f32, f32),
}

/// A page with its marks.
#[derive(Default)]
pub(crate) struct Page {
    marks: Vec<Mark>,
    /// What its foot says about the part it belongs to: "patient 3 of 40".
    part: String,
}

#[cfg(test)]
impl Page {
    /// What stands on it, each paragraph once.
    pub fn words(&self) -> Vec<&str> {
        let first = self.marks.iter().filter_map(|m| match m {
            Mark::Line(para, 0, ..) => Some(para.text()),
            _ => None,
        });
        first.chain([self.part.as_str()]).collect()
    }
}

/// A part of the document that is being filled: what stands on top of each of its pages, and the pages.
pub(crate) struct Flow<'s> {
    setter: &'s mut Setter,
    pages: Vec<Page>,
    head: Vec<Mark>,
    under_head: f32,
    y: f32,
    part: String,
}

impl<'s> Flow<'s> {
    /// A new part. `part`: what the foot of its pages says.
    pub fn new(setter: &'s mut Setter, part: String) -> Self {
        let first = Page {
            marks: Vec::new(),
            part: part.clone(),
        };
        Self {
            setter,
            pages: vec![first],
            head: Vec::new(),
            under_head: TOP,
            y: TOP,
            part,
        }
    }

    /// Everything so far stands on top of every page from now on, unless it is too high for that.
    pub fn head_ends(&mut self) {
        if self.pages.len() == 1 && self.y - TOP <= HEAD_MOST {
            self.head = self.pages.last().map(|p| p.marks.clone()).unwrap_or_default();
            self.under_head = self.y;
        }
    }

    /// The pages.
    pub fn ends(self) -> Vec<Page> {
        self.pages
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.marks.push(mark);
        }
    }

    fn next_page(&mut self) {
        self.pages.push(Page {
            marks: self.head.clone(),
            part: self.part.clone(),
        });
        self.y = self.under_head;
    }

    /// Room left on this page, points.
    pub fn room(&self) -> f32 {
        FOOT - self.y
    }

    /// So much stands together: on the next page where it does not fit here.
    pub fn keep(&mut self, height: f32) {
        if self.room() < height && self.y > self.under_head {
            self.next_page();
        }
    }

    /// Room between two things; none on top of a page.
    pub fn gap(&mut self, height: f32) {
        if self.y > self.under_head {
            self.y += height;
        }
    }

    fn set(&mut self, spans: &[Span], size: f32, width: f32) -> Rc<Para> {
        Rc::new(self.setter.set(spans, size, width))
    }

    /// A paragraph, `indent` from the margin. It goes on the next page line by line.
    pub fn text(&mut self, spans: &[Span], size: f32, indent: f32) {
        let para = self.set(spans, size, WIDTH - indent);
        self.lines(&para, MARGIN + indent);
    }

    fn lines(&mut self, para: &Rc<Para>, x: f32) {
        for (i, (_, height)) in para.lines().iter().enumerate() {
            if self.room() < *height && self.y > self.under_head {
                self.next_page();
            }
            self.mark(Mark::Line(para.clone(), i, x, self.y));
            self.y += height;
        }
    }

    /// A line across the page.
    pub fn rule(&mut self, thick: f32) {
        self.mark(Mark::Rule(MARGIN, self.y, WIDTH, thick));
        self.y += thick + 2.0;
    }

    /// What `fill` puts down, in a frame where it stays on one page.
    pub fn framed(&mut self, thick: f32, fill: impl FnOnce(&mut Self)) {
        let (page, top) = (self.pages.len(), self.y);
        self.y += 5.0;
        fill(self);
        self.y += 6.0;
        if self.pages.len() == page {
            self.mark(Mark::Frame(MARGIN, top, WIDTH, self.y - top, thick));
        } else {
            self.rule(thick);
        }
    }

    /// Cells side by side, each of its width; a row stands together. One that is higher than a page is put down cell by
    /// cell.
    pub fn row(&mut self, cells: &[(f32, Vec<Span>)], size: f32) {
        const BETWEEN: f32 = 6.0;
        let set: Vec<Rc<Para>> = cells
            .iter()
            .map(|(width, spans)| self.set(spans, size, width - BETWEEN))
            .collect();
        let height = set.iter().map(|p| p.height()).fold(0.0, f32::max);
        if height > FOOT - self.under_head {
            for (_, spans) in cells {
                self.text(spans, size, 0.0);
            }
        } else {
            self.keep(height);
            let (mut x, y) = (MARGIN, self.y);
            for (para, (width, _)) in set.iter().zip(cells) {
                for (i, (top, _)) in para.lines().iter().enumerate() {
                    self.mark(Mark::Line(para.clone(), i, x, y + top));
                }
                x += width;
            }
            self.y += height;
        }
        self.y += 2.0;
        self.rule(0.4);
    }

    /// An empty form: its heads, and so many rows to be written in by hand.
    pub fn form(&mut self, heads: &[(&str, f32)], rows: usize, height: f32) {
        let mut x = MARGIN;
        let top = self.y;
        for (head, width) in heads {
            let para = self.set(&[own(*head)], 8.0, width - 4.0);
            for (i, (at, _)) in para.lines().iter().enumerate() {
                self.mark(Mark::Line(para.clone(), i, x + 3.0, top + 2.0 + at));
            }
            for row in 0..=rows {
                // Small whole numbers.
                #[allow(clippy::cast_precision_loss)]
                let (from, tall) = if row == 0 {
                    (0.0, 14.0)
                } else {
                    (14.0 + (row - 1) as f32 * height, height)
                };
                self.mark(Mark::Frame(x, top + from, *width, tall, 0.5));
            }
            x += width;
        }
        #[allow(clippy::cast_precision_loss)]
        let tall = 14.0 + rows as f32 * height;
        self.y += tall;
    }
}

/// The foot of all pages.
pub(crate) struct Foot<'a> {
    /// How old the data are.
    pub age: &'a str,
    /// When, by whom and where it was printed.
    pub made: &'a str,
    /// The patients are synthetic.
    pub training: bool,
}

impl Foot<'_> {
    /// What stands at the left: what becomes of the page, and how old its data are.
    fn says(&self) -> [Span; 4] {
        [
            strong(word!("Destroy after downtime. ", "Nach dem Ausfall vernichten. ")),
            own(self.age),
            own(". "),
            own(self.made),
        ]
    }
}

/// Which page of how many it is.
fn number(part: &str, n: usize, of: usize) -> String {
    say!("{part}page {n} of {of}", "{part}Seite {n} von {of}")
}

/// On top of each page of synthetic patients, within the margin.
fn training() -> &'static str {
    word!(
        "TRAINING — synthetic patients, no real person",
        "SCHULUNG — synthetische Patienten, keine echte Person"
    )
}

fn path(draw: impl FnOnce(&mut PathBuilder)) -> Option<krilla::geom::Path> {
    let mut builder = PathBuilder::new();
    draw(&mut builder);
    builder.finish()
}

/// Writes the pages together.
pub(crate) fn written(setter: &mut Setter, pages: &[Page], foot: &Foot<'_>) -> Result<Vec<u8>, PaperError> {
    let mut document = Document::new();
    // Nothing of a patient or a person is told by the file itself.
    document.set_metadata(
        Metadata::new()
            .title(word!("Downtime packet", "Ausfallmappe").to_owned())
            .language(language::spoken().tag().to_owned())
            .creator("Vitrine".to_owned()),
    );
    let of = pages.len();
    for (i, page) in pages.iter().enumerate() {
        let size = PageSettings::from_wh(PAGE.0, PAGE.1)
            .ok_or_else(|| PaperError::Pdf("the size of a page".to_owned()))?;
        let mut sheet = document.start_page_with(size);
        let mut surface = sheet.surface();
        for mark in &page.marks {
            let (shape, thick) = match mark {
                Mark::Line(para, line, x, y) => {
                    surface.set_stroke(None);
                    surface.set_fill(Some(Fill::default()));
                    setter.draw(&mut surface, para, *line, *x, *y);
                    continue;
                }
                Mark::Rule(x, y, width, thick) => (
                    path(|p| {
                        p.move_to(*x, *y);
                        p.line_to(x + width, *y);
                    }),
                    *thick,
                ),
                Mark::Frame(x, y, width, height, thick) => (
                    path(|p| {
                        if let Some(rect) = Rect::from_xywh(*x, *y, *width, *height) {
                            p.push_rect(rect);
                        }
                    }),
                    *thick,
                ),
            };
            if let Some(shape) = shape {
                surface.set_fill(None);
                surface.set_stroke(Some(Stroke {
                    width: thick,
                    ..Stroke::default()
                }));
                surface.draw_path(&shape);
            }
        }
        surface.set_stroke(None);
        surface.set_fill(Some(Fill::default()));
        if foot.training {
            let mark = setter.set(&[strong(training())], 10.0, WIDTH);
            for (i, (top, _)) in mark.lines().iter().enumerate() {
                setter.draw(&mut surface, &mark, i, MARGIN, MARK + top);
            }
        }
        let left = setter.set(&foot.says(), 8.0, WIDTH - 150.0);
        let right = setter.set(&[strong(number(&page.part, i + 1, of))], 9.0, 145.0);
        for (i, (top, _)) in left.lines().iter().enumerate() {
            setter.draw(&mut surface, &left, i, MARGIN, FOOT + 8.0 + top);
        }
        let x = PAGE.0 - MARGIN - right.width();
        for (i, (top, _)) in right.lines().iter().enumerate() {
            setter.draw(&mut surface, &right, i, x, FOOT + 8.0 + top);
        }
        surface.finish();
        sheet.finish();
    }
    document.finish().map_err(|e| PaperError::Pdf(format!("{e:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s29_a_page_says_which_of_how_many_how_old_its_data_are_and_that_it_is_destroyed() {
        let mut setter = Setter::new().unwrap();
        let foot = Foot {
            age: "Data as of 21-Nov-2026 04:31",
            made: "printed 21-Nov-2026 04:40",
            training: false,
        };
        assert_eq!(
            setter.set(&foot.says(), 8.0, WIDTH).text(),
            "Destroy after downtime. Data as of 21-Nov-2026 04:31. printed 21-Nov-2026 04:40"
        );
        assert_eq!(
            number("patient 3 of 40, ", 7, 90),
            "patient 3 of 40, page 7 of 90"
        );
    }

    #[test]
    fn s29_every_page_of_a_patient_says_whose_it_is() {
        let mut setter = Setter::new().unwrap();
        let mut flow = Flow::new(&mut setter, "patient 1 of 1, ".to_owned());
        flow.text(&[strong("JONES, Mary (Ms)")], 16.0, 0.0);
        flow.head_ends();
        for _ in 0..200 {
            flow.text(&[own("a line")], 12.0, 0.0);
        }
        let pages = flow.ends();
        assert!(pages.len() > 2, "{}", pages.len());
        for page in &pages {
            let words = page.words();
            assert_eq!(words.first(), Some(&"JONES, Mary (Ms)"));
            assert_eq!(words.last(), Some(&"patient 1 of 1, "));
        }
    }
}
