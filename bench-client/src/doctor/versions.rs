//! Kernel, system and what this program was built with: what a result is tied to.

use super::Finding;
use crate::machine::Machine;
use crate::run::Build;

pub(super) fn look(machine: &Machine) -> Vec<Finding> {
    vec![Finding::ok("system", &machine.os), toolchain(&Build::current())]
}

fn toolchain(build: &Build) -> Finding {
    let found = format!("authbench {}, {}, profile {}", build.version, build.rustc, build.profile);
    if build.profile == "release" {
        Finding::ok("build", found)
    } else {
        Finding::problem(
            "build",
            found,
            "measure with `cargo build --release`: unoptimised code costs many times as much",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn only_a_release_build_is_fit_to_measure() {
        let with = |profile: &str| toolchain(&Build { profile: profile.to_owned(), ..Build::current() }).grade;
        assert_eq!((with("release"), with("debug")), (Grade::Ok, Grade::Problem));
    }
}
