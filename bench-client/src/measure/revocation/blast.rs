//! Whom a revocation cuts off beside the one it means: callers of other principals, callers with another credential of the same
//! principal, and callers who share the credential.
//!
//! All of them are proven accepted, one credential is revoked, and each is asked on until it is refused for good or the watch
//! ends.

use std::time::Duration;

use bench_server::contract::{Issued, MethodConfig};

use super::super::watch::{Moments, Place as Prober, watch};
use super::caller;
use crate::plan::{ProbeKind, RevocationPlan, Variant};
use crate::record::{BlastGroup, Bystander};
use crate::target::{Target, TargetError};

/// Time between two probes of a bystander, where those of the measurement are more frequent: whether one is cut off is
/// asked, not when.
const INTERVAL: Duration = Duration::from_millis(50);

/// Revokes one credential in the midst of `settings.bystanders` callers of each kind.
///
/// # Errors
/// Why nothing can be said: a credential could not be issued, was not accepted to begin with, or could not be revoked.
pub(super) async fn measure(
    target: &Target,
    variant: &Variant,
    settings: &RevocationPlan,
) -> Result<Vec<BlastGroup>, String> {
    let settings = RevocationPlan { probe_interval: settings.probe_interval.max(INTERVAL), ..settings.clone() };
    let said = |error: TargetError| error.to_string();
    let issued = target.issue(1, None).await.map_err(said)?;
    let revoked = issued.into_iter().next().ok_or("no credential was issued")?;
    let mut groups = vec![
        (Bystander::Stranger, target.issue_apart(settings.bystanders).await.map_err(said)?),
        (Bystander::SameCredential, vec![revoked.clone(); settings.bystanders]),
    ];
    // A user has one password.
    if !matches!(variant.method.reference(), Some(MethodConfig::Basic(_))) {
        let mut others = Vec::with_capacity(settings.bystanders);
        for _ in 0..settings.bystanders {
            others.push(target.renew(&revoked).await.map_err(said)?);
        }
        groups.insert(1, (Bystander::SamePrincipal, others));
    }
    let callers = groups.iter().flat_map(|(_, credentials)| credentials);
    let places = target.endpoints().iter().cycle();
    let opened = callers.zip(places).map(|(credential, endpoint)| caller(endpoint, credential, ProbeKind::Reused));
    let mut callers = opened.collect::<Result<Vec<_>, _>>()?;
    let moments = Moments { proofs: vec![Duration::ZERO; callers.len()], revocation: INTERVAL };
    let revoke = async { target.revoke(&revoked).await.map_err(said) };
    let watched = watch(&mut callers, revoke, &moments, &settings).await?;
    if let Some(unjudged) = watched.iter().map(|trial| trial.unjudged).find(|unjudged| *unjudged > 0) {
        return Err(format!("{unjudged} probes of one caller brought no judgement"));
    }
    let mut cut_off = watched.iter().map(|trial| {
        let window = trial.window(Prober::default(), &[], &settings, None);
        // For good: nothing was accepted after a refusal.
        window.first_rejected_ns.is_some_and(|rejected| window.last_accepted_ns.is_none_or(|last| last < rejected))
    });
    let counted = groups.iter().map(|(who, credentials): &(Bystander, Vec<Issued>)| BlastGroup {
        who: *who,
        callers: credentials.len(),
        cut_off: cut_off.by_ref().take(credentials.len()).filter(|cut_off| *cut_off).count(),
    });
    Ok(counted.collect())
}
