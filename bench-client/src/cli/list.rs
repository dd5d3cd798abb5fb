//! `authbench list`: the scenarios that ship.

use super::scenarios::SHIPPED;
use super::{Exit, print};
use crate::scenario::{self, Overrides};

/// List the scenarios that ship
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the text of this scenario, to start one of your own from
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
}

pub(super) fn list(args: &Args) -> Exit {
    if let Some(name) = &args.show {
        return match SHIPPED.iter().find(|shipped| shipped.name == name) {
            Some(shipped) => {
                print(shipped.text.trim_end());
                Exit::Fine
            }
            None => super::fail(Exit::Input, format_args!("no scenario named \"{name}\" ships; see `authbench list`")),
        };
    }
    for shipped in SHIPPED {
        let plan = scenario::resolve(shipped.file.as_ref(), shipped.text, &Overrides::default())
            .expect("a test checks every scenario that ships")
            .plan;
        let minutes = plan.expected_duration().as_secs_f64() / 60.0;
        print(format_args!("{} ({} variants, about {minutes:.0} min)", shipped.name, plan.variants.len()));
        plan.analysis.lines().for_each(|line| print(format_args!("    {line}")));
    }
    Exit::Fine
}
