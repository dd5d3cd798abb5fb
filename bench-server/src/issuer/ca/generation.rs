//! The CAs that sign leaves, one after the other below the same CA: a rollover makes the next one, with a key of its own,
//! and ends those before it by the CRL of the CA above (RFC 5280 §5: one entry takes back all that they signed).
//!
//! Processes that share the folder find a new CA by its certificate, which is therefore written last. Its terms are in a
//! file beside it, so that they hold in every process, and after a restart.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::authority::{self, Authority};
use super::crl::PublishedCrl;
use super::{CaError, crl_file};
use crate::clock::UnixTime;
use crate::store::file::{self, Readers};

/// One of the CAs that sign leaves.
pub(super) struct Generation {
    pub(super) ca: Arc<Authority>,
    /// The serial number of its certificate, hexadecimal.
    pub(super) serial: String,
    pub(super) crl: PublishedCrl,
    /// Absent of the first, which signs from the start and follows nobody.
    terms: Option<Terms>,
}

/// When a CA takes over from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// When it starts to sign.
    pub(super) from: UnixTime,
    /// When those before it are revoked.
    pub(super) until: UnixTime,
}

/// What a generation is opened with.
pub(super) struct Folder<'f> {
    pub(super) dir: &'f Path,
    /// The CA above those that sign leaves.
    pub(super) above: &'f Authority,
    pub(super) now: UnixTime,
    pub(super) crl_validity: Duration,
}

impl Generation {
    /// The first, which the chain began with.
    pub(super) fn first(ca: Arc<Authority>, folder: &Folder<'_>) -> Result<Self, CaError> {
        Self::open(ca, None, folder)
    }

    /// The one of that number, counted from 1, if it was made.
    pub(super) fn load(number: usize, folder: &Folder<'_>) -> Result<Option<Self>, CaError> {
        let stem = stem(number);
        // A look at one name, when there is nothing.
        if !folder.dir.join(format!("{stem}.pem")).exists() {
            return Ok(None);
        }
        let Some(ca) = Authority::load(folder.dir, &stem)? else { return Ok(None) };
        if !ca.fits(Some(folder.above), 0)? {
            let path = folder.dir.join(format!("{stem}.pem"));
            return Err(CaError(format!("{}: of another chain; move it away with its key", path.display())));
        }
        let terms = Terms::read(&terms_file(folder.dir, &stem))?;
        Self::open(Arc::new(ca), Some(terms), folder).map(Some)
    }

    /// Makes the one of that number. Nobody else may be making it.
    pub(super) fn make(number: usize, terms: Terms, folder: &Folder<'_>) -> Result<Self, CaError> {
        let stem = stem(number);
        terms.write(&terms_file(folder.dir, &stem))?;
        let ca = Authority::successor(folder.dir, &stem, folder.above, folder.now)?;
        Self::open(Arc::new(ca), Some(terms), folder)
    }

    fn open(ca: Arc<Authority>, terms: Option<Terms>, folder: &Folder<'_>) -> Result<Self, CaError> {
        let crl = PublishedCrl::open(crl_file(folder.dir, &ca), &ca, folder.now, folder.crl_validity)?;
        Ok(Self { serial: authority::serial_of(&ca.certificate)?, ca, crl, terms })
    }

    /// Whether the CRL of the CA above names it.
    pub(super) fn is_revoked_in(&self, above: &PublishedCrl) -> bool {
        above.revoked_since(&self.serial).is_some()
    }
}

impl Terms {
    /// Two numbers in a line, nanoseconds since 1970.
    fn read(path: &Path) -> Result<Self, CaError> {
        let wrong = |text: &dyn std::fmt::Display| CaError(format!("{}: {text}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let times: Option<Vec<UnixTime>> =
            text.split_whitespace().map(|time| Some(UnixTime(Duration::from_nanos(time.parse().ok()?)))).collect();
        match times.as_deref() {
            Some(&[from, until]) => Ok(Self { from, until }),
            _ => Err(wrong(&"not two times in nanoseconds; move it away with the CA beside it")),
        }
    }

    fn write(self, path: &Path) -> Result<(), CaError> {
        let text = format!("{} {}\n", self.from.0.as_nanos(), self.until.0.as_nanos());
        file::replace(path, text.as_bytes(), Readers::All)
            .map_err(|error| CaError(format!("{}: {error}", path.display())))
    }
}

/// Which of the generations signs: the latest whose time has come.
pub(super) fn signing(generations: &[Generation], now: UnixTime) -> usize {
    let begun = |generation: &Generation| generation.terms.is_none_or(|terms| terms.from <= now);
    generations.iter().rposition(begun).unwrap_or(0)
}

/// Each generation but the last, with the time at which it is to be revoked: the earliest that one after it asks for.
pub(super) fn ends(generations: &[Generation]) -> impl Iterator<Item = (&Generation, UnixTime)> {
    generations.iter().enumerate().filter_map(|(number, generation)| {
        let after = generations[number + 1..].iter().filter_map(|after| after.terms);
        after.map(|terms| terms.until).min().map(|until| (generation, until))
    })
}

/// Waits until no other process rolls over, for as long as the result lives.
pub(super) fn take_turn(dir: &Path) -> Result<File, CaError> {
    let path = dir.join("issuing.lock");
    let failed = |error: std::io::Error| CaError(format!("{}: {error}", path.display()));
    let lock = File::options().create(true).append(true).open(&path).map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

fn stem(number: usize) -> String {
    format!("issuing-{number}")
}

fn terms_file(dir: &Path, stem: &str) -> PathBuf {
    dir.join(format!("{stem}.terms"))
}
