//! Progress with time left: a bar on a terminal, plain lines elsewhere; always on stderr.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Told what the measuring does.
pub trait Progress {
    /// The whole will take about this long.
    fn begin(&mut self, expected: Duration);
    /// What happens now, like `start 2 of 5: throughput, round 3 of 10`.
    fn stage(&mut self, text: &str);
    /// So much of the expected time's work is done, from 0 to 1.
    fn advance(&mut self, share: f64);
    /// A warning the user should see at once.
    fn warn(&mut self, text: &str);
    /// All done, or given up.
    fn end(&mut self);
}

/// What suits stderr: a bar if it is a terminal, plain lines if not.
pub fn for_stderr() -> Box<dyn Progress> {
    if io::stderr().is_terminal() { Box::new(Terminal::new()) } else { Box::new(Plain::new(io::stderr())) }
}

/// A bar that is drawn over and over, with the stage and the time left.
pub struct Terminal {
    bar: ProgressBar,
    pace: Pace,
}

/// Steps of the bar: finer than any terminal is wide.
const STEPS: f64 = 1_000.0;

impl Terminal {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {prefix}  {wide_msg}")
            .expect("the template is constant")
            .progress_chars("=> ");
        Self { bar: ProgressBar::new(STEPS as u64).with_style(style), pace: Pace::begin(Duration::ZERO) }
    }
}

impl Progress for Terminal {
    fn begin(&mut self, expected: Duration) {
        self.pace = Pace::begin(expected);
        self.advance(0.0);
    }

    fn stage(&mut self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    fn advance(&mut self, share: f64) {
        self.bar.set_prefix(self.pace.left(share));
        self.bar.set_position((share.clamp(0.0, 1.0) * STEPS) as u64);
    }

    fn warn(&mut self, text: &str) {
        // Printed above the bar, which is drawn again below.
        self.bar.suspend(|| write_line(&mut io::stderr(), &format!("warning: {text}")));
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line now and then, for logs.
pub struct Plain<W: Write> {
    out: W,
    pace: Pace,
    stage: String,
    share: f64,
    written: Option<Instant>,
}

/// A log of a run of minutes stays on one screen.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

impl<W: Write> Plain<W> {
    fn new(out: W) -> Self {
        Self { out, pace: Pace::begin(Duration::ZERO), stage: String::new(), share: 0.0, written: None }
    }

    fn line(&mut self, now: Instant) {
        if self.stage.is_empty() || self.written.is_some_and(|written| now - written < LINE_INTERVAL) {
            return;
        }
        self.written = Some(now);
        let left = self.pace.left(self.share);
        write_line(&mut self.out, &format!("{:>3.0} %  {left}  {}", self.share * 100.0, self.stage));
    }
}

impl<W: Write> Progress for Plain<W> {
    fn begin(&mut self, expected: Duration) {
        self.pace = Pace::begin(expected);
    }

    fn stage(&mut self, text: &str) {
        text.clone_into(&mut self.stage);
        self.line(Instant::now());
    }

    fn advance(&mut self, share: f64) {
        self.share = share.clamp(0.0, 1.0);
        self.line(Instant::now());
    }

    fn warn(&mut self, text: &str) {
        write_line(&mut self.out, &format!("warning: {text}"));
    }

    fn end(&mut self) {}
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _expected: Duration) {}
    fn stage(&mut self, _text: &str) {}
    fn advance(&mut self, _share: f64) {}
    fn warn(&mut self, _text: &str) {}
    fn end(&mut self) {}
}

/// Progress is a courtesy: a stderr that is gone must not end a run.
fn write_line(out: &mut impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

/// How fast the work goes, against how fast it was expected to go.
struct Pace {
    expected: Duration,
    began: Instant,
}

impl Pace {
    fn begin(expected: Duration) -> Self {
        Self { expected, began: Instant::now() }
    }

    fn left(&self, share: f64) -> String {
        let left = time_left(self.expected, self.began.elapsed(), share);
        format!("{}:{:02} left", left.as_secs() / 60, left.as_secs() % 60)
    }
}

/// The time left: at first as expected, and the more is done the more by the pace so far.
fn time_left(expected: Duration, elapsed: Duration, share: f64) -> Duration {
    if share.is_nan() || share <= 0.0 {
        return expected;
    }
    let share = share.min(1.0);
    let whole = expected.as_secs_f64() * (1.0 - share) + elapsed.as_secs_f64();
    Duration::from_secs_f64(whole * (1.0 - share))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn time_left_follows_the_plan_first_and_the_pace_later() {
        assert_eq!(time_left(seconds(100), seconds(0), 0.0), seconds(100));
        assert_eq!(time_left(seconds(100), seconds(50), 0.5), seconds(50), "as expected");
        assert_eq!(time_left(seconds(100), seconds(100), 0.5), seconds(75), "half as fast");
        assert_eq!(time_left(seconds(100), seconds(300), 1.0), seconds(0));
        assert_eq!(time_left(seconds(100), seconds(300), 2.0), seconds(0));
        assert_eq!(time_left(seconds(100), seconds(10), f64::NAN), seconds(100), "nothing is known");
    }

    #[test]
    fn plain_lines_come_now_and_then() {
        let mut plain = Plain::new(Vec::new());
        plain.begin(seconds(90));
        plain.stage("start 1 of 2");
        plain.advance(0.25);
        plain.advance(0.5);
        plain.warn("slow");
        plain.line(Instant::now() + LINE_INTERVAL);
        plain.end();
        let text = String::from_utf8(plain.out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "  0 %  1:30 left  start 1 of 2");
        assert_eq!(lines[1], "warning: slow");
        assert!(lines[2].starts_with(" 50 %  0:") && lines[2].ends_with(" left  start 1 of 2"), "{lines:?}");
    }
}
