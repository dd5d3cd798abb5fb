//! `kind = "attack"`.

use std::path::Path;
use std::time::Duration;

use super::document::{Item, Value};
use super::reader::Section;
use super::value::{duration, positive, show, text};
use crate::attack::Table;
use crate::plan::{AttackPlan, AttackTable};

/// Longer than any answer takes, a password hash behind others included.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What most caches and lists keep to.
const DEFAULT_WITHIN: Duration = Duration::from_secs(5);

/// What libraries tolerate unless told otherwise, at most.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// Reads its settings; a table of the user's stands in a file below `folder`.
pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Option<AttackPlan> {
    let file = section.optional("cases", text);
    let only = section.or("only", Vec::new(), ids);
    let offers = section.or("offers", Vec::new(), ids);
    let timeout = section.or("timeout", DEFAULT_TIMEOUT, positive);
    let within = section.or("within", DEFAULT_WITHIN, positive);
    let leeway = section.or("leeway", DEFAULT_LEEWAY, duration);
    if within > MOST_PATIENT {
        section.error(
            "within",
            format!(
                "within is {}; waiting longer than {} is for a revocation measurement",
                show(within),
                show(MOST_PATIENT)
            ),
        );
    }
    let (table, written) = match file {
        None if section.has("cases") => return None, // what was written is no text; that is noted
        None => (Table::shipped(), None),
        Some(file) => {
            let path = folder.join(&file);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    section.error(
                        "cases",
                        format!("cases names {}: {error}; name a TOML file, or leave it out", path.display()),
                    );
                    return None;
                }
            };
            match Table::of_user(&file, &text) {
                Ok(table) => (table, Some(AttackTable { file, text })),
                Err(mistakes) => {
                    mistakes.0.iter().for_each(|mistake| section.error("cases", format!("cases: {mistake}")));
                    return None;
                }
            }
        }
    };
    for id in only.iter().filter(|id| table.cases.iter().all(|case| case.id != **id)) {
        section.error("only", format!("only names {id}, which is no case of the table; remove it"));
    }
    Some(AttackPlan { table: written, digest: table.digest, only, offers, timeout, within, leeway })
}

/// Nobody waits longer for each of the cases that a revocation is about.
pub(super) const MOST_PATIENT: Duration = Duration::from_secs(60);

/// A list of words.
fn ids(value: &Value) -> Result<Vec<String>, String> {
    const REMEDY: &str = "write a list of strings, like [\"BC-076\"]";
    let Value::List(items) = value else { return Err(REMEDY.to_owned()) };
    items.iter().map(|Item { value, .. }| text(value).map_err(|_| REMEDY.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::{ForgeKey, MeasurementKind, Plan};
    use crate::scenario::{Overrides, resolve};

    const TARGET: &str = "[target]\nurl = \"http://127.0.0.1:1/\"\n[[variant]]\nname = \"none\"\nmethod = \"none\"\n\
        [[variant]]\nname = \"jwt\"\nmethod = \"jwt\"\ncredentials = { file = \"t.txt\" }\n\
        forge = { key = \"k.pem\", algorithm = \"ES256\" }\n[[measurement]]\nkind = \"attack\"\n";

    fn plan(folder: &Path, text: &str) -> Result<Plan, Vec<String>> {
        let resolved = resolve(&folder.join("s.toml"), text, &Overrides::default());
        resolved.map(|it| it.plan).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    fn mistakes(folder: &Path, text: &str) -> String {
        plan(folder, text).expect_err(text).join("\n")
    }

    #[test]
    fn an_attack_is_planned_without_the_baseline_and_with_the_table_that_ships() {
        let plan = plan(Path::new("."), TARGET).expect("no mistakes");
        assert_eq!(plan.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["jwt/attack"]);
        let variant = plan.variant("jwt").expect("it is there");
        assert!(plan.attacks(variant) && plan.only_attacks(variant));
        let MeasurementKind::Attack(attack) = &plan.measurements[0].kind else { panic!("an attack") };
        assert_eq!((attack.timeout, attack.within, attack.leeway), (DEFAULT_TIMEOUT, DEFAULT_WITHIN, DEFAULT_LEEWAY));
        assert_eq!(attack.table, None);
        assert!(attack.table().is_ok());
        let other = AttackPlan { digest: "0".to_owned(), ..attack.clone() };
        assert!(other.table().is_err_and(|why| why.contains("begin a new run")));
        let forge = &variant.method.external().expect("a target").forge;
        assert!(matches!(forge, Some(ForgeKey::Token { key, .. }) if key == Path::new("k.pem")));
        let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).expect("plain data")).expect("the same");
        assert_eq!(read, plan);
    }

    #[test]
    fn only_an_attack_needs_no_baseline() {
        let here = Path::new(".");
        let alone = TARGET.replacen("[[variant]]\nname = \"none\"\nmethod = \"none\"\n", "", 1);
        assert!(!alone.contains("method = \"none\""), "{alone}");
        let plan = plan(here, &alone).expect("no mistakes");
        assert_eq!(plan.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["jwt/attack"]);
        assert_eq!(plan.variants.len(), 1);
        let load = "[[measurement]]\nkind = \"throughput\"\nconnections = 1\nwarmup = \"0s\"\nmeasure = \"1s\"\n";
        assert!(mistakes(here, &format!("{alone}{load}")).contains("variant \"none\" is missing"));
        // One that cannot be read may be another attack.
        let unread = "[[measurement]]\nkind = \"attack\"\nname = \"other\"\ncases = \"none.toml\"\n";
        let found = mistakes(here, &format!("{alone}{unread}"));
        assert!(found.contains("name a TOML file") && !found.contains("is missing"), "{found}");
        let nobody = "[[measurement]]\nkind = \"attack\"\n";
        let found = mistakes(here, nobody);
        assert!(found.contains("nothing to attack") && !found.contains("is missing"), "{found}");
    }

    #[test]
    fn a_table_of_the_users_is_read_from_the_scenarios_folder_and_kept_in_the_plan() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let table = "[[case]]\nid = \"X-1\"\ntitle = \"x\"\nmethod = [\"any\"]\nneeds = \"nothing\"\nseverity = \"high\"\n\
            source = \"x\"\ntry = [{ fields = [] }]\n";
        let text = format!("{TARGET}cases = \"my.toml\"\nonly = [\"X-1\"]\n");
        assert!(mistakes(folder.path(), &text).contains("name a TOML file"));
        std::fs::write(folder.path().join("my.toml"), table).expect("writable");
        let plan = plan(folder.path(), &text).expect("no mistakes");
        let MeasurementKind::Attack(attack) = &plan.measurements[0].kind else { panic!("an attack") };
        assert_eq!(attack.table.as_ref().map(|table| table.file.as_str()), Some("my.toml"));
        assert_eq!(attack.table().expect("readable").cases.len(), 1);
        std::fs::write(folder.path().join("my.toml"), table.replace("severity", "severe")).expect("writable");
        assert!(mistakes(folder.path(), &text).contains("unknown field `severe`"));
    }

    #[test]
    fn mistakes_are_told_with_a_remedy() {
        let here = Path::new(".");
        assert!(mistakes(here, &format!("{TARGET}only = [\"BC-999\"]\n")).contains("BC-999, which is no case"));
        assert!(mistakes(here, &format!("{TARGET}within = \"2m\"\n")).contains("for a revocation measurement"));
        assert!(mistakes(here, &format!("{TARGET}trials = 3\n")).contains("trials is no key here"));
        let two = TARGET.replacen("[[variant]]", "http = \"2\"\n[[variant]]", 1);
        assert!(mistakes(here, &two).contains("only HTTP/1.1 can carry"));
        let nobody = "[[variant]]\nname = \"none\"\nmethod = \"none\"\n[[measurement]]\nkind = \"attack\"\n";
        assert!(mistakes(here, nobody).contains("nothing to attack"));
        let key = TARGET.replacen("method = \"jwt\"", "method = \"api-key\"\nheader = \"X-API-Key: {credential}\"", 1);
        assert!(mistakes(here, &key).contains("forge goes with methods"));
        let reference = "[[variant]]\nname = \"none\"\nmethod = \"none\"\n[[variant]]\nname = \"jwt\"\nmethod = \"jwt\"\n\
            algorithm = \"ES256\"\nforge = { key = \"k\" }\n[[measurement]]\nkind = \"attack\"\n";
        assert!(mistakes(here, reference).contains("forge goes with [target]"));
    }
}
