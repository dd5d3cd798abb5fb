//! The figures. Each is one function of the report that draws on any backend: SVG and PNG come from the same code.

mod added;
mod amortisation;
mod axis;
mod bars;
mod canvas;
mod frontier;
mod laws;
mod power;
mod revocation;
mod sweep;
mod timeline;

use std::path::Path;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend};
use plotters::style::{FontStyle, register_font};

use self::canvas::{Canvas, SCALE};
use self::frontier::Cost;
use super::{Report, ReportError, sweep as words};

/// A figure of a report.
pub(crate) struct Plot<'a> {
    report: &'a Report,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Added,
    Cpu,
    Throughput,
    Revocation,
    Laws,
    /// By what a shorter window is paid with.
    Frontier(Cost),
    Amortisation,
    Power,
    /// The rollover or outage of that number in the summary.
    Timeline(usize),
    /// The sweep of that number in the summary.
    Sweep(usize),
}

/// What the figure stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// White paper: a file of its own.
    OnPaper,
    /// The report's page, light or dark: colours are CSS variables.
    OnPage,
}

/// The figures that the run has data for, in reading order.
pub(crate) fn all(report: &Report) -> Vec<Plot<'_>> {
    let sweeps = (0..report.summary.sweeps.len()).map(Kind::Sweep);
    let timelines = (0..report.summary.events.len()).map(Kind::Timeline);
    let kinds = [
        Kind::Frontier(Cost::Cpu),
        Kind::Frontier(Cost::Lookups),
        Kind::Added,
        Kind::Cpu,
        Kind::Throughput,
        Kind::Revocation,
        Kind::Laws,
        Kind::Amortisation,
        Kind::Power,
    ];
    sweeps.chain(timelines).chain(kinds).map(|kind| Plot { report, kind }).filter(Plot::has_data).collect()
}

impl Plot<'_> {
    /// File stem and anchor.
    pub(crate) fn name(&self) -> String {
        let fixed = match self.kind {
            Kind::Added => "added-latency",
            Kind::Cpu => "server-cpu",
            Kind::Throughput => "throughput",
            Kind::Revocation => "revocation",
            Kind::Laws => "laws",
            Kind::Frontier(Cost::Cpu) => "frontier",
            Kind::Frontier(Cost::Lookups) => "window-cost",
            Kind::Amortisation => "amortisation",
            Kind::Power => "power",
            Kind::Timeline(number) => return format!("timeline-{}", self.report.summary.events[number].measurement),
            Kind::Sweep(number) => return words::file_stem(&self.report.summary, number),
        };
        fixed.to_owned()
    }

    /// Title.
    pub(crate) fn title(&self) -> String {
        let fixed = match self.kind {
            Kind::Added => "Latency added to the baseline, by percentile",
            Kind::Cpu => "Server CPU per request at saturation",
            Kind::Throughput => "Throughput at saturation, relative to no authentication",
            Kind::Revocation => "How long revoked credentials lived on",
            Kind::Laws => "Windows against their law",
            Kind::Frontier(Cost::Lookups) => "What a shorter window costs: lookups of the store, and the tail",
            Kind::Frontier(Cost::Cpu) => "The choice: how soon a revocation counts, against what a request costs",
            Kind::Amortisation => "What a handshake costs when more requests share it",
            Kind::Power => "How often a slow-down of known size is found",
            Kind::Timeline(number) => return timeline::title(&self.report.summary.events[number]),
            Kind::Sweep(number) => return words::title(&self.report.summary.sweeps[number]),
        };
        fixed.to_owned()
    }

    /// What to read from it, from the data.
    pub(crate) fn caption(&self) -> String {
        match self.kind {
            Kind::Added => added::caption(&self.report.summary),
            Kind::Cpu => bars::cpu_caption(&self.report.summary),
            Kind::Throughput => bars::throughput_caption(&self.report.summary),
            Kind::Revocation => revocation::caption(&self.report.summary),
            Kind::Laws => laws::caption(&self.report.summary),
            Kind::Frontier(cost) => frontier::caption(&self.report.summary, cost),
            Kind::Amortisation => amortisation::caption(&self.report.summary),
            Kind::Power => power::caption(&self.report.summary),
            Kind::Timeline(number) => timeline::caption(&self.report.summary.events[number]),
            Kind::Sweep(number) => words::caption(&self.report.summary, &self.report.summary.sweeps[number]),
        }
    }

    fn has_data(&self) -> bool {
        let summary = &self.report.summary;
        match self.kind {
            Kind::Added => added::has_data(summary),
            Kind::Cpu => !bars::cpu(summary).is_empty(),
            Kind::Throughput => !bars::throughput(summary).is_empty(),
            Kind::Revocation => !revocation::rows(summary).is_empty(),
            Kind::Laws => laws::has_data(summary),
            Kind::Frontier(cost) => frontier::has_data(summary, cost),
            Kind::Amortisation => amortisation::has_data(summary),
            Kind::Power => power::has_data(summary),
            Kind::Timeline(number) => timeline::has_data(&summary.events[number]),
            Kind::Sweep(_) => true,
        }
    }

    /// Width and height in logical pixels.
    fn size(&self) -> (f64, f64) {
        let summary = &self.report.summary;
        let height = match self.kind {
            Kind::Added => added::height(summary),
            Kind::Cpu => bars::height(bars::cpu(summary).len()),
            Kind::Throughput => bars::height(bars::throughput(summary).len()),
            Kind::Revocation => revocation::height(summary),
            Kind::Laws => laws::height(summary),
            Kind::Frontier(_) => frontier::HEIGHT,
            Kind::Amortisation => amortisation::HEIGHT,
            Kind::Power => power::HEIGHT,
            Kind::Timeline(number) => timeline::height(&summary.events[number]),
            Kind::Sweep(number) => sweep::height(&summary.sweeps[number]),
        };
        (canvas::WIDTH, height)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> canvas::Drawn<DB> {
        let canvas = Canvas::new(area);
        let (width, height) = self.size();
        canvas.rect((0.0, 0.0), (width, height), canvas::PAPER, 1.0)?;
        let summary = &self.report.summary;
        match self.kind {
            Kind::Added => added::draw(summary, &canvas),
            Kind::Cpu => bars::draw_cpu(summary, &canvas),
            Kind::Throughput => bars::draw_throughput(summary, &canvas),
            Kind::Revocation => revocation::draw(summary, &canvas),
            Kind::Laws => laws::draw(summary, &canvas),
            Kind::Frontier(cost) => frontier::draw(summary, cost, &canvas),
            Kind::Amortisation => amortisation::draw(summary, &canvas),
            Kind::Power => power::draw(summary, &canvas),
            Kind::Timeline(number) => timeline::draw(&summary.events[number], &canvas),
            Kind::Sweep(number) => sweep::draw(&summary.sweeps[number], &canvas),
        }?;
        area.present()
    }

    fn pixels(&self) -> (u32, u32) {
        let (width, height) = self.size();
        ((width * SCALE) as u32, (height * SCALE) as u32)
    }

    fn error(&self, error: &dyn std::fmt::Display) -> ReportError {
        ReportError { path: format!("plots/{}", self.name()).into(), message: error.to_string() }
    }

    /// The figure as SVG.
    ///
    /// # Errors
    /// [`ReportError`] when it cannot be drawn.
    pub(crate) fn svg(&self, ink: Ink) -> Result<String, ReportError> {
        register_fonts();
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, self.pixels()).into_drawing_area();
            self.draw(&area).map_err(|error| self.error(&error))?;
        }
        Ok(self.finish(&text, ink))
    }

    /// Replaces the root element, which plotters does not let us choose, and the font: Liberation Sans, which the layout
    /// was measured with, and its metric equals come first.
    fn finish(&self, text: &str, ink: Ink) -> String {
        let (width, height) = self.size();
        let (columns, rows) = self.pixels();
        let body = text.split_once('>').map_or("", |(_, body)| body);
        let body =
            body.replace("font-family=\"sans-serif\"", "font-family=\"Arial, Liberation Sans, Helvetica, sans-serif\"");
        let label = format!("role=\"img\" aria-label=\"{}\"", self.title());
        match ink {
            Ink::OnPaper => format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
                 viewBox=\"0 0 {columns} {rows}\" {label}>{body}"
            ),
            Ink::OnPage => format!("<svg viewBox=\"0 0 {columns} {rows}\" {label}>{}", canvas::css_colours(&body)),
        }
    }

    /// Writes the figure as PNG.
    ///
    /// # Errors
    /// [`ReportError`] when it cannot be drawn or written.
    pub(crate) fn png(&self, path: &Path) -> Result<(), ReportError> {
        register_fonts();
        let area = BitMapBackend::new(path, self.pixels()).into_drawing_area();
        self.draw(&area).map_err(|error| self.error(&error))
    }
}

/// The font that bitmaps are written with and that labels are measured with; see `assets/PlotSans-OFL.txt`.
fn register_fonts() {
    static ONCE: Once = Once::new();
    const VALID: &str = "the font is part of the program and a test draws with it";
    ONCE.call_once(|| {
        let fonts: [(FontStyle, &'static [u8]); 2] = [
            (FontStyle::Normal, include_bytes!("../../assets/PlotSans-Regular.ttf")),
            (FontStyle::Bold, include_bytes!("../../assets/PlotSans-Bold.ttf")),
        ];
        for (style, bytes) in fonts {
            register_font("sans-serif", style, bytes).map_err(|_| VALID).expect(VALID);
        }
    });
}
