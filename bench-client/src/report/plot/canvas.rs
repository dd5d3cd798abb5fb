//! A sheet to draw on in logical pixels, and the colours and marks that all figures share.

use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, DrawingAreaErrorKind, DrawingBackend, PathElement, Polygon, Rectangle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, IntoFont as _, RGBColor, TextStyle};

/// Device pixels per logical pixel: sharp on fine displays, and fine enough for coordinates, which are whole.
pub(super) const SCALE: f64 = 2.0;

/// Width of every figure.
pub(super) const WIDTH: f64 = 900.0;

/// Text sizes.
pub(super) const SMALL: f64 = 11.5;
pub(super) const NORMAL: f64 = 13.0;

pub(super) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(super) const INK: RGBColor = RGBColor(0x1B, 0x1F, 0x24);
pub(super) const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);
pub(super) const RULE: RGBColor = RGBColor(0xB4, 0xBC, 0xC4);
pub(super) const GRID: RGBColor = RGBColor(0xE8, 0xEB, 0xEE);

/// What becomes of calls: served, not served, and let in wrongly. After the same palettes.
pub(super) const SERVED: RGBColor = RGBColor(0xA8, 0xC8, 0xDC);
pub(super) const UNSERVED: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
pub(super) const INTRUDED: RGBColor = RGBColor(0xB2, 0x18, 0x2B);

/// One colour per method in every figure: after Okabe and Ito, "Color Universal Design", 2008, and Tol, "Colour
/// Schemes", 2021, darkened where needed to 3:1 against white. Marks differ in shape too.
const METHODS: [(&str, RGBColor); 7] = [
    ("none", RGBColor(0x75, 0x7D, 0x86)),
    ("api-key", RGBColor(0x00, 0x72, 0xB2)),
    ("oauth2", RGBColor(0xAA, 0x44, 0x99)),
    ("jwt", RGBColor(0x00, 0x8F, 0x68)),
    ("basic", RGBColor(0xD5, 0x5E, 0x00)),
    ("mtls", RGBColor(0xB0, 0x7D, 0x00)),
    ("signed", RGBColor(0x7A, 0x5C, 0x3E)),
];

/// The method's colour.
pub(super) fn colour(method: &str) -> RGBColor {
    METHODS.iter().find(|(name, _)| *name == method).map_or(INK, |(_, colour)| *colour)
}

/// Replaces each of the fixed colours by the CSS variable that the page sets for light and for dark.
pub(super) fn css_colours(svg: &str) -> String {
    let fixed = [
        ("paper", PAPER),
        ("ink", INK),
        ("muted", MUTED),
        ("rule", RULE),
        ("grid", GRID),
        ("served", SERVED),
        ("unserved", UNSERVED),
        ("intruded", INTRUDED),
    ];
    fixed.iter().chain(&METHODS).fold(svg.to_owned(), |text, (name, RGBColor(r, g, b))| {
        text.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var(--plot-{name})\""))
    })
}

/// The result of drawing.
pub(super) type Drawn<DB> = DrawnAs<DB, ()>;

/// The same, of drawing that found something out.
pub(super) type DrawnAs<DB, T> = Result<T, DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// A point in logical pixels.
pub(super) type Point = (f64, f64);

/// Which side of its position a text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// Draws in logical pixels.
pub(super) struct Canvas<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
}

fn device((x, y): Point) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

impl<'a, DB: DrawingBackend> Canvas<'a, DB> {
    pub(super) fn new(area: &'a DrawingArea<DB, Shift>) -> Self {
        Self { area }
    }

    pub(super) fn rect(&self, from: Point, to: Point, colour: RGBColor, opacity: f64) -> Drawn<DB> {
        self.area.draw(&Rectangle::new([device(from), device(to)], colour.mix(opacity).filled()))
    }

    /// The field inside the points.
    pub(super) fn area(&self, points: &[Point], colour: RGBColor, opacity: f64) -> Drawn<DB> {
        let corners: Vec<_> = points.iter().copied().map(device).collect();
        self.area.draw(&Polygon::new(corners, colour.mix(opacity).filled()))
    }

    pub(super) fn line(&self, points: &[Point], colour: RGBColor, width: f64, opacity: f64) -> Drawn<DB> {
        let style = colour.mix(opacity).stroke_width((width * SCALE).round() as u32);
        self.area.draw(&PathElement::new(points.iter().copied().map(device).collect::<Vec<_>>(), style))
    }

    /// A dashed straight line.
    pub(super) fn dashed(&self, from: Point, to: Point, colour: RGBColor) -> Drawn<DB> {
        const DASH: f64 = 4.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |t: f64| (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t);
        let dashes = (length / (2.0 * DASH)).ceil() as u32;
        for dash in 0..dashes {
            let begin = f64::from(dash) * 2.0 * DASH / length;
            self.line(&[at(begin), at((begin + DASH / length).min(1.0))], colour, 1.0, 1.0)?;
        }
        Ok(())
    }

    /// A line through points in dashes: `pattern` is the lengths of a dash, a gap and so on; without one it is unbroken.
    pub(super) fn stroked(&self, points: &[Point], colour: RGBColor, width: f64, pattern: &[f64]) -> Drawn<DB> {
        if pattern.is_empty() {
            return self.line(points, colour, width, 1.0);
        }
        let (mut phase, mut left) = (0, pattern[0]);
        let mut dash: Vec<Point> = points.first().copied().into_iter().collect();
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            loop {
                let rest = (to.0 - from.0).hypot(to.1 - from.1);
                if rest <= left {
                    left -= rest;
                    dash.push(to);
                    break;
                }
                let share = left / rest;
                from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
                dash.push(from);
                // Even phases are dashes.
                if phase % 2 == 0 {
                    self.line(&dash, colour, width, 1.0)?;
                }
                phase = (phase + 1) % pattern.len();
                left = pattern[phase];
                dash = vec![from];
            }
        }
        if phase % 2 == 0 && dash.len() > 1 { self.line(&dash, colour, width, 1.0) } else { Ok(()) }
    }

    /// The method's mark: shape and colour.
    pub(super) fn mark(&self, method: &str, (x, y): Point, radius: f64, opacity: f64) -> Drawn<DB> {
        let style = colour(method).mix(opacity).filled();
        let corners: &[Point] = match method {
            "none" | "api-key" => &[],
            "oauth2" => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            "jwt" => &[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
            "signed" => &[(0.0, -1.15), (1.0, -0.57), (1.0, 0.57), (0.0, 1.15), (-1.0, 0.57), (-1.0, -0.57)],
            "basic" => &[(0.0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
            _ => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
        };
        if corners.is_empty() {
            return self.area.draw(&Circle::new(device((x, y)), (radius * SCALE).round() as i32, style));
        }
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| device((x + dx * radius, y + dy * radius))).collect();
        self.area.draw(&Polygon::new(corners, style))
    }

    /// A small triangle that points to the right: it goes on from here.
    pub(super) fn onward(&self, (x, y): Point, radius: f64, colour: RGBColor) -> Drawn<DB> {
        let corners = [(0.0, -radius), (1.6 * radius, 0.0), (0.0, radius)];
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| device((x + dx, y + dy))).collect();
        self.area.draw(&Polygon::new(corners, colour.filled()))
    }

    /// Text whose vertical middle is at the position.
    pub(super) fn text(&self, text: &str, at: Point, size: f64, align: Align, colour: RGBColor) -> Drawn<DB> {
        self.styled(text, at, size, align, colour, FontStyle::Normal)
    }

    /// The same, starting at the position, on a patch of paper that keeps lines out of it.
    pub(super) fn label(&self, text: &str, (x, y): Point, size: f64, colour: RGBColor) -> Drawn<DB> {
        self.rect((x - 2.0, y - 7.0), (x + text_width(text, size) + 2.0, y + 7.0), PAPER, 0.85)?;
        self.text(text, (x, y), size, Align::Left, colour)
    }

    /// Bold text whose vertical middle is at the position.
    pub(super) fn bold(&self, text: &str, at: Point, size: f64, align: Align, colour: RGBColor) -> Drawn<DB> {
        self.styled(text, at, size, align, colour, FontStyle::Bold)
    }

    fn styled(&self, text: &str, at: Point, size: f64, align: Align, colour: RGBColor, style: FontStyle) -> Drawn<DB> {
        let h = match align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let font = ("sans-serif", size * SCALE * EM, style).into_font();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(h, VPos::Center));
        self.area.draw(&Text::new(plain(text), device(at), style))
    }
}

/// plotters divides a font size by 1.24 when it writes SVG: sizes here are what comes out.
const EM: f64 = 1.24;

/// The font has no narrow space that does not break; its plain one is drawn instead.
fn plain(text: &str) -> String {
    text.replace('\u{202f}', "\u{a0}")
}

/// Width of a text in logical pixels. Bitmaps are that wide; in SVG it leaves about 8 % for a reader's font that is wider
/// than ours.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let font = ("sans-serif", size * SCALE * EM).into_font();
    font.box_size(&plain(text)).map_or(0.0, |(width, _)| f64::from(width) / SCALE)
}
