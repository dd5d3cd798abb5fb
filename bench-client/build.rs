//! Tells the program which code it is: git revision, whether the work tree differed, compiler, profile. Outside a git
//! checkout the revision is `unknown`.

#![allow(clippy::print_stdout)] // how a build script speaks to cargo

use std::path::Path;
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned();
    // Whatever changes the program may change the dirty flag; a commit changes the revision. Naming files here keeps
    // other changes from running this again.
    for watched in ["bench-client/src", "bench-client/build.rs", "bench-server/src", "Cargo.toml", "Cargo.lock"] {
        rerun_if_changed(&root.join(watched));
    }
    for watched in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&root, &["rev-parse", "--git-path", watched]) {
            rerun_if_changed(&root.join(path));
        }
    }
    let revision = revision(&root);
    let changed = git(&root, &["status", "--porcelain", "--untracked-files=no"]);
    let dirty = revision.is_some() && changed.is_none_or(|changed| !changed.is_empty());
    let rustc = std::env::var("RUSTC").ok().and_then(|rustc| output(Command::new(rustc).arg("--version")));
    set("AUTHBENCH_REVISION", revision.as_deref().unwrap_or("unknown"));
    set("AUTHBENCH_DIRTY", if dirty { "true" } else { "false" });
    set("AUTHBENCH_RUSTC", rustc.as_deref().unwrap_or("unknown"));
    set("AUTHBENCH_PROFILE", &std::env::var("PROFILE").unwrap_or_else(|_| "unknown".to_owned()));
}

/// The revision, if the checkout is this project's own: unpacked inside another repository it would be that one's.
fn revision(root: &Path) -> Option<String> {
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == root.canonicalize().ok()?;
    if same { git(root, &["rev-parse", "HEAD"]) } else { None }
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    output(Command::new("git").arg("-C").arg(root).args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    if output.status.success() { Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()) } else { None }
}

/// A path that does not exist would run the script on every build.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn set(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}
